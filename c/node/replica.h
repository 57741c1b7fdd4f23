/* replica.h -- a worker's copy of what the whole swarm holds alike: anchor and momentum, twice.
 *
 * One pair of buffers is the state: the network's thread serves it to joiners, nobody writes to it.
 * The other is the spare: an outer step or a download is written there and becomes the state in one
 * move, so a worker always holds one whole epoch. Only the trainer's thread flips. */
#ifndef SHOAL_NODE_REPLICA_H
#define SHOAL_NODE_REPLICA_H

#include "backend.h"
#include "base/arena.h"
#include "node/exchange.h"
#include "outer/outer.h"
#include "swarm/action.h"

struct replica {
    struct outer_layout layout;
    struct outer_rule rule;
    const struct crypto *crypto;
    const struct backend *backend; /* holds the parameters; the trainer is idle meanwhile */
    float *anchor[2], *momentum[2];
    int current;                /* index of the pair that is the state */
    uint8_t *wire;              /* our own contribution, all chunks (outer_wire_offset) */
    struct lineage_state state; /* points into the current pair */
};

/* Bytes of arena for a replica of `parameters` elements. */
size_t replica_bytes(uint64_t parameters);

/* Genesis: anchor = parameters, momentum 0, epoch 0 of the run's lineage. ERR_MEMORY when the arena
 * is too small. Here and below the parameters are in the backend's memory; ERR_DEVICE. */
enum err replica_init(struct replica *r, struct arena *room, const struct outer_rule *rule,
                      const float *parameters, uint64_t count,
                      const uint8_t run_id[CRYPTO_DIGEST_BYTES], const struct crypto *crypto,
                      const struct backend *b, struct why *w);

/* Takes the current pair's content as the state of this epoch, after it was filled from a
 * checkpoint. */
void replica_restored(struct replica *r, uint64_t epoch, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                      uint64_t lineage_tokens);

/* Quantizes anchor - parameters into `wire`; *finite false: a difference was not finite, and `wire`
 * is unspecified. ERR_DEVICE, ERR_MEMORY. */
enum err replica_snapshot(struct replica *r, const float *parameters, bool *finite, struct why *w);

/* The outer step of ORDER_APPLY; `parameters` restart from the new anchor, or keep what they
 * learned where our contribution was not in the mean. ERR_DEVICE. */
enum err replica_apply(struct replica *r, const struct order *o, float *parameters, struct why *w);

/* Part of a download, into the spare pair: fp32 from element `offset` of the anchor (`vector` 0) or
 * the momentum (1). False when it does not fit the vector. */
bool replica_take(struct replica *r, uint8_t vector, uint64_t offset, struct bytes floats);

/* ORDER_ADOPT: the spare pair is the state; parameters = anchor. */
void replica_adopt(struct replica *r, const struct order *o, float *parameters);

/* parameters = anchor: what was learned since is dropped. */
void replica_restart(const struct replica *r, float *parameters);

#endif
