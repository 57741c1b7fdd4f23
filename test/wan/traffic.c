#include "traffic.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "icmp.h"
#include "plan.h"

#define NAT_TIMEOUT_S 30

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
    t->nats = memory(calloc(nodes, sizeof *t->nats));
    for (uint32_t i = 0; i < nodes * nodes; i++)
        for (uint32_t j = 0; j < TRAFFIC_CHANCES; j++)
            t->links[i].chance[j] = rng_split(rng_split(rng_init(seed), i), j);
    for (uint32_t i = 0; i < nodes; i++)
        nat_init(&t->nats[i], plan_private(i), plan_public(i),
                 rng_split(rng_init(seed), (uint64_t)nodes * nodes + i));
    traffic_reset(t);
}

void traffic_reset(struct traffic *t)
{
    for (uint32_t i = 0; i < t->nodes * t->nodes; i++) t->links[i].is = matrix_plain();
    for (uint32_t i = 0; i < t->nodes; i++) t->lines[i].is = (struct matrix_line){0};
}

void traffic_fini(struct traffic *t)
{
    for (size_t i = 0; i < t->count; i++) free(t->queue[i].packet);
    free(t->queue);
    free(t->links);
    free(t->lines);
    free(t->nats);
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
static bool before(const struct traffic_entry *a, const struct traffic_entry *b)
{
    return a->at.ns != b->at.ns ? a->at.ns < b->at.ns : a->order < b->order;
}

static void push(struct traffic *t, struct traffic_packet *p)
{
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 256;
        t->queue = memory(realloc(t->queue, t->room * sizeof *t->queue));
    }
    const struct traffic_entry e = {p->at, t->order++, p};
    size_t i = t->count++;
    for (; i > 0 && before(&e, &t->queue[(i - 1) / 2]); i = (i - 1) / 2)
        t->queue[i] = t->queue[(i - 1) / 2];
    t->queue[i] = e;
}

static struct traffic_packet *pop(struct traffic *t)
{
    struct traffic_packet *first = t->queue[0].packet;
    const struct traffic_entry last = t->queue[--t->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->count; i = child) {
        if (child + 1 < t->count && before(&t->queue[child + 1], &t->queue[child])) child++;
        if (!before(&t->queue[child], &last)) break;
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

/* What chance does to a packet. */
struct fate {
    bool lost, late, twice;
    span jitter;
};

/* Is the next packet lost? Of Gilbert's model, with p the chance to go from good to bad and r that
 * of the way back: the mean burst is 1 / r, the share of losses p / (p + r). */
static bool loses(struct traffic_link *l, double drawn)
{
    const double share = l->is.loss;
    if (l->is.loss_burst < 1 || share <= 0 || share >= 1) {
        l->bad = false;
        return drawn < share;
    }
    double r = 1 / l->is.loss_burst, r_max = (1 - share) / share; /* p <= 1 */
    if (r > r_max) r = r_max;
    l->bad = l->bad ? drawn >= r : drawn < r * share / (1 - share);
    return l->bad;
}

/* Everything is drawn for each packet: no setting and no cut changes what later ones draw. */
static struct fate draw(struct traffic_link *l)
{
    double drawn[TRAFFIC_CHANCES];
    for (int i = 0; i < TRAFFIC_CHANCES; i++) drawn[i] = rng_unit(&l->chance[i]);
    return (struct fate){.lost = loses(l, drawn[TRAFFIC_LOSS]),
                         .late = drawn[TRAFFIC_LATE] < l->is.reorder,
                         .twice = drawn[TRAFFIC_TWICE] < l->is.duplicate,
                         .jitter =
                             span_ns((uint64_t)(drawn[TRAFFIC_JITTER] * l->is.jitter_ms * 1e6))};
}

/* Passes what comes before the flight: returns the counter of what stops the packet, or NULL. In
 * `left` when it has passed what it did pass. */
static uint64_t *stopped(struct traffic_line *line, struct traffic_link *l, bool lost, size_t bytes,
                         instant now, instant *left)
{
    *left = passes_line(&line->up, &line->is, line->is.up_mbit, now, bytes);
    if (never(*left)) return &l->count.full;
    if (l->is.cut) return &l->count.cut;
    if ((double)bytes > l->is.mtu) return &l->count.too_long;
    *left = passes(&l->queue, l->is.rate_mbit, l->is.queue_kib, *left, bytes);
    if (never(*left)) return &l->count.full;
    return lost ? &l->count.lost : NULL;
}

static instant delayed(const struct traffic_link *l, instant left)
{
    return instant_after(left, span_ns((uint64_t)(l->is.delay_ms * 1e6)));
}

/* When a packet that left then arrives. */
static instant arrives(struct traffic_link *l, const struct fate *f, instant left)
{
    instant at = instant_after(delayed(l, left), f->jitter);
    if (f->late) return instant_after(at, span_ns((uint64_t)(l->is.reorder_ms * 1e6)));
    if (l->is.in_order && l->is.jitter_ms > 0) at = instant_max(at, l->last);
    l->last = instant_max(at, l->last);
    return at;
}

static void fly(struct traffic *t, instant at, uint32_t from, uint32_t to, const void *data,
                size_t bytes)
{
    struct traffic_packet *p = memory(malloc(sizeof *p + bytes));
    *p = (struct traffic_packet){.at = at, .from = from, .to = to, .bytes = bytes};
    memcpy(p->data, data, bytes);
    t->held += bytes;
    push(t, p);
}

/* A router halfway answers a packet that is too long: half the way there, and half back. */
static void answer(struct traffic *t, const struct traffic_link *l, instant left, uint32_t to,
                   const void *data, size_t bytes)
{
    uint8_t said[ICMP_BYTES_MAX];
    size_t n = icmp_too_long(data, bytes, (uint32_t)l->is.mtu, said);
    if (!n) return;
    struct traffic_link *own = traffic_link(t, to, to);
    own->count.packets++;
    own->count.bytes += n;
    fly(t, delayed(l, left), to, to, said, n);
}

/* The NAT of a node. NULL: it has none. */
static struct nat *nat_of(struct traffic *t, uint32_t node)
{
    const struct matrix_line *l = &t->lines[node].is;
    if (l->nat == NAT_NONE) return NULL;
    double seconds = l->nat_timeout_s > 0 ? l->nat_timeout_s : NAT_TIMEOUT_S;
    nat_set(&t->nats[node], l->nat, span_ns((uint64_t)(seconds * 1e9)));
    return &t->nats[node];
}

void traffic_offer(struct traffic *t, instant now, uint32_t from, uint32_t to, void *data,
                   size_t bytes)
{
    struct traffic_link *l = traffic_link(t, from, to);
    struct nat *nat = nat_of(t, from);
    struct fate f = draw(l);
    instant left = now;
    l->count.packets++;
    l->count.bytes += bytes;
    uint64_t *reason;
    if (nat && !nat_out(nat, now, data, bytes)) reason = &l->count.filtered;
    else if (t->held + 2 * bytes > TRAFFIC_HELD_MAX) reason = &l->count.full;
    else reason = stopped(&t->lines[from], l, f.lost, bytes, now, &left);
    if (reason) {
        ++*reason;
        if (reason == &l->count.too_long && l->is.icmp) answer(t, l, left, from, data, bytes);
        return;
    }
    instant at = arrives(l, &f, left);
    fly(t, at, from, to, data, bytes);
    if (f.twice) fly(t, at, from, to, data, bytes);
    l->count.duplicated += f.twice;
}

instant traffic_due(const struct traffic *t) { return t->count ? t->queue[0].at : INSTANT_NEVER; }

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
    while (t->count && instant_reached(now, t->queue[0].at)) {
        struct traffic_packet *p = pop(t);
        if (waits(t, p)) continue;
        struct traffic_link *l = traffic_link(t, p->from, p->to);
        struct nat *nat = nat_of(t, p->to);
        t->held -= p->bytes;
        if (nat && !nat_in(nat, p->at, p->data, p->bytes)) {
            l->count.filtered++;
            free(p);
            continue;
        }
        l->count.delivered++;
        l->count.delivered_bytes += p->bytes;
        return p;
    }
    return NULL;
}
