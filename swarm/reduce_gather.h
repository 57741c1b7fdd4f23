/* reduce_gather.h -- contributions become means, and chunks are settled. Part of reduce.c, on the
 * same struct. */
#ifndef SHOAL_SWARM_REDUCE_GATHER_H
#define SHOAL_SWARM_REDUCE_GATHER_H

#include "parcel.h"
#include "reduce_parts.h"

/* These bytes, in their place already, are what I hold of the chunk. */
void reduce_settle(struct reduce *r, uint32_t c, const struct reduce_variant *v,
                   const struct sink *out);

/* Puts a mean that came from another in its place. */
void reduce_take_mean(struct reduce *r, const struct parcel *p, const struct reduce_variant *v,
                      const struct sink *out);

/* Begins with chunks of mine up to the window's end. */
void reduce_open_own(struct reduce *r);

/* Averages the chunks whose contributions are there, some in a call; r->more: there are others. */
void reduce_work_on(struct reduce *r, const struct sink *out);

#endif
