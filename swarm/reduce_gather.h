/* reduce_gather.h -- contributions become means, and chunks are settled. Part of reduce.c, on the
 * same struct. */
#ifndef SHOAL_SWARM_REDUCE_GATHER_H
#define SHOAL_SWARM_REDUCE_GATHER_H

#include "parcel.h"
#include "reduce_parts.h"

/* Chunk c is settled: I hold this variant, whose bytes are in the average already. */
void reduce_settle(struct reduce *r, uint32_t c, const struct reduce_variant *v,
                   const struct sink *out);

/* Copies a mean that another has made into the average, and settles its chunk. */
void reduce_take_mean(struct reduce *r, const struct parcel *p, const struct reduce_variant *v,
                      const struct sink *out);

/* Begins with chunks of mine up to the window's end. */
void reduce_open_own(struct reduce *r);

/* Averages chunks whose contributions are there, eight in a call at most; r->more: others are
 * ready. */
void reduce_work_on(struct reduce *r, const struct sink *out);

#endif
