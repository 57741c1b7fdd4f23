#include "train.h"

#include "base/clock.h"

void train_sends(struct stream *s)
{
    s->train.latest = clock_now();
    if (!s->train.sends) s->train.sent = s->train.latest;
    s->train.sends = true;
}

/* It took as long as its acknowledgements or as its packets, whichever is longer: a queue on the
 * way that drains meanwhile lets the acknowledgements come faster than the packets went. */
void train_acked(struct connection *c, struct stream *s, size_t count, bool last)
{
    struct endpoint *e = c->endpoint;
    struct train *t = &s->train;
    instant now = clock_now();
    e->bulk_sent += count;
    if (!t->acked) { /* the bytes of the first packets were sent before this time */
        t->acked = true;
        t->began = now;
        t->before = e->bulk_sent;
    }
    if (!last || !e->handlers.train || e->bulk_sent == t->before) return;
    span sent = instant_since(t->latest, t->sent), acked = instant_since(now, t->began);
    e->handlers.train(e->handlers.ctx, e->bulk_sent - t->before, sent.ns > acked.ns ? sent : acked);
}
