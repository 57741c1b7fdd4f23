/* reduce_fetch.h -- asking others for what they hold. Part of reduce.c, on the same struct. */
#ifndef SHOAL_SWARM_REDUCE_FETCH_H
#define SHOAL_SWARM_REDUCE_FETCH_H

#include "reduce_parts.h"

/* Plans to fetch this variant of chunk c from member `from`, unless a request for the chunk is out;
 * reduce_unwant forgets plan and request. */
void reduce_want(struct reduce *r, uint32_t c, uint32_t from, const struct reduce_variant *v);
void reduce_unwant(struct reduce *r, uint32_t c);

/* Asks for wanted chunks, REDUCE_FETCH at a time. */
void reduce_fetch_more(struct reduce *r, const struct sink *out);

/* Asks a member which bytes it holds, unless it was asked already or has no link. */
void reduce_ask_vector(struct reduce *r, uint32_t member, const struct sink *out);

#endif
