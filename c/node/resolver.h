/* resolver.h -- looks up the names of a peer list repeatedly, in the background.
 *
 *     WAITING --due--> ASKED --addresses--> WAITING, due again in five minutes: a name may move
 *                        `-----no answer--> WAITING, due again after 1, 2, 4 s ... five minutes
 *
 * getaddrinfo may block for long. So a few threads call it, each for one name at a time: a name
 * that hangs delays no other one, nor the start or end of the program. Answers wait here until the
 * network's thread takes them. */
#ifndef SHOAL_NODE_RESOLVER_H
#define SHOAL_NODE_RESOLVER_H

#include <stdbool.h>

#include "base/instant.h"
#include "node/peerlist.h"

struct resolver_config {
    const struct peerlist_name *names; /* copied */
    size_t count;
    uint64_t seed; /* of the jitter */
    /* An answer waits to be taken; called on a thread of the resolver, never after resolver_close
     * returned. */
    void (*wake)(void *ctx);
    void *ctx;
    span retry_first, retry_most, again; /* each +- a quarter */
    /* Like resolve_look_up; tests set their own. */
    enum err (*look_up)(const struct resolve_name *name, struct address out[RESOLVE_ADDRESSES_MAX],
                        size_t *count, struct why *w);
};

/* 1 s to 5 minutes, again after 5 minutes, the system's resolver. */
struct resolver_config resolver_defaults(const struct peerlist *p);

struct resolver;

/* Starts up to eight threads, or none without names. ERR_MEMORY. */
enum err resolver_open(struct resolver **out, const struct resolver_config *c, struct why *w);

/* Does not wait: a thread in a look-up ends when its answer arrives. NULL is fine. */
void resolver_close(struct resolver *r);

/* The result of one look-up. */
struct resolver_answer {
    struct peerlist_name of;
    struct address addresses[RESOLVE_ADDRESSES_MAX];
    size_t count; /* 0: none, and `why` says so */
    char why[160];
    uint32_t failures; /* consecutive, including this one */
    /* The addresses, or whether there are any, changed since the previous answer. */
    bool changed;
};

/* Takes the next answer; false when there is none. From any thread. */
bool resolver_take(struct resolver *r, struct resolver_answer *out);

#endif
