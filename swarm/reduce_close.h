/* reduce_close.h -- all compare what they hold until it is the same. Part of reduce.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_REDUCE_CLOSE_H
#define SHOAL_SWARM_REDUCE_CLOSE_H

#include "reduce_parts.h"

/* GATHER is over: from now on only what is fetched changes what I hold. */
void reduce_freeze(struct reduce *r, const struct sink *out);

/* FAILED, with a note. */
void reduce_fail(struct reduce *r, const struct sink *out);

/* AGREED: what I hold is what I apply; FAILED if that is nothing. `unsure`: time ran out, and
 * others may apply something else. */
void reduce_agree(struct reduce *r, bool unsure, const struct sink *out);

/* CLOSING, nothing on its way to me: compares roots; agrees, or asks those whose root differs. */
void reduce_compare(struct reduce *r, const struct sink *out);

/* The vector of member i: plans to fetch what of it counts more than what I hold, or, when its root
 * is the one I take over, all that differs. False: it is no vector of this group. */
bool reduce_on_vector(struct reduce *r, uint32_t i, struct bytes vector, const struct sink *out);

/* The answer of member `from` for chunk c, a whole RESULT parcel. False: it is not what was asked
 * for. */
bool reduce_on_fetched(struct reduce *r, uint32_t c, uint32_t from, struct bytes bytes,
                       const struct sink *out);

#endif
