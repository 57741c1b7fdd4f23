/* reduce_close.h -- members compare roots until all hold the same bytes. Part of reduce.c, on the
 * same struct. */
#ifndef SHOAL_SWARM_REDUCE_CLOSE_H
#define SHOAL_SWARM_REDUCE_CLOSE_H

#include "reduce_parts.h"

/* GATHER is over: from now on only fetched chunks change what I hold. */
void reduce_freeze(struct reduce *r, const struct sink *out);

/* FAILED, with a note. */
void reduce_fail(struct reduce *r, const struct sink *out);

/* CLOSING, with no fetch outstanding: compares roots, signs mine when it is time to, takes over one
 * that is certain, and agrees when that is mine. */
void reduce_compare(struct reduce *r, const struct sink *out);

/* CLOSING: has nothing moved and nobody said anything new for T_CLOSE? */
bool reduce_close_over(const struct reduce *r);

/* Handles the vector of member i: plans to fetch every chunk whose variant wins over mine or, when
 * I take over that member's root, every chunk that differs. False: it is not a vector of this
 * group. */
bool reduce_on_vector(struct reduce *r, uint32_t i, struct bytes vector, const struct sink *out);

/* The answer of member `from` for chunk c, a whole RESULT parcel. False: it is not what was
 * requested. */
bool reduce_on_fetched(struct reduce *r, uint32_t c, uint32_t from, struct bytes bytes,
                       const struct sink *out);

#endif
