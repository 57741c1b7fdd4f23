/* reduce_flow.h -- who moves bytes, and who stands still. Part of reduce.c, on the same struct.
 *
 * What moves is not late, however slow it is. Each member counts the bytes of the round that it
 * sends and receives and says the sum in its STAGE, so all see it move, whoever it serves. */
#ifndef SHOAL_SWARM_REDUCE_FLOW_H
#define SHOAL_SWARM_REDUCE_FLOW_H

#include "reduce_parts.h"

/* Bytes between me and member i. */
void reduce_flow_with(struct reduce *r, uint32_t i, uint64_t sent, uint64_t received);

/* The counter in a STAGE of member i. */
void reduce_flow_said(struct reduce *r, uint32_t i, uint64_t moved);

/* Has member i moved nothing for T_STILL, counted from `since` at the earliest? */
bool reduce_still(const struct reduce *r, uint32_t i, instant since);

/* The latest movement of any member that is not suspected, me included. */
instant reduce_latest_move(const struct reduce *r);

#endif
