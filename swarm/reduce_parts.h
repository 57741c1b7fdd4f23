/* reduce_parts.h -- what all parts of an average share. reduce.h describes the whole.
 *
 *     variant    which bytes count, and the name of all of them
 *     send       frames and parcels out, as far as windows allow
 *     fetch      what another holds is asked for
 *     gather     contributions become means, chunks are settled
 *     rescue     lost members, and the chunks that they owned
 *     close      roots are compared until all are alike
 *     reduce     what comes in, and time; reduce_start: memory, and a new group
 *
 * Each uses those above it. */
#ifndef SHOAL_SWARM_REDUCE_PARTS_H
#define SHOAL_SWARM_REDUCE_PARTS_H

#include "reduce.h"

#define REDUCE_STALL_S 5 /* T_STALL: a member without a word for so long is suspected */

#define REDUCE_VARIANT_BYTES (1 + CRYPTO_DIGEST_BYTES) /* of a chunk in a VEC reply */

static inline uint32_t reduce_bit(uint32_t i) { return (uint32_t)1 << i; }

static inline uint32_t reduce_self(const struct reduce *r) { return r->group.self; }

static inline bool reduce_running(const struct reduce *r)
{
    return r->state == REDUCE_GATHER || r->state == REDUCE_CLOSING;
}

/* Index of a member; -1: it is not in the group. */
static inline int reduce_member(const struct reduce *r, sid peer)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (r->group.members[i].sid == peer) return (int)i;
    return -1;
}

static inline size_t reduce_wire_bytes(const struct reduce *r, uint32_t c)
{
    return outer_wire_bytes(outer_chunk_count(&r->config.layout, c));
}

static inline uint8_t *reduce_mean(const struct reduce *r, uint32_t c)
{
    return r->means + outer_wire_offset(&r->config.layout, c);
}

/* Nobody's contribution is in it: there are no bytes to fetch. */
static inline bool reduce_no_bytes(const struct reduce_variant *v)
{
    static const uint8_t zeros[CRYPTO_DIGEST_BYTES];
    return !memcmp(v->digest, zeros, sizeof zeros);
}

#endif
