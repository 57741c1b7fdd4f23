/* reduce_rescue.h -- lost members, and the chunks that they owned. Part of reduce.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_REDUCE_RESCUE_H
#define SHOAL_SWARM_REDUCE_RESCUE_H

#include "reduce_parts.h"

/* The work on this chunk, which I have taken over from a lost owner; NULL: there is none. */
struct reduce_work *reduce_rescue_of(struct reduce *r, uint32_t c);

/* Goes for the chunks whose owners I suspect, some at a time: at a suspicion, whenever one of them
 * is settled, and `again` at each beat. */
void reduce_recover(struct reduce *r, bool again, const struct sink *out);

bool reduce_all_lost(const struct reduce *r);

void reduce_suspect(struct reduce *r, uint32_t member, const struct sink *out);

#endif
