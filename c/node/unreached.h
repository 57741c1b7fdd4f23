/* unreached.h -- whom this node cannot reach, and why: the latest reason for each peer.
 *
 * The network's thread fills it, any thread may look. Bounded: of very many peers the ones tried longest ago are
 * forgotten. A peer that is linked is no longer in it. */
#ifndef SHOAL_NODE_UNREACHED_H
#define SHOAL_NODE_UNREACHED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/crypto.h"

#define UNREACHED_MAX 256

enum unreached_reason {
    UNREACHED_SILENT,  /* no answer */
    UNREACHED_KEY,     /* another key than the one dialled answers there */
    UNREACHED_RUN,     /* of another experiment */
    UNREACHED_VERSION, /* of another version of the protocol, or another protocol */
    UNREACHED_FAMILY,  /* its address is of a family that we do not speak */
    UNREACHED_FULL,    /* it, or its swarm, has no room */
    UNREACHED_NAME,    /* its name does not resolve */
    UNREACHED_CLONE,   /* it has our own key */
    UNREACHED_OTHER,   /* the sentence says what */
    UNREACHED_REASONS
};

struct unreached {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address address; /* the latest that was tried; family 0: there is none */
    enum unreached_reason reason;
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

/* One more attempt came to nothing. */
void unreached_add(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                   const struct address *address, enum unreached_reason reason, const char *why,
                   uint64_t now_ms);

/* It is reached. */
void unreached_drop(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES]);

/* This reason is gone; another one stays. */
void unreached_mend(struct unreached_table *t, const uint8_t id[CRYPTO_KEY_BYTES],
                    enum unreached_reason reason);

/* Copies up to `room` rows, the latest first; returns how many it copied. */
size_t unreached_list(struct unreached_table *t, struct unreached *out, size_t room);

/* "no answer", "wrong key", ... */
const char *unreached_word(enum unreached_reason reason);

/* What a link's or a dial's end means (enum link_close); UNREACHED_REASONS: nothing, as an end that was polite does. `up`:
 * it had been up, and a peer that is lost is not yet one that cannot be reached. */
enum unreached_reason unreached_of(uint32_t code, bool up);

#endif
