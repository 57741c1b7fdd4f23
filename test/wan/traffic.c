#include "traffic.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* In a test program, running out of memory is fatal. */
static void *memory(void *p)
{
    if (!p) abort();
    return p;
}

void traffic_init(struct traffic *t, uint32_t nodes, uint64_t seed)
{
    *t = (struct traffic){.nodes = nodes};
    t->links = memory(calloc((size_t)nodes * nodes, sizeof *t->links));
    for (uint32_t i = 0; i < nodes * nodes; i++) {
        t->links[i].is = matrix_plain();
        t->links[i].chance = rng_split(rng_init(seed), i);
    }
}

void traffic_fini(struct traffic *t)
{
    for (size_t i = 0; i < t->count; i++) free(t->queue[i]);
    free(t->queue);
    free(t->links);
}

struct traffic_link *traffic_link(struct traffic *t, uint32_t from, uint32_t to)
{
    assert(from < t->nodes && to < t->nodes);
    return &t->links[from * t->nodes + to];
}

void traffic_rule(struct traffic *t, const struct matrix_rule *r)
{
    for (uint32_t i = 0; i < t->nodes; i++)
        for (uint32_t j = 0; j < t->nodes; j++)
            if (matrix_covers(r, i, j)) matrix_apply(r, &traffic_link(t, i, j)->is);
}

/* At a tie in the order of offering: a link without a rate keeps its packets in order. */
static bool before(const struct traffic_packet *a, const struct traffic_packet *b)
{
    return a->at.ns != b->at.ns ? a->at.ns < b->at.ns : a->order < b->order;
}

static void push(struct traffic *t, struct traffic_packet *p)
{
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 256;
        t->queue = memory(realloc(t->queue, t->room * sizeof(struct traffic_packet *)));
    }
    size_t i = t->count++;
    for (; i > 0 && before(p, t->queue[(i - 1) / 2]); i = (i - 1) / 2)
        t->queue[i] = t->queue[(i - 1) / 2];
    t->queue[i] = p;
}

static struct traffic_packet *pop(struct traffic *t)
{
    struct traffic_packet *first = t->queue[0], *last = t->queue[--t->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->count; i = child) {
        if (child + 1 < t->count && before(t->queue[child + 1], t->queue[child])) child++;
        if (!before(t->queue[child], last)) break;
        t->queue[i] = t->queue[child];
    }
    t->queue[i] = last;
    return first;
}

/* When the link's rate allows the packet to pass; INSTANT_NEVER: the queue is full. */
static instant passes(struct traffic_link *l, instant now, size_t bytes)
{
    if (l->is.rate_mbit <= 0) return now;
    double ns_per_byte = 8000 / l->is.rate_mbit;
    double waiting = (double)instant_since(l->free, now).ns / ns_per_byte;
    if (waiting + (double)bytes > l->is.queue_kib * 1024) return INSTANT_NEVER;
    instant begins = instant_max(l->free, now);
    l->free = instant_after(begins, span_ns((uint64_t)((double)bytes * ns_per_byte)));
    return l->free;
}

void traffic_offer(struct traffic *t, instant now, uint32_t from, uint32_t to, const void *data,
                   size_t bytes)
{
    struct traffic_link *l = traffic_link(t, from, to);
    l->count.packets++;
    l->count.bytes += bytes;
    /* Always drawn: a cut does not change later losses. */
    bool lost = rng_unit(&l->chance) < l->is.loss;
    if (l->is.cut) {
        l->count.cut++;
        return;
    }
    instant passed = t->held + bytes > TRAFFIC_HELD_MAX ? INSTANT_NEVER : passes(l, now, bytes);
    if (passed.ns == INSTANT_NEVER.ns) {
        l->count.full++;
        return;
    }
    if (lost) {
        l->count.lost++;
        return;
    }
    struct traffic_packet *p = memory(malloc(sizeof *p + bytes));
    *p = (struct traffic_packet){.order = t->order++, .from = from, .to = to, .bytes = bytes};
    p->at = instant_after(passed, span_ns((uint64_t)(l->is.delay_ms * 1e6)));
    memcpy(p->data, data, bytes);
    t->held += bytes;
    push(t, p);
}

instant traffic_due(const struct traffic *t) { return t->count ? t->queue[0]->at : INSTANT_NEVER; }

struct traffic_packet *traffic_take(struct traffic *t, instant now)
{
    if (!t->count || !instant_reached(now, t->queue[0]->at)) return NULL;
    struct traffic_packet *p = pop(t);
    struct traffic_link *l = traffic_link(t, p->from, p->to);
    l->count.delivered++;
    l->count.delivered_bytes += p->bytes;
    t->held -= p->bytes;
    return p;
}
