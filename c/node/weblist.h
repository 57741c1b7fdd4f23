/* weblist.h -- peer lists on https servers, read in the background.
 *
 *     DUE --asked--> ASKED --list--> WAITING, due again after a minute
 *                      `--failed---> WAITING, due again after 5, 10, 20 s ... a minute
 *
 * Each list has a thread, so that one that hangs delays no other one, nor the start or end of the
 * program. All are read at the start, and again when they are due while the worker is alone. A list
 * is a stranger's text: what cannot be read of it is left out. Answers wait here until the network's
 * thread takes them. */
#ifndef SHOAL_NODE_WEBLIST_H
#define SHOAL_NODE_WEBLIST_H

#include <stdbool.h>

#include "base/instant.h"
#include "node/peerlist.h"

#define WEBLIST_BYTES (1u << 20) /* longest list */

struct weblist_config {
    const struct url *urls; /* copied */
    size_t count;           /* at most PEERLIST_URLS_MAX */
    uint8_t self[CRYPTO_KEY_BYTES];
    uint64_t seed; /* of the jitter */
    /* An answer waits to be taken; called on a thread of the lists, never after weblists_close
     * returned. */
    void (*wake)(void *ctx);
    void *ctx;
    span patience;                       /* for one answer */
    span retry_first, retry_most, again; /* each +- a quarter */
};

/* 10 s; 5 s to a minute; again after a minute. */
struct weblist_config weblist_defaults(const struct peerlist *p);

struct weblists;

/* Starts a thread for each list, or none without lists. ERR_MEMORY. */
enum err weblists_open(struct weblists **out, const struct weblist_config *c, struct why *w);

/* Does not wait: threads end soon, or when the look-up of a name does. NULL is fine. */
void weblists_close(struct weblists *l);

/* Is the worker linked to nobody? At the start it is not. NULL is fine. */
void weblists_alone(struct weblists *l, bool alone);

/* What came of asking for one list. */
struct weblist_answer {
    size_t index;          /* of the URL */
    bool first;            /* it is the first one of this list */
    bool unchanged;        /* the list is what it was */
    struct peerlist *list; /* the new one, to be given to weblist_free; else NULL */
    size_t faults;         /* lines of it that cannot be read */
    char fault[400];       /* about the first of them, printable */
    char why[400];         /* why there is no list; "" when there is one. Printable. */
    uint32_t failures;     /* consecutive, including this one */
    bool changed;          /* `why` is another one than before */
    uint32_t ms;           /* it took */
};

/* Takes the next answer; false when there is none, or no lists. From any thread. */
bool weblists_take(struct weblists *l, struct weblist_answer *out);

void weblist_free(struct peerlist *list);

#endif
