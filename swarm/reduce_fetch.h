/* reduce_fetch.h -- fetching chunks from other members. Part of reduce.c, on the same struct. */
#ifndef SHOAL_SWARM_REDUCE_FETCH_H
#define SHOAL_SWARM_REDUCE_FETCH_H

#include "reduce_parts.h"

/* Plans to fetch this variant of chunk c from member `from`, unless a request for the chunk is
 * outstanding; reduce_unwant drops plan and request. */
void reduce_want(struct reduce *r, uint32_t c, uint32_t from, const struct reduce_variant *v);
void reduce_unwant(struct reduce *r, uint32_t c);

/* Drops all requests. */
void reduce_fetch_give_up(struct reduce *r);

/* Requests wanted chunks, REDUCE_FETCH at a time. */
void reduce_fetch_more(struct reduce *r, const struct sink *out);

/* Asks a member for its vector of variants, unless it was already asked or has no link. */
void reduce_ask_vector(struct reduce *r, uint32_t member, const struct sink *out);

#endif
