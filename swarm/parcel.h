/* parcel.h -- the message that carries a chunk, and the digest of its bytes. SPEC.md,
 * "Averaging". */
#ifndef SHOAL_SWARM_PARCEL_H
#define SHOAL_SWARM_PARCEL_H

#include "action.h"
#include "outer/outer.h"

#define PARCEL_HEAD_BYTES   44 /* precede the wire bytes of a CONTRIBUTION */
#define PARCEL_RESULT_BYTES (PARCEL_HEAD_BYTES + CRYPTO_SIGNATURE_BYTES) /* those of a RESULT */

struct parcel {
    uint8_t type; /* WIRE_CONTRIBUTION, WIRE_RESULT */
    uint8_t rank; /* of the owner that it is for, or that made it */
    uint8_t gid[CRYPTO_DIGEST_BYTES];
    uint32_t chunk;
    uint32_t mask;                             /* bit i: member i's contribution is in it */
    struct bytes wire;                         /* empty when the mask is 0 */
    uint8_t signature[CRYPTO_SIGNATURE_BYTES]; /* RESULT: of whoever made it (reduce_made.h) */
};

/* Writes the head of a parcel, which its wire bytes follow; returns the written part of `room`. */
struct bytes parcel_head(const struct parcel *p, const struct outer_layout *l,
                         uint8_t room[PARCEL_RESULT_BYTES]);

/* Reads a whole parcel of a group of `members`; `wire` is a view of `all`. False when its size does
 * not fit its chunk, its checksum is wrong, or quantization cannot produce such bytes. The signature
 * is not looked at. */
bool parcel_read(struct bytes all, const struct outer_layout *l, uint32_t members,
                 struct parcel *out);

/* digest(mask u32 || wire bytes): identifies the bytes and the contributions in them. Zeros when
 * the mask is 0. */
void parcel_digest(const struct crypto *c, uint32_t mask, struct bytes wire,
                   uint8_t out[CRYPTO_DIGEST_BYTES]);

#endif
