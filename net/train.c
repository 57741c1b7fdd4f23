#include "train.h"

#include "base/clock.h"

void train_sends(struct stream *s, bool last)
{
    if (s->sent_first.ns && !last) return; /* it needs no clock for every packet */
    s->sent_last = clock_now();
    if (!s->sent_first.ns) s->sent_first = s->sent_last;
}

/* Is another message that was sent, at least in part, not acknowledged yet? */
static bool more_on_its_way(const struct session *n, const struct stream *but)
{
    for (const struct stream *s = n->all; s; s = s->all_next)
        if (s != but && s->sent_first.ns && s->out.first) return true;
    return false;
}

/* It took as long as its acknowledgements or as its packets, whichever is longer: a queue on the
 * way that drains meanwhile lets the acknowledgements come faster than the packets went. */
void train_acked(struct connection *c, struct stream *s, size_t count, bool last, instant now)
{
    struct endpoint *e = c->endpoint;
    struct session *n = c->session;
    struct train *t = &n->train;
    e->bulk_sent += count;
    if (!t->begun)
        *t = (struct train){
            .begun = true, .sent = s->sent_first, .began = now, .before = e->bulk_sent};
    if (!last) return;
    uint64_t bytes = e->bulk_sent - t->before;
    span sent = instant_since(s->sent_last, t->sent), acked = instant_since(now, t->began);
    span took = span_max(sent, acked);
    bool whole = bytes >= TRAIN_ENOUGH || (bytes >= TRAIN_BYTES && took.ns >= TRAIN_TIME.ns);
    if (whole && e->handlers.train) e->handlers.train(e->handlers.ctx, bytes, took);
    if (whole || !more_on_its_way(n, s)) t->begun = false;
}
