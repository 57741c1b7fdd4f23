/* unreached.h -- the peers that this node cannot reach, with the latest reason for each.
 *
 * The network's thread fills it, any thread may read it. Bounded: the peers tried longest ago are
 * dropped. A linked peer is not in it. */
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
    struct address address; /* the latest one tried; family 0: none */
    enum reach_reason reason;
    char why[160];              /* a sentence, the peer's or ours */
    uint32_t count;             /* consecutive attempts that failed for this reason */
    uint64_t first_ms, last_ms; /* of those; wall time, milliseconds since 1970 */
};

struct unreached_table {
    pthread_mutex_t lock;
    struct unreached rows[UNREACHED_MAX]; /* latest first */
    size_t count;
};

void unreached_init(struct unreached_table *t);
void unreached_fini(struct unreached_table *t);

/* One more attempt failed. `why` is truncated to 159 bytes; NULL: none. now_ms: wall time. */
void unreached_add(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                   const struct address *address, enum reach_reason reason, const char *why,
                   uint64_t now_ms);

/* The peer is reached: removes it. */
void unreached_drop(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES]);

/* Removes the peer if this is its reason. */
void unreached_mend(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                    enum reach_reason reason);

/* Copies up to `room` rows, latest first; returns the number copied. */
size_t unreached_list(struct unreached_table *t, struct unreached *out, size_t room);

#endif
