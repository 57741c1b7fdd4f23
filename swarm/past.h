/* past.h -- the latest rounds, kept for members that missed them.
 *
 * Each round's means are what every member applied, so whoever holds the state before a round gets
 * the state after it from a byte a parameter instead of eight: replay. Which rounds lead on from a
 * lineage is proven by the lineage itself, a chain hash over their roots (lineage.h). SPEC.md,
 * "State transfer".
 *
 * Pure. The buffers of means rotate: those of the present round are collected in the one that the
 * oldest kept round gave up. */
#ifndef SHOAL_SWARM_PAST_H
#define SHOAL_SWARM_PAST_H

#include "reduce.h"

struct past_round {
    bool held;
    uint8_t gid[CRYPTO_DIGEST_BYTES];
    uint8_t parent[CRYPTO_DIGEST_BYTES], lineage[CRYPTO_DIGEST_BYTES]; /* before it, after it */
    struct reduce_variant *chunks;                                     /* [layout.chunks] */
    uint8_t *means; /* wire bytes of all chunks (outer_wire_offset) */
};

struct past {
    struct outer_layout layout;
    uint32_t count, next; /* slots; the one that the next round takes */
    struct past_round rounds[NODE_PAST_MAX];
    uint8_t *spare; /* buffer of means that no kept round uses */
    uint8_t *reply; /* to GET_PAST */
};

/* Bytes of arena, and of lent memory for means, that keeping `rounds` rounds takes; at most
 * NODE_PAST_MAX, 0 keeps none. */
size_t past_bytes(const struct outer_layout *l, uint32_t rounds);
size_t past_means_bytes(const struct outer_layout *l, uint32_t rounds);

/* Keeps nothing yet. `means`: past_means_bytes, lent; `spare`: one more buffer of that kind, where
 * the first round is collected. False when the arena is too small. */
bool past_init(struct past *p, const struct outer_layout *l, uint32_t rounds, uint8_t *means,
               uint8_t *spare, struct arena *room);

/* The average that was just applied and led to `lineage`; takes over its buffer of means, which
 * stays unchanged while the round is kept. The next round's are to be collected in past_spare. */
void past_keep(struct past *p, const struct reduce *r, const uint8_t lineage[CRYPTO_DIGEST_BYTES]);
uint8_t *past_spare(const struct past *p);

/* Answers GET_PAST, and FETCH for a round that is kept. False, without an answer: it is neither. */
bool past_request(struct past *p, sid peer, link_id link, uint64_t ticket, struct bytes request,
                  const struct sink *out);

/* Bytes of one round in the reply to GET_PAST: gid, then its vector. */
static inline size_t past_entry_bytes(const struct outer_layout *l)
{
    return CRYPTO_DIGEST_BYTES + reduce_vector_bytes(l);
}

#endif
