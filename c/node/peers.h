/* peers.h -- the peers a node may start from, and those it cannot reach.
 *
 *     peer lists (peerlist.h) --\                     /--> the node's list at its start
 *     those met before (known.h) +--> what is known --+--> an address, when a name is looked up
 *     ends of dials and links --/                     \--> peers it cannot reach (unreached.h)
 *
 * One thread, except for peers_unreached and the wake. */
#ifndef SHOAL_NODE_PEERS_H
#define SHOAL_NODE_PEERS_H

#include "base/event_log.h"
#include "net/link.h"
#include "node/known.h"
#include "node/peerlist.h"
#include "node/resolver.h"
#include "node/unreached.h"

struct peers_config {
    /* Files of ID@host:port lines, or such lines; lent for peers_open. */
    const char *const *sources;
    size_t sources_count;
    const char *identity;  /* file of our key: met peers are saved in IDENTITY.peers */
    const char *advertise; /* host:port at which peers reach us, or ""; lent for peers_open */
    uint8_t self[CRYPTO_KEY_BYTES], run_id[CRYPTO_DIGEST_BYTES];
    uint64_t seed;         /* of the shuffle and the resolver's jitter */
    struct event_log *log; /* may be NULL */
    void *ctx;
    /* A peer of the lists, or this node, can be reached there: EVENT_ADDRESS. */
    void (*address)(void *ctx, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a);
    void (*warn)(void *ctx, const char *text); /* a sentence for the user and the log */
    void (*wake)(void *ctx);                   /* from any thread: call peers_answers */
};

struct peers {
    struct peers_config c;
    struct peerlist list;     /* entries: what the node starts with */
    struct address advertise; /* family 0: there is none, or its name is being looked up */
    struct known *known;
    struct resolver *resolver;
    struct unreached_table unreached;
};

/* Reads the lists and the peers met before. ERR_USAGE or ERR_IO for a list that cannot be read or
 * an address that cannot be advertised; with several mistakes each is reported on stderr. Call
 * peers_close in any case. */
enum err peers_open(struct peers *p, const struct peers_config *c, struct why *w);

/* peers_start begins to look names up; ERR_MEMORY. peers_tell calls `address` for every further
 * address in the lists: the node starts with one address per peer. */
enum err peers_start(struct peers *p, struct why *w);
void peers_tell(struct peers *p);

/* Handles the resolver's answers. */
void peers_answers(struct peers *p);

/* A dial that failed, or a link that ended: writes it to the log, and to the table if it explains
 * why that peer cannot be reached. A stranger's link does neither: there may be any number of
 * them, and they are counted (endpoint_counters). */
void peers_ended(struct peers *p, const struct link_end *end);

/* The present members, once a second: remembers the live ones. Returns the number of members linked
 * to us, each counted once even with two links. */
size_t peers_see(struct peers *p, const struct node_peer *all, size_t count, instant now);

/* The peers that we cannot reach, most recently tried first; returns their number. From any
 * thread. */
size_t peers_unreached(struct peers *p, struct unreached *out, size_t room);

/* Saves the peers met since the latest write; waits for the disk, not for the resolver. */
void peers_close(struct peers *p);

#endif
