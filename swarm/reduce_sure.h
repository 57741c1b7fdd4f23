/* reduce_sure.h -- signatures that make a root certain. Part of reduce.c, on the same struct.
 *
 * A member signs one root for each group, ever. A root that a majority of the committed group has
 * signed is certain: no other root of this group can be. Members count, never their weights: more
 * than half, or half with the smallest sid among them. SPEC.md, "Closing". */
#ifndef SHOAL_SWARM_REDUCE_SURE_H
#define SHOAL_SWARM_REDUCE_SURE_H

#include "reduce_parts.h"

/* Are these members, by index, a majority of the group? */
bool reduce_majority(const struct reduce *r, uint32_t members);

/* Sum of the weights of all members whose contribution is in any chunk that I hold. */
uint64_t reduce_tokens(const struct reduce *r);

/* Signs my root and tells all. Not twice for one group. */
void reduce_be_sure(struct reduce *r, const struct sink *out);

/* Tells one member all signatures that I hold. */
void reduce_say_sure(const struct reduce *r, uint32_t member, const struct sink *out);

/* A SURE frame after its gid. False: not what its member can have signed. */
bool reduce_on_sure(struct reduce *r, struct reader *in);

#endif
