/* peerlist.h -- the peers that a node may start from: lines of ID@host:port, in files, on https
 * servers (weblist.h) or given one by one.
 *
 *     # any text                            a comment, on a line of its own
 *     0123...cdef@192.0.2.1:4433            # or after an entry
 *     0123...cdef@node.example.org:4433     a name: looked up later (resolver.h)
 *
 * What editors leave behind is accepted: a byte order mark, CR LF, blanks around an entry, empty
 * lines. Any other unreadable line is reported with its file and number. */
#ifndef SHOAL_NODE_PEERLIST_H
#define SHOAL_NODE_PEERLIST_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"
#include "base/url.h"
#include "net/resolve.h"
#include "swarm/peer.h"

#define PEERLIST_MAX        NODE_LISTED_MAX /* entries; more are counted and dropped */
#define PEERLIST_FILE_BYTES (16u << 20)
#define PEERLIST_URLS_MAX   NODE_LISTS_MAX

struct peerlist_name {
    uint8_t id[CRYPTO_KEY_BYTES];
    struct resolve_name name;
};

/* An ID may occur in several lines, with several addresses and names. */
struct peerlist {
    /* Each ID once, with its first address; family 0: it has none yet. */
    struct peer_address *entries;
    size_t count;
    struct peer_address *more; /* further addresses of the entries */
    size_t more_count;
    struct peerlist_name *names; /* to be looked up */
    size_t names_count;
    struct url *urls; /* lists that are still to be read */
    size_t urls_count;
    size_t left_out; /* entries beyond PEERLIST_MAX */
};

/* Lines that could not be read. With several, `say` gets each as it is found, at most 20. */
struct peerlist_faults {
    void (*say)(void *ctx, const char *text); /* a sentence with file and line; may be NULL */
    void *ctx;
    size_t count;
    struct why first;
};

/* An empty list. ERR_MEMORY. */
enum err peerlist_init(struct peerlist *p, struct why *w);
void peerlist_free(struct peerlist *p);

/* Adds one entry. Skips entries of `self`, whose line may be in a list that all share, and known
 * entries. ERR_USAGE unless it is ID@host:port. */
enum err peerlist_add(struct peerlist *p, const char *text, const uint8_t self[CRYPTO_KEY_BYTES],
                      struct why *w);

/* One more name to look up: our own (swarm.advertise). At most once. */
void peerlist_add_own_name(struct peerlist *p, const struct peerlist_name *n);

/* Adds the lines of a file's text; `name` is the file in messages. */
void peerlist_parse(struct peerlist *p, const char *name, struct bytes text,
                    const uint8_t self[CRYPTO_KEY_BYTES], struct peerlist_faults *faults);

/* Adds all sources: files, entries, or URLs, which are only kept. ERR_USAGE or ERR_IO with one
 * sentence, or with the number of faults reported. */
enum err peerlist_read(struct peerlist *p, const char *const *sources, size_t count,
                       const uint8_t self[CRYPTO_KEY_BYTES], struct peerlist_faults *faults,
                       struct why *w);

/* Inserts peers known from elsewhere before all others, in their order; at the end when there is no
 * memory to move entries. */
void peerlist_put_first(struct peerlist *p, const struct peer_address *known, size_t count);

/* Shuffles the entries: nodes that share a list do not all dial its first lines first. */
void peerlist_shuffle(struct peerlist *p, struct rng *rng);

#endif
