/* reduce_made.h -- whoever averages a chunk signs what it made, so that nobody else can say what that
 * was. Part of reduce.c, on the same struct. */
#ifndef SHOAL_SWARM_REDUCE_MADE_H
#define SHOAL_SWARM_REDUCE_MADE_H

#include "parcel.h"
#include "reduce_parts.h"

/* My signature for a variant of chunk `c` that I have made. */
void reduce_sign_made(const struct reduce *r, uint32_t c, const struct reduce_variant *v,
                      uint8_t out[CRYPTO_SIGNATURE_BYTES]);

/* The variant that a RESULT of this group carries. False: it is not signed by the member whose rank it
 * has. */
bool reduce_made(const struct reduce *r, const struct parcel *p, struct reduce_variant *out);

#endif
