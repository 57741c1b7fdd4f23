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
    t->lines = memory(calloc(nodes, sizeof *t->lines));
    for (uint32_t i = 0; i < nodes * nodes; i++) t->links[i].chance = rng_split(rng_init(seed), i);
    traffic_reset(t);
}

void traffic_reset(struct traffic *t)
{
    for (uint32_t i = 0; i < t->nodes * t->nodes; i++) t->links[i].is = matrix_plain();
    for (uint32_t i = 0; i < t->nodes; i++) t->lines[i].is = (struct matrix_line){0};
}

void traffic_fini(struct traffic *t)
{
    for (size_t i = 0; i < t->count; i++) free(t->queue[i]);
    free(t->queue);
    free(t->links);
    free(t->lines);
}

struct traffic_link *traffic_link(struct traffic *t, uint32_t from, uint32_t to)
{
    assert(from < t->nodes && to < t->nodes);
    return &t->links[from * t->nodes + to];
}

void traffic_rule(struct traffic *t, const struct matrix_rule *r)
{
    for (uint32_t i = 0; i < t->nodes; i++) {
        if (matrix_covers_line(r, i)) matrix_apply_line(r, &t->lines[i].is);
        for (uint32_t j = 0; j < t->nodes; j++)
            if (matrix_covers(r, i, j)) matrix_apply(r, &traffic_link(t, i, j)->is);
    }
}

/* At a tie in the order of offering, or of arrival at a line down: packets stay in order where
 * there is no rate. */
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
    p->order = t->order++;
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

/* When a packet that comes at `now` has passed the rate; INSTANT_NEVER: the queue is full. */
static instant passes(struct traffic_queue *q, double mbit, double kib, instant now, size_t bytes)
{
    if (mbit <= 0) return now;
    double ns_per_byte = 8000 / mbit;
    double waiting = (double)instant_since(q->free, now).ns / ns_per_byte;
    if (waiting + (double)bytes > kib * 1024) return INSTANT_NEVER;
    instant begins = instant_max(q->free, now);
    q->free = instant_after(begins, span_ns((uint64_t)((double)bytes * ns_per_byte)));
    return q->free;
}

/* The same for a line of this rate. */
static instant passes_line(struct traffic_queue *q, const struct matrix_line *l, double mbit,
                           instant now, size_t bytes)
{
    const double kib_in_100_ms = mbit * 1e5 / 8 / 1024;
    double kib = l->line_kib > 0 ? l->line_kib : kib_in_100_ms > 64 ? kib_in_100_ms : 64;
    return passes(q, mbit, kib, now, bytes);
}

static bool never(instant t) { return t.ns == INSTANT_NEVER.ns; }

/* Passes what comes before the flight: returns the counter of what stops the packet, or NULL and
 * in `left` when its flight begins. */
static uint64_t *stopped(struct traffic_line *line, struct traffic_link *l, bool lost, size_t bytes,
                         instant now, instant *left)
{
    *left = passes_line(&line->up, &line->is, line->is.up_mbit, now, bytes);
    if (never(*left)) return &l->count.full;
    if (l->is.cut) return &l->count.cut;
    *left = passes(&l->queue, l->is.rate_mbit, l->is.queue_kib, *left, bytes);
    if (never(*left)) return &l->count.full;
    return lost ? &l->count.lost : NULL;
}

void traffic_offer(struct traffic *t, instant now, uint32_t from, uint32_t to, const void *data,
                   size_t bytes)
{
    struct traffic_link *l = traffic_link(t, from, to);
    l->count.packets++;
    l->count.bytes += bytes;
    /* Always drawn: a cut does not change later losses. */
    bool lost = rng_unit(&l->chance) < l->is.loss;
    instant left;
    uint64_t *reason = t->held + bytes > TRAFFIC_HELD_MAX
                           ? &l->count.full
                           : stopped(&t->lines[from], l, lost, bytes, now, &left);
    if (reason) {
        ++*reason;
        return;
    }
    struct traffic_packet *p = memory(malloc(sizeof *p + bytes));
    *p = (struct traffic_packet){.from = from, .to = to, .bytes = bytes};
    p->at = instant_after(left, span_ns((uint64_t)(l->is.delay_ms * 1e6)));
    memcpy(p->data, data, bytes);
    t->held += bytes;
    push(t, p);
}

instant traffic_due(const struct traffic *t) { return t->count ? t->queue[0]->at : INSTANT_NEVER; }

/* The packet has reached the receiver's line: queues it there, or drops it. False: there is no
 * limit, it has arrived. */
static bool waits(struct traffic *t, struct traffic_packet *p)
{
    struct traffic_line *line = &t->lines[p->to];
    if (p->passed || line->is.down_mbit <= 0) return false;
    instant at = passes_line(&line->down, &line->is, line->is.down_mbit, p->at, p->bytes);
    if (never(at)) {
        traffic_link(t, p->from, p->to)->count.full++;
        t->held -= p->bytes;
        free(p);
        return true;
    }
    p->passed = true;
    p->at = at;
    push(t, p);
    return true;
}

struct traffic_packet *traffic_take(struct traffic *t, instant now)
{
    while (t->count && instant_reached(now, t->queue[0]->at)) {
        struct traffic_packet *p = pop(t);
        if (waits(t, p)) continue;
        struct traffic_link *l = traffic_link(t, p->from, p->to);
        l->count.delivered++;
        l->count.delivered_bytes += p->bytes;
        t->held -= p->bytes;
        return p;
    }
    return NULL;
}
