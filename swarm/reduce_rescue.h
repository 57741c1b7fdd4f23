/* reduce_rescue.h -- lost members and the chunks they owned. Part of reduce.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_REDUCE_RESCUE_H
#define SHOAL_SWARM_REDUCE_RESCUE_H

#include "reduce_parts.h"

/* Gathers chunks whose owners I suspect, or asks their heirs for them, a few at a time. Called at a
 * suspicion, whenever one of these chunks is settled, and at each beat; `again`: repeats
 * requests. */
void reduce_recover(struct reduce *r, bool again, const struct sink *out);

/* The members that I do not suspect, by index, me included. */
uint32_t reduce_present(const struct reduce *r);

/* Do I suspect all others? False in a group of one. */
bool reduce_all_lost(const struct reduce *r);

/* Suspects a member: nothing is outstanding with it until it is heard from again. */
void reduce_suspect(struct reduce *r, uint32_t member, const struct sink *out);

/* Nobody in the group has moved a byte for T_STILL: whoever is in charge of a chunk that is not
 * settled, but me, is passed over from now on. */
void reduce_stand_still(struct reduce *r, const struct sink *out);

#endif
