/* unreached.h -- whom this node cannot reach, and why: the latest reason for each peer.
 *
 * The network's thread fills it, any thread may look. Bounded: of very many peers the ones tried
 * longest ago are forgotten. A peer that is linked is no longer in it. */
#ifndef SHOAL_NODE_UNREACHED_H
#define SHOAL_NODE_UNREACHED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/crypto.h"
#include "base/reach.h"

#define UNREACHED_MAX 256

struct unreached {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address address; /* the latest that was tried; family 0: there is none */
    enum reach_reason reason;
    char why[160];              /* a sentence, the peer's or ours */
    uint32_t count;             /* attempts in a row that ended for this reason */
    uint64_t first_ms, last_ms; /* of those; wall time, milliseconds since 1970 */
};

struct unreached_table {
    pthread_mutex_t lock;
    struct unreached rows[UNREACHED_MAX]; /* the latest first */
    size_t count;
};

void unreached_init(struct unreached_table *t);
void unreached_fini(struct unreached_table *t);

/* One more attempt failed. `why` is cut to 159 bytes; NULL: none. now_ms: wall time. */
void unreached_add(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                   const struct address *address, enum reach_reason reason, const char *why,
                   uint64_t now_ms);

/* The peer is reached: forgets it. */
void unreached_drop(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES]);

/* Forgets the peer if this is its reason. */
void unreached_mend(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                    enum reach_reason reason);

/* Copies up to `room` rows, the latest first; returns how many it copied. */
size_t unreached_list(struct unreached_table *t, struct unreached *out, size_t room);

#endif
