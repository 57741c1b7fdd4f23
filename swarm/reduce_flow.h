/* reduce_flow.h -- who moves bytes, and who stands still. Part of reduce.c, on the same struct.
 *
 * What moves is not late, however slow it is. Each member counts the bytes of the round that it
 * sends and receives and says the sum in its STAGE, so all see it move, whoever it serves. But bytes
 * have two ends: what one member alone says is not believed, nor what many say for longer than a
 * minute and a half while nothing comes of it; and no round lasts longer than its patience. */
#ifndef SHOAL_SWARM_REDUCE_FLOW_H
#define SHOAL_SWARM_REDUCE_FLOW_H

#include "reduce_parts.h"

/* Bytes between me and member i. */
void reduce_flow_with(struct reduce *r, uint32_t i, uint64_t sent, uint64_t received);

/* The counter in a STAGE of member i. */
void reduce_flow_said(struct reduce *r, uint32_t i, uint64_t moved);

/* When member i last moved or had news by its own word, as far as that is believed. */
instant reduce_word(const struct reduce *r, uint32_t i);

/* Has member i moved nothing for T_STILL, counted from `since` at the earliest? */
bool reduce_still(const struct reduce *r, uint32_t i, instant since);

/* Is the time over in which bytes that move count? */
bool reduce_too_long(const struct reduce *r);

/* The latest movement of any member that is not suspected, me included. */
instant reduce_latest_move(const struct reduce *r);

#endif
