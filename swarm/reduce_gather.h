/* reduce_gather.h -- averages contributions and settles chunks. Part of reduce.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_REDUCE_GATHER_H
#define SHOAL_SWARM_REDUCE_GATHER_H

#include "parcel.h"
#include "reduce_parts.h"

/* Chunk c is settled: I hold this variant, signed by whoever made it, and its bytes are already in the
 * average. */
void reduce_settle(struct reduce *r, uint32_t c, const struct reduce_variant *v,
                   const uint8_t signature[CRYPTO_SIGNATURE_BYTES], const struct sink *out);

/* Copies a mean that another member computed into the average, and settles its chunk. */
void reduce_take_mean(struct reduce *r, const struct parcel *p, const struct reduce_variant *v,
                      const struct sink *out);

/* Starts work on chunks that I own, up to the end of the window. */
void reduce_open_own(struct reduce *r);

/* All work ends where it is. */
void reduce_drop_work(struct reduce *r);

/* My work on this chunk of a lost owner; NULL: there is none. */
struct reduce_work *reduce_rescue_of(struct reduce *r, uint32_t c);

/* Averages chunks whose contributions have arrived, at most eight per call; sets r->more when
 * others are ready. */
void reduce_work_on(struct reduce *r, const struct sink *out);

#endif
