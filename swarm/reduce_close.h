/* reduce_close.h -- all compare what they hold until it is the same. Part of reduce.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_REDUCE_CLOSE_H
#define SHOAL_SWARM_REDUCE_CLOSE_H

#include "reduce_parts.h"

/* GATHER is over: from now on only what is fetched changes what I hold. */
void reduce_freeze(struct reduce *r, const struct sink *out);

void reduce_fail(struct reduce *r, const struct sink *out);

/* What I hold is what I apply. */
void reduce_agree(struct reduce *r, bool unsure, const struct sink *out);

/* CLOSING, nothing on its way to me: compares roots. */
void reduce_compare(struct reduce *r, const struct sink *out);

/* A peer's vector: what of it counts more than what I hold is wanted; when it has applied, all that
 * differs. False: it is none. */
bool reduce_on_vector(struct reduce *r, uint32_t i, struct bytes vector, const struct sink *out);

/* What was fetched. False: it is not what was asked for. */
bool reduce_on_fetched(struct reduce *r, uint32_t c, uint32_t from, struct bytes bytes,
                       const struct sink *out);

#endif
