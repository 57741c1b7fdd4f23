/* carrier.h -- messages in flight between the machines of a test, and the simulated time.
 *
 * Only the jitter is random, with a seed. Of two messages due at the same moment the one posted
 * first is delivered first; frames from one machine to another keep their order. */
#ifndef SHOAL_TEST_SWARM_CARRIER_H
#define SHOAL_TEST_SWARM_CARRIER_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/instant.h"
#include "base/rng.h"

#define CARRIER_MACHINES_MAX 20
#define CARRIER_MAX          65536 /* messages at a time */

struct carried {
    instant at;
    uint64_t number; /* set by the carrier */
    int kind;        /* defined by the test */
    int from, to;    /* machines of the test */
    uint8_t type;    /* of a frame */
    bool ok;
    uint64_t ticket;
    uint8_t *data; /* owned by the carrier; after carrier_take by the caller, who frees it */
    size_t count;
};

struct carrier {
    instant now;
    span delay, jitter; /* of each message: `delay` plus up to `jitter` */
    struct rng rng;
    instant latest[CARRIER_MACHINES_MAX][CARRIER_MACHINES_MAX]; /* arrival of the latest frame */
    struct carried *queue;
    size_t count;
    uint64_t posted;
};

/* The machines of a test. */
struct carrier_machines {
    int count;
    instant (*due)(int i); /* of its next tick; INSTANT_NEVER: it is stopped */
    void (*tick)(int i);
    bool (*takes)(int i); /* false: its messages wait; NULL: all accept */
    void (*deliver)(const struct carried *m);
};

static inline void carrier_init(struct carrier *c, span delay, uint64_t seed)
{
    *c = (struct carrier){.now = {1000000000}, .delay = delay, .rng = rng_init(seed)};
    c->queue = malloc(sizeof *c->queue * CARRIER_MAX);
}

/* Drops all messages in flight. */
static inline void carrier_clear(struct carrier *c)
{
    for (size_t i = 0; i < c->count; i++) free(c->queue[i].data);
    c->count = 0;
}

static inline void carrier_fini(struct carrier *c)
{
    carrier_clear(c);
    free(c->queue);
    c->queue = NULL;
}

/* Arrival time of a message sent now. */
static inline instant carrier_arrival(struct carrier *c)
{
    span way = c->delay;
    if (c->jitter.ns) way.ns += rng_below(&c->rng, c->jitter.ns);
    return instant_after(c->now, way);
}

/* The same, but not before earlier messages to the same machine. */
static inline instant carrier_arrival_in_order(struct carrier *c, int from, int to)
{
    instant at = instant_max(carrier_arrival(c), c->latest[from][to]);
    c->latest[from][to] = at;
    return at;
}

/* Sends m with a copy of `body` followed by `more`. */
static inline void carrier_post(struct carrier *c, struct carried m, struct bytes body,
                                struct bytes more)
{
    cr_assert_lt(c->count, CARRIER_MAX);
    m.count = body.count + more.count;
    m.data = malloc(m.count + 1);
    if (body.count) memcpy(m.data, body.data, body.count);
    if (more.count) memcpy(m.data + body.count, more.data, more.count);
    m.number = c->posted++;
    c->queue[c->count++] = m;
}

/* Index of the next message for a machine that accepts it; SIZE_MAX: there is none. */
static inline size_t carrier_first(const struct carrier *c, bool (*takes)(int i))
{
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < c->count; i++) {
        const struct carried *m = &c->queue[i], *f = &c->queue[first == SIZE_MAX ? i : first];
        if (takes && !takes(m->to)) continue;
        if (first == SIZE_MAX || m->at.ns < f->at.ns ||
            (m->at.ns == f->at.ns && m->number < f->number))
            first = i;
    }
    return first;
}

/* Removes and returns it. */
static inline struct carried carrier_take(struct carrier *c, size_t index)
{
    struct carried m = c->queue[index];
    c->queue[index] = c->queue[--c->count];
    return m;
}

/* Delivers and ticks in order of time, for this long. */
static inline void carrier_run(struct carrier *c, const struct carrier_machines *all, span length)
{
    instant end = instant_after(c->now, length);
    for (uint64_t events = 0;; events++) {
        cr_assert_lt(events, 2000000, "an event loop that spins");
        size_t first = carrier_first(c, all->takes);
        instant at = first == SIZE_MAX ? INSTANT_NEVER : c->queue[first].at;
        int ticking = -1;
        for (int i = 0; i < all->count; i++)
            if (all->due(i).ns < at.ns) {
                at = all->due(i);
                ticking = i;
            }
        if (at.ns > end.ns) break;
        c->now = instant_max(c->now, at);
        if (ticking >= 0) {
            all->tick(ticking);
            continue;
        }
        struct carried m = carrier_take(c, first);
        all->deliver(&m);
        free(m.data);
    }
    c->now = end;
}

#endif
