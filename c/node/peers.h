/* peers.h -- the peers a node may start from, and those it cannot reach.
 *
 *     peer lists (peerlist.h) --\                     /--> the node's list at its start
 *     https lists (weblist.h) ---+--> what is known --+--> entries, when a list was fetched
 *     those met before (known.h) +                    +--> an address, when a name is looked up
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
#include "node/weblist.h"

#define PEERS_LATER_NAMES 64 /* names looked up of each list that came later */

struct peers_config {
    /* Files or https URLs of ID@host:port lines, or such lines; lent for peers_open. */
    const char *const *sources;
    size_t sources_count;
    const char *identity;  /* file of our key: met peers are saved in IDENTITY.peers */
    const char *advertise; /* host:port at which peers reach us, or ""; lent for peers_open */
    uint8_t self[CRYPTO_KEY_BYTES], run_id[CRYPTO_DIGEST_BYTES];
    uint64_t seed;         /* of the shuffle and the resolver's jitter */
    struct event_log *log; /* may be NULL */
    void *ctx;
    /* A peer of the lists, or this node, can be reached there: EVENT_ADDRESS. `list`: 0, or the
     * number of a list that came later. */
    void (*address)(void *ctx, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a,
                    uint32_t list);
    /* An entry of a list that came later: EVENT_LISTED. After the first answer of each list:
     * EVENT_LIST_READ. */
    void (*listed)(void *ctx, const struct peer_address *p, uint32_t list);
    void (*list_read)(void *ctx, uint32_t list);
    void (*warn)(void *ctx, const char *text); /* a sentence for the user and the log */
    void (*wake)(void *ctx);                   /* from any thread: call peers_answers */
};

struct peers {
    struct peers_config c;
    struct rng rng;
    struct peerlist list;     /* entries: what the node starts with; urls: the lists to come */
    struct address advertise; /* family 0: there is none, or its name is being looked up */
    struct known *known;
    struct resolver *resolver;
    struct weblists *web;
    struct {                   /* of each URL */
        struct peerlist *list; /* the latest; NULL: none */
        struct resolver *resolver;
    } later[PEERLIST_URLS_MAX];
    struct unreached_table unreached;
};

/* Reads the lists and the peers met before. ERR_USAGE or ERR_IO for a list that cannot be read or
 * an address that cannot be advertised; with several mistakes each is reported on stderr. Call
 * peers_close in any case. */
enum err peers_open(struct peers *p, const struct peers_config *c, struct why *w);

/* peers_start begins to look names up and to fetch lists; ERR_MEMORY. peers_tell calls `address` for every further
 * address in the lists: the node starts with one address per peer. */
enum err peers_start(struct peers *p, struct why *w);
void peers_tell(struct peers *p);

/* Handles the answers of resolvers and of https servers. */
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
