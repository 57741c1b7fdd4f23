/* resolver.h -- the names of a peer list, looked up in the background, again and again.
 *
 *     WAITING --due--> ASKED --addresses--> WAITING, due again in five minutes: a name may move
 *                        `-----no answer--> WAITING, due again after 1, 2, 4 s ... five minutes
 *
 * getaddrinfo waits for as long as it likes. So a few threads ask, each one name at a time: a name
 * that hangs holds up nobody else's, and neither the start nor the end of the program. What they
 * find waits in here until the network's thread takes it. */
#ifndef SHOAL_NODE_RESOLVER_H
#define SHOAL_NODE_RESOLVER_H

#include <stdbool.h>

#include "base/instant.h"
#include "node/peerlist.h"

struct resolver_config {
    const struct peerlist_name *names; /* copied */
    size_t count;
    uint64_t seed; /* of the jitter */
    /* Something waits to be taken; called on a thread of the resolver, never after resolver_close
     * returned. */
    void (*wake)(void *ctx);
    void *ctx;
    span retry_first, retry_most, again; /* each +- a quarter */
    /* As resolve_look_up; tests have their own. */
    enum err (*look_up)(const struct resolve_name *name, struct address out[RESOLVE_ADDRESSES_MAX],
                        size_t *count, struct why *w);
};

/* 1 s to 5 minutes, again after 5 minutes, the system's resolver. */
struct resolver_config resolver_defaults(const struct peerlist *p);

struct resolver;

/* Starts up to eight threads, none without names. ERR_MEMORY. */
enum err resolver_open(struct resolver **out, const struct resolver_config *c, struct why *w);

/* Waits for nobody: a thread that is asking ends when its answer is there. NULL is fine. */
void resolver_close(struct resolver *r);

/* What became of one question. */
struct resolver_answer {
    struct peerlist_name of;
    struct address addresses[RESOLVE_ADDRESSES_MAX];
    size_t count; /* 0: none, and `why` says so */
    char why[160];
    uint32_t failures; /* in a row, this one included */
    bool changed;      /* the addresses, or whether there are any, since the answer before */
};

/* The next one; false when there is none. Any thread. */
bool resolver_take(struct resolver *r, struct resolver_answer *out);

#endif
