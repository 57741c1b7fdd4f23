/* peerlist.h -- where a node may start: lines of ID@host:port, in files or given one by one.
 *
 *     # any text                            a comment, on a line of its own
 *     0123...cdef@192.0.2.1:4433            # or behind an entry
 *     0123...cdef@node.example.org:4433     a name: looked up later (resolver.h)
 *
 * Editors' leftovers are no mistakes: a byte order mark, CR LF, blanks around an entry, empty
 * lines. Each line that cannot be read otherwise is reported with its file and number. */
#ifndef SHOAL_NODE_PEERLIST_H
#define SHOAL_NODE_PEERLIST_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"
#include "net/resolve.h"
#include "swarm/peer.h"

#define PEERLIST_MAX        NODE_LISTED_MAX /* entries; more are counted and left out */
#define PEERLIST_FILE_BYTES (16u << 20)

struct peerlist_name {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct resolve_name name;
};

/* An ID may stand in several lines, with several addresses and names. */
struct peerlist {
    /* Each ID once, with its first address; family 0: it has none yet. */
    struct peer_address *entries;
    size_t count;
    struct peer_address *more; /* further addresses of those */
    size_t more_count;
    struct peerlist_name *names; /* to be looked up */
    size_t names_count;
    size_t left_out; /* entries beyond PEERLIST_MAX */
};

/* What could not be read. If there are several, `say` hears each as it is found, 20 at most. */
struct peerlist_faults {
    void (*say)(void *ctx, const char *text); /* a sentence with file and line; may be NULL */
    void *ctx;
    size_t count;
    struct why first;
};

/* An empty list. ERR_MEMORY. */
enum err peerlist_init(struct peerlist *p, struct why *w);
void peerlist_free(struct peerlist *p);

/* Adds one entry. One of `self`, whose line may stand in a list that all share, and what is there
 * already are left out. ERR_USAGE for what is no ID@host:port. */
enum err peerlist_add(struct peerlist *p, const char *text, const uint8_t self[CRYPTO_KEY_BYTES],
                      struct why *w);

/* One more name to look up: our own (swarm.advertise). Once at most. */
void peerlist_add_own_name(struct peerlist *p, const struct peerlist_name *n);

/* Adds the lines of a file's text; `name` is the file in messages. */
void peerlist_parse(struct peerlist *p, const char *name, struct bytes text,
                    const uint8_t self[CRYPTO_KEY_BYTES], struct peerlist_faults *faults);

/* Adds all sources, files or entries. ERR_USAGE or ERR_IO with one sentence, or with the number of
 * those that were said. */
enum err peerlist_read(struct peerlist *p, const char *const *sources, size_t count,
                       const uint8_t self[CRYPTO_KEY_BYTES], struct peerlist_faults *faults,
                       struct why *w);

/* Adds peers that are known from elsewhere, before all others, in their order; behind them when
 * there is no memory to move them. */
void peerlist_put_first(struct peerlist *p, const struct peer_address *known, size_t count);

/* Puts the entries into a random order: nodes that share a list do not all dial its first lines
 * first. */
void peerlist_shuffle(struct peerlist *p, struct rng *rng);

#endif
