/* exchange.h -- queues between the trainer's thread and the network's thread.
 *
 *     network --orders--> trainer     train, hold, snapshot, apply, ...: in order, none is lost
 *     trainer --events--> network     step, snapshot, applied, ...: in order; of several steps the
 *                                     latest remains
 *
 * Neither waits for the other: a lock is held only during a copy. Only the trainer may sleep, when
 * it has nothing to train. */
#ifndef SHOAL_NODE_EXCHANGE_H
#define SHOAL_NODE_EXCHANGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "swarm/action.h"

#define EXCHANGE_ROOM 64 /* the swarm has at most a handful of orders outstanding; more is a bug */

struct exchange {
    pthread_mutex_t lock;
    pthread_cond_t ordered;
    struct order orders[EXCHANGE_ROOM];
    size_t order_first, order_count;
    struct event events[EXCHANGE_ROOM];
    size_t event_first, event_count;
    void (*wake)(void *self); /* wakes the network's thread; called from any thread */
    void *wake_self;
    /* Completed share of the present epoch, 0 .. 1; the network writes, the trainer reads. */
    _Atomic double share;
};

/* Empty; `wake` must be set before the first exchange_tell (driver_open does so). */
void exchange_init(struct exchange *x);
void exchange_fini(struct exchange *x);

/* Network side: queues an order; takes the next event, false when there is none. Both are
 * copied. */
void exchange_order(struct exchange *x, const struct order *o);
bool exchange_heard(struct exchange *x, struct event *out);

/* Trainer side: takes the next order; queues an event. With `wait` it sleeps until there is an
 * order; otherwise false when there is none. What an event points to stays lent as action.h
 * says. */
bool exchange_next(struct exchange *x, bool wait, struct order *out);
void exchange_tell(struct exchange *x, const struct event *e);

#endif
