/* replica.h -- a worker's copy of the state that the whole swarm shares: anchor and momentum,
 * twice.
 *
 * One pair of buffers is the state: the network's thread serves it to joiners, and it is not
 * written to. The other is the spare: an outer step or a download is written there and becomes the
 * state at once, so a worker always holds one complete epoch. Only the trainer's thread swaps the
 * pairs. */
#ifndef SHOAL_NODE_REPLICA_H
#define SHOAL_NODE_REPLICA_H

#include "backend.h"
#include "base/arena.h"
#include "base/pool.h"
#include "outer/outer.h"
#include "swarm/action.h"

struct replica {
    struct outer_layout layout;
    struct outer_rule rule;
    const struct crypto *crypto;
    const struct backend *backend; /* holds the parameters; the trainer is idle during the calls */
    struct pool *pool;             /* hashes; idle during the calls, too */
    float *anchor[2], *momentum[2];
    uint8_t *leaves[2];         /* of the pair when it became the state (outer.h) */
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
                      const struct backend *b, struct pool *pool, struct why *w);

/* Makes the current pair's content, filled from a checkpoint, the state of this epoch. */
void replica_restored(struct replica *r, uint64_t epoch, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                      uint64_t lineage_tokens);

/* Quantizes anchor - parameters into `wire`; *finite is false, and `wire` unspecified, when a
 * difference was not finite. ERR_DEVICE, ERR_MEMORY. */
enum err replica_snapshot(struct replica *r, const float *parameters, bool *finite, struct why *w);

/* The outer step of ORDER_APPLY; `parameters` restart from the new anchor, or keep their local
 * progress where our contribution is not in the mean. ERR_DEVICE. */
enum err replica_apply(struct replica *r, const struct order *o, float *parameters, struct why *w);

/* Writes part of a download to the spare pair: fp32 from element `offset` of the anchor (`vector`
 * 0) or the momentum (1). False when it does not fit the vector. */
bool replica_take(struct replica *r, uint8_t vector, uint64_t offset, struct bytes floats);

/* A chunk of the spare pair: its place in the anchor (`vector` 0) or the momentum (1). */
float *replica_spare(struct replica *r, uint8_t vector, uint32_t chunk);

/* The outer step of one chunk with this mean, within the spare pair. False when there is no such
 * chunk, or the mean is not one of its size. */
bool replica_replay(struct replica *r, uint32_t chunk, struct bytes mean);

/* ORDER_ADOPT: makes the spare pair the state. Parameters restart from the new anchor; if the order
 * carries, they keep their local progress where our contribution is in no mean, and *keeps says
 * whether that is everywhere. ERR_DEVICE, ERR_MEMORY. */
enum err replica_adopt(struct replica *r, const struct order *o, float *parameters, bool *keeps,
                       struct why *w);

/* parameters = anchor: drops local progress. */
void replica_restart(const struct replica *r, float *parameters);

#endif
