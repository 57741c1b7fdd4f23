/* peers.h -- whom a node may start from, and whom it cannot reach.
 *
 *     peer lists (peerlist.h) --\                     /--> the node's list at its start
 *     those met before (known.h) +--> what is known --+--> an address, when a name is looked up
 *     ends of dials and links --/                     \--> whom it cannot reach (unreached.h)
 *
 * One thread, but for peers_unreached and the wake. */
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
    const char *identity;  /* file of our key: those met are remembered in IDENTITY.peers */
    const char *advertise; /* host:port at which peers reach us, or ""; lent for peers_open */
    uint8_t self[CRYPTO_KEY_BYTES], run_id[CRYPTO_DIGEST_BYTES];
    uint64_t seed;         /* of the order and of the resolver's jitter */
    struct event_log *log; /* may be NULL */
    void *ctx;
    /* A peer of the lists, or we ourselves, may be reached there: EVENT_ADDRESS. */
    void (*address)(void *ctx, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a);
    void (*warn)(void *ctx, const char *text); /* a sentence for the user and the log */
    void (*wake)(void *ctx);                   /* any thread: peers_answers has something to do */
};

struct peers {
    struct peers_config c;
    struct peerlist list;     /* entries: what the node starts with */
    struct address advertise; /* family 0: it is empty, or a name that is being looked up */
    struct known *known;
    struct resolver *resolver;
    struct unreached_table unreached;
};

/* Reads lists and those met before. ERR_USAGE or ERR_IO for what cannot be read in the lists, or
 * advertised; each of several mistakes is said on stderr. peers_close is due in any case. */
enum err peers_open(struct peers *p, const struct peers_config *c, struct why *w);

/* peers_start begins to look names up; ERR_MEMORY. peers_tell calls `address` for every further
 * address in the lists: the node starts with one address of each peer. */
enum err peers_start(struct peers *p, struct why *w);
void peers_tell(struct peers *p);

/* Takes what the resolver found. */
void peers_answers(struct peers *p);

/* A dial that failed, or a link that ended: into the log, and into the table when it says
 * why that peer cannot be reached. */
void peers_ended(struct peers *p, const struct link_end *end);

/* The members now, once a second: remembers those who are alive. Returns how many have a link to
 * us; two links to the same one, as both sides may dial at once, count once. */
size_t peers_see(struct peers *p, const struct node_peer *all, size_t count, instant now);

/* Whom we cannot reach, those tried last first; returns how many. Any thread. */
size_t peers_unreached(struct peers *p, struct unreached *out, size_t room);

/* Remembers those met since the latest write; waits for the disk, not for the resolver. */
void peers_close(struct peers *p);

#endif
