/* peer.h -- basic definitions of a peer for all of swarm/: names, phases and limits. Includes
 * nothing else from swarm/. */
#ifndef SHOAL_SWARM_PEER_H
#define SHOAL_SWARM_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "base/crypto.h"
#include "base/instant.h"
#include "base/reach.h"

/* A node's short name on the wire: the first 8 bytes of its ID, as a little-endian integer. Never
 * 0. */
typedef uint64_t sid;

/* ---- limits ---- */

#define NODE_GROUP_MAX   20   /* members of one averaging group, and live members of a swarm */
#define NODE_PAST_MAX    8    /* rounds kept for members that missed them */
#define NODE_LISTED_MAX  4096 /* entries of the peer list that a node starts with */
#define NODE_LISTS_MAX   16   /* further lists, which come later */
#define NODE_LATER_MAX   256  /* entries kept of each of these */
#define NODE_SHARED_MAX  2048 /* bytes of the settings that all members must share, as text */
#define NODE_SECRET_MIN  16   /* bytes of a closed swarm's secret */
#define NODE_STORY_BYTES 512  /* bytes of a sentence about what differs */

/* ---- what one peer sees of another ---- */

/* What a peer is doing. Wire values. */
enum peer_phase {
    PHASE_JOIN,    /* has started and listens */
    PHASE_SYNC,    /* downloads a state */
    PHASE_TRAIN,   /* inner steps */
    PHASE_MATCH,   /* looks for a group */
    PHASE_REDUCE,  /* averages with its group, or does the outer step */
    PHASE_DONE,    /* the run is over for it */
    PHASE_LEAVING, /* has said goodbye, or will at once */
    PHASE_OBSERVER /* takes part in no round and serves no state */
};

enum peer_health { HEALTH_ALIVE, HEALTH_SUSPECT, HEALTH_DEAD, HEALTH_LEFT };

struct peer_address {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address address;
};

/* A member that another member cannot reach. */
struct peer_unreached {
    sid sid;
    enum reach_reason reason;
};

#define NODE_PEERS_MAX 65 /* self and MEMBERS_MAX */

/* What a node knows of a peer, for status and the peer list. */
struct node_peer {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct address address; /* family 0: not known */
    enum peer_health health;
    enum peer_phase phase;
    uint64_t epoch, steps, tokens; /* outer steps; inner steps and tokens since the latest */
    uint64_t lineage;              /* its first 8 bytes, little-endian */
    uint32_t tokens_per_s;
    float loss;               /* nats per token */
    span age;                 /* of phase, epoch and the fields after it; 0 for self */
    bool self, linked;        /* linked: there is a usable link to it */
    sid via;                  /* the member through which it is spoken to; 0: none */
    uint32_t unreached_count; /* members that it says it cannot reach */
    struct peer_unreached unreached[NODE_GROUP_MAX];
};

/* Do `in` of `all` decide for all? More than half do, or half with the one of the smallest sid. */
static inline bool majority(uint32_t in, uint32_t all, bool smallest_in)
{
    return 2 * in > all || (2 * in == all && smallest_in);
}

/* The first 8 bytes of an ID or a digest, as a little-endian integer. */
static inline uint64_t first_eight(const uint8_t *bytes)
{
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--) word = word << 8 | bytes[i];
    return word;
}

#define FIRST_EIGHT_DIGITS 17 /* with the terminating zero */

/* The same as the first 16 hexadecimal digits of the ID or digest. */
static inline const char *first_eight_print(uint64_t word, char out[FIRST_EIGHT_DIGITS])
{
    snprintf(out, FIRST_EIGHT_DIGITS, "%016llx", (unsigned long long)__builtin_bswap64(word));
    return out;
}

#endif
