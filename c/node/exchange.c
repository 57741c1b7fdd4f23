#include "node/exchange.h"

#include <assert.h>
#include <string.h>

void exchange_init(struct exchange *x)
{
    memset(x, 0, sizeof *x);
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->ordered, NULL);
}

void exchange_fini(struct exchange *x)
{
    pthread_cond_destroy(&x->ordered);
    pthread_mutex_destroy(&x->lock);
}

void exchange_order(struct exchange *x, const struct order *o)
{
    pthread_mutex_lock(&x->lock);
    assert(x->order_count < EXCHANGE_ROOM);
    x->orders[(x->order_first + x->order_count++) % EXCHANGE_ROOM] = *o;
    pthread_cond_signal(&x->ordered);
    pthread_mutex_unlock(&x->lock);
}

bool exchange_next(struct exchange *x, bool wait, struct order *out)
{
    pthread_mutex_lock(&x->lock);
    while (wait && x->order_count == 0) pthread_cond_wait(&x->ordered, &x->lock);
    bool any = x->order_count > 0;
    if (any) {
        *out = x->orders[x->order_first];
        x->order_first = (x->order_first + 1) % EXCHANGE_ROOM;
        x->order_count--;
    }
    pthread_mutex_unlock(&x->lock);
    return any;
}

void exchange_tell(struct exchange *x, const struct event *e)
{
    pthread_mutex_lock(&x->lock);
    struct event *last =
        x->event_count ? &x->events[(x->event_first + x->event_count - 1) % EXCHANGE_ROOM] : NULL;
    if (last && last->kind == EVENT_STEP && e->kind == EVENT_STEP) {
        *last = *e; /* progress is cumulative: the newest is enough */
    } else {
        assert(x->event_count < EXCHANGE_ROOM);
        x->events[(x->event_first + x->event_count++) % EXCHANGE_ROOM] = *e;
    }
    pthread_mutex_unlock(&x->lock);
    x->wake(x->wake_self);
}

bool exchange_heard(struct exchange *x, struct event *out)
{
    pthread_mutex_lock(&x->lock);
    bool any = x->event_count > 0;
    if (any) {
        *out = x->events[x->event_first];
        x->event_first = (x->event_first + 1) % EXCHANGE_ROOM;
        x->event_count--;
    }
    pthread_mutex_unlock(&x->lock);
    return any;
}
