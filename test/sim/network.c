#include "network.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "swarm/parcel.h"
#include "swarm/sync_parts.h"
#include "swarm/wire.h"
#include "world.h"

#define PACKET_BYTES     1200       /* payload of a packet */
#define NETWORK_QUEUE_MS 500        /* of bulk at a receiver's downlink */
#define NETWORK_PIECE_MS 200        /* of bulk that one link sends before it is another's turn */
#define ALWAYS           UINT64_MAX /* HAPPEN_IDLE: regardless of what was heard */

static link_id id_of(uint32_t link, int side) { return 1 + 2 * link + (uint32_t)side; }

static double chance(struct world *w) { return rng_unit(&w->rng); }

static span scaled(span s, double by) { return span_ns((uint64_t)((double)s.ns * by)); }

static span latency(struct world *w, int from, int to)
{
    return scaled(w->network.latency[from][to], 1.0 + 0.2 * chance(w));
}

static struct sim_node *node_of(struct world *w, const struct link_end *e)
{
    return &w->nodes[e->node];
}

/* Does the process that holds this end still exist? */
static bool lives(const struct world *w, const struct link_end *e)
{
    return e->node >= 0 && w->nodes[e->node].alive && w->nodes[e->node].life == e->life;
}

static bool blocked(const struct world *w, const struct link_end *from, const struct link_end *to)
{
    return w->network.blocked[from->node][to->node] > 0;
}

/* Does this message wait until the path is whole again? */
static bool barred(const struct world *w, const struct message *m, const struct link_end *from,
                   const struct link_end *to)
{
    return blocked(w, from, to) || (w->network.deaf[to->node] && m->count > PACKET_BYTES);
}

/* In a burst of loss from one node to another: until then. Far worlds only. */
static instant burst(struct world *w, int from, int to)
{
    instant *until = &w->network.burst_until[from][to];
    if (w->network.burst > 0 && w->now.ns >= until->ns && chance(w) < w->network.burst)
        *until = instant_after(w->now, span_ms((uint64_t)(NETWORK_BURST_MS * chance(w))));
    return *until;
}

static void happen(struct world *w, enum happening_kind kind, instant at, uint32_t link, int side,
                   uint64_t stamp)
{
    queue_push(&w->queue, (struct happening){.at = at,
                                             .kind = kind,
                                             .node = -1,
                                             .link = link,
                                             .side = (uint8_t)side,
                                             .stamp = stamp});
}

/* ---- messages ---- */

static struct message *message_new(struct world *w, enum event_kind kind, uint32_t link,
                                   int to_side, struct bytes a, struct bytes b)
{
    struct message *m = calloc(1, sizeof *m + a.count + b.count);
    if (!m) abort();
    m->kind = kind;
    m->link = link;
    m->side = (uint8_t)to_side;
    m->count = a.count + b.count;
    if (a.count) memcpy(m->data, a.data, a.count);
    if (b.count) memcpy(m->data + a.count, b.data, b.count);
    struct network_card *card = &node_of(w, &w->network.links[link].end[!to_side])->card;
    w->network.links[link].under_way++;
    card->queued += m->count;
    card->sent_count++;
    if (card->queued > card->queued_max) card->queued_max = card->queued;
    return m;
}

static void message_free(struct world *w, struct message *m)
{
    w->network.links[m->link].under_way--;
    node_of(w, &w->network.links[m->link].end[!m->side])->card.queued -= m->count;
    free(m);
}

static void transfer(struct transfers *t, instant from, instant to, size_t bytes)
{
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 16;
        t->list = realloc(t->list, t->room * sizeof *t->list);
        if (!t->list) abort();
    }
    t->list[t->count++] = (struct transfer){.from = from, .to = to, .bytes = bytes};
}

/* What has moved since the last call; forgets what is complete. */
static uint64_t moved(struct transfers *t, instant now)
{
    uint64_t sum = 0;
    size_t stay = 0;
    for (size_t i = 0; i < t->count; i++) {
        struct transfer *x = &t->list[i];
        size_t so_far = now.ns >= x->to.ns ? x->bytes : 0;
        if (now.ns > x->from.ns && now.ns < x->to.ns)
            so_far = (size_t)((double)x->bytes * (double)(now.ns - x->from.ns) /
                              (double)(x->to.ns - x->from.ns));
        sum += so_far - x->told;
        x->told = so_far;
        if (so_far < x->bytes) t->list[stay++] = *x;
    }
    t->count = stay;
    return sum;
}

static void arrive_at(struct world *w, struct message *m, instant at)
{
    queue_push(&w->queue,
               (struct happening){.at = at, .kind = HAPPEN_ARRIVE, .node = -1, .message = m});
}

/* Delay of a reliable message by lost packets: a probe timeout, doubled for each consecutive
 * loss. */
static span recovery(struct world *w, size_t count, span round_trip)
{
    double keep = 1.0;
    for (size_t i = 0; i < 1 + count / PACKET_BYTES && keep > 0.01; i++)
        keep *= 1.0 - w->network.loss;
    span cost = span_ns(0);
    span timeout = span_ns(round_trip.ns * 3 / 2 + span_ms(25).ns);
    for (int i = 0; i < 6 && chance(w) >= keep; i++, timeout.ns *= 2) {
        cost.ns += timeout.ns;
        keep = 1.0 - w->network.loss;
        w->report->faults[FAULT_LOSS]++;
    }
    return cost;
}

/* Does it count in EVENT_FLOW? */
static bool flows(const struct link *l, const struct message *m)
{
    uint8_t of = m->kind == EVENT_REPLY ? l->pending[m->pending].what : 0;
    return m->kind == EVENT_PARCEL || wire_bulk(of);
}

/* ---- bulk of far worlds: links share an uplink and a downlink piece by piece ---- */

/* When the receiver's downlink has room for more: congestion control keeps the queue there short,
 * but each link may have one piece under way. */
static instant room_at(struct world *w, const struct message *m)
{
    struct link_end *to = &w->network.links[m->link].end[m->side];
    uint64_t free = node_of(w, to)->card.downlink_free.ns, queue = span_ms(NETWORK_QUEUE_MS).ns;
    return instant_min((instant){free > queue ? free - queue : 0}, to->piece_at);
}

/* Forgets what processes that died had to send. */
static void clear_outbox(struct world *w, struct network_card *card)
{
    size_t stay = 0;
    for (size_t i = 0; i < card->outbox_count; i++) {
        struct message *m = card->outbox[i];
        if (lives(w, &w->network.links[m->link].end[!m->side])) card->outbox[stay++] = m;
        else message_free(w, m);
    }
    card->outbox_count = stay;
}

/* Index of the message whose piece leaves next: the first of the link whose turn it is, of those
 * whose receiver has room; -1: none, until *again. */
static int next_message(struct world *w, const struct network_card *card, instant *again)
{
    int best = -1;
    *again = INSTANT_NEVER;
    for (size_t i = 0; i < card->outbox_count; i++) {
        const struct message *m = card->outbox[i], *b = best < 0 ? NULL : card->outbox[best];
        instant room = room_at(w, m);
        if (room.ns > w->now.ns) {
            *again = instant_min(*again, room);
            continue;
        }
        bool comes = m->link > card->outbox_link, later = b && b->link > card->outbox_link;
        if (!b || (comes && !later) || (comes == later && m->link < b->link)) best = (int)i;
    }
    return best;
}

/* Packets and their acknowledgements that wait together for a busy processor look as if the line
 * were faster. */
static span train_time(struct world *w, span took)
{
    return chance(w) < 0.1 ? scaled(took, 0.2) : took;
}

/* A piece of this message leaves from now on, and takes its turn at the receiver's downlink. Returns
 * the time that it takes to leave. */
static span start_piece(struct world *w, struct network_card *card, struct message *m)
{
    struct link *l = &w->network.links[m->link];
    struct link_end *to = &l->end[m->side], *from = &l->end[!m->side];
    struct network_card *theirs = &node_of(w, to)->card;
    double slower = card->mbps < theirs->down_mbps ? card->mbps : theirs->down_mbps;
    size_t turn_bytes = 1 + (size_t)(slower * 1e3 / 8 * NETWORK_PIECE_MS);
    size_t piece = m->to_send < turn_bytes ? m->to_send : turn_bytes;
    bool begins = m->to_send == m->count + 40;
    double bits = (double)piece * 8e3;
    span takes = span_ns((uint64_t)(bits / card->mbps));
    instant first = instant_max(instant_after(w->now, m->one_way), to->up_at);
    instant turn = instant_max(first, theirs->downlink_free);
    theirs->downlink_free = instant_after(turn, span_ns((uint64_t)(bits / theirs->down_mbps)));
    instant at = instant_max(theirs->downlink_free, instant_after(first, takes));
    m->arrives = to->piece_at = at;
    if (begins) m->train = (struct train){.bytes = card->sent_bytes, .sent = w->now, .began = turn};
    card->sent_bytes += piece;
    if (flows(l, m) && !barred(w, m, from, to)) {
        transfer(&to->in, turn, at, piece);
        transfer(&from->out, instant_after(turn, m->one_way), instant_after(at, m->one_way), piece);
    }
    m->to_send -= piece;
    if (!m->to_send) {
        m->train.bytes = card->sent_bytes - m->train.bytes;
        span sent = instant_since(instant_after(w->now, takes), m->train.sent);
        span came = train_time(w, instant_since(at, m->train.began));
        m->train.took = span_max(sent, came);
    }
    return takes;
}

/* The next piece of bulk starts to leave. */
static void send_piece(struct world *w, struct sim_node *n)
{
    struct network_card *card = &n->card;
    instant at;
    clear_outbox(w, card);
    int next = next_message(w, card, &at);
    card->sending = next >= 0;
    if (!card->outbox_count) return;
    if (card->sending) {
        struct message *m = card->outbox[next]; /* to the front, for piece_sent */
        memmove(card->outbox + 1, card->outbox, (size_t)next * sizeof(struct message *));
        card->outbox[0] = m;
        card->outbox_link = m->link;
        at = instant_after(w->now, start_piece(w, card, m));
    }
    happen(w, HAPPEN_SENT, at, ++card->sent, 0, (uint64_t)n->index);
}

static void piece_sent(struct world *w, struct sim_node *n)
{
    struct network_card *card = &n->card;
    struct message *m = card->outbox[0];
    if (!m->to_send) {
        memmove(card->outbox, card->outbox + 1, --card->outbox_count * sizeof(struct message *));
        span lost = recovery(w, m->count, span_ns(2 * m->one_way.ns));
        m->left = instant_after(w->now, lost);
        arrive_at(w, m, instant_after(m->arrives, lost));
    }
    send_piece(w, n);
}

static void send_bulk(struct world *w, struct message *m)
{
    struct link *l = &w->network.links[m->link];
    struct link_end *to = &l->end[m->side], *from = &l->end[!m->side];
    struct network_card *card = &node_of(w, from)->card;
    if (card->outbox_count == card->outbox_room) {
        card->outbox_room = card->outbox_room ? 2 * card->outbox_room : 64;
        card->outbox = realloc(card->outbox, card->outbox_room * sizeof(struct message *));
        if (!card->outbox) abort();
    }
    card->outbox[card->outbox_count++] = m;
    m->one_way = latency(w, from->node, to->node);
    m->to_send = m->count + 40;
    m->left = w->now;
    if (!card->sending) send_piece(w, node_of(w, from));
}

/* Sends a reliable message. Bulk data queues for the sender's uplink; frames go ahead. */
static void send_reliable(struct world *w, struct message *m, bool bulk)
{
    struct link *l = &w->network.links[m->link];
    if (bulk && w->scenario.far) {
        send_bulk(w, m);
        return;
    }
    struct link_end *to = &l->end[m->side], *from = &l->end[!m->side];
    struct network_card *card = &node_of(w, from)->card;
    span wire = span_ns((uint64_t)((double)(m->count + 40) * 8e3 / card->mbps));
    if (w->scenario.far) wire = span_ns(0);
    instant start = bulk ? instant_max(w->now, card->uplink_free) : w->now;
    instant done = instant_after(start, wire);
    if (flows(l, m) && bulk && !w->scenario.far)
        m->train = (struct train){.bytes = m->count, .took = wire};
    if (bulk) card->uplink_free = done;
    if (!bulk) done = instant_max(done, burst(w, from->node, to->node));
    span one_way = latency(w, from->node, to->node);
    m->left = instant_after(done, recovery(w, m->count, span_ns(2 * one_way.ns)));
    instant at = instant_max(instant_after(m->left, one_way), to->up_at);
    if (flows(l, m) && !barred(w, m, from, to)) {
        instant begins = instant_max(instant_after(start, one_way), to->up_at);
        transfer(&to->in, begins, at, m->count);
        transfer(&from->out, instant_after(begins, one_way), instant_after(at, one_way), m->count);
    }
    if (m->kind == EVENT_FRAME) {
        m->number = to->frame_sent++;
        at = instant_max(at, instant_after(to->frame_at, span_ns(1)));
        to->frame_at = at;
    }
    arrive_at(w, m, at);
}

static void send_datagram(struct world *w, struct message *m)
{
    struct link *l = &w->network.links[m->link];
    struct link_end *to = &l->end[m->side], *from = &l->end[!m->side];
    m->number = to->datagram_sent++;
    m->left = w->now;
    bool lost = chance(w) < w->network.loss;
    if (lost || burst(w, from->node, to->node).ns > w->now.ns) {
        w->report->faults[FAULT_LOSS]++;
        message_free(w, m);
        return;
    }
    if (chance(w) < w->network.duplicate) {
        struct message *twin =
            message_new(w, m->kind, m->link, m->side, bytes_of(m->data, m->count), bytes_of("", 0));
        twin->number = m->number;
        twin->left = m->left;
        twin->doubled = true;
        arrive_at(w, twin,
                  instant_after(instant_max(w->now, to->up_at),
                                scaled(latency(w, from->node, to->node), 1.0 + chance(w))));
    }
    span one_way = latency(w, from->node, to->node);
    if (chance(w) < w->network.reorder) one_way = scaled(one_way, 1.0 + 4.0 * chance(w));
    arrive_at(w, m, instant_max(instant_after(w->now, one_way), to->up_at));
}

/* ---- the life of a link ---- */

static uint32_t pending_new(struct link *l, enum event_kind kind, int side, uint64_t ticket)
{
    if (l->pending_count == l->pending_room) {
        l->pending_room = l->pending_room ? 2 * l->pending_room : 16;
        l->pending = realloc(l->pending, l->pending_room * sizeof *l->pending);
        if (!l->pending) abort();
    }
    l->pending[l->pending_count] =
        (struct pending){.open = true, .side = (uint8_t)side, .kind = kind, .ticket = ticket};
    return (uint32_t)l->pending_count++; /* never used again: an answer may still be in flight */
}

static uint32_t link_new(struct network *n)
{
    if (n->link_count == n->link_room) {
        n->link_room = n->link_room ? 2 * n->link_room : 64;
        n->links = realloc(n->links, n->link_room * sizeof *n->links);
        if (!n->links) abort();
    }
    struct link *l = &n->links[n->link_count];
    memset(l, 0, sizeof *l);
    for (int s = 0; s < 2; s++) {
        l->end[s].node = -1;
        l->end[s].deaf_since = INSTANT_NEVER;
    }
    return n->link_count++;
}

/* Each event may move the list of links, kill the node, or open a link: so everything is looked up
 * again. What the node sends in response comes later. */
static void fail_pending(struct world *w, uint32_t link, int side)
{
    size_t count = w->network.links[link].pending_count;
    for (size_t i = 0; i < count; i++) {
        struct pending *p = &w->network.links[link].pending[i];
        if (!p->open || p->side != side) continue;
        p->open = false;
        if (!lives(w, &w->network.links[link].end[side])) continue;
        struct event v = {.kind = p->kind, .link = id_of(link, side), .ticket = p->ticket};
        world_give(w, node_of(w, &w->network.links[link].end[side]), &v);
    }
}

/* An end is gone: its process is told what failed, then that the link is down. */
static void end_down(struct world *w, uint32_t link, int side, uint32_t code)
{
    struct link_end *e = &w->network.links[link].end[side];
    e->up = false;
    e->deaf_since = INSTANT_NEVER;
    for (size_t i = 0; i < e->stalled_count; i++) message_free(w, e->stalled[i]);
    e->stalled_count = 0;
    fail_pending(w, link, side);
    e = &w->network.links[link].end[side];
    if (e->told && lives(w, e)) {
        e->told = false;
        struct event v = {.kind = EVENT_LINK_DOWN, .link = id_of(link, side), .code = code};
        world_give(w, node_of(w, e), &v);
    }
    fail_pending(w, link, side); /* sent meanwhile, without a link */
    network_review(w);
}

static void dial(struct world *w, struct sim_node *n, const struct action *a)
{
    uint32_t i = link_new(&w->network);
    struct link *l = &w->network.links[i];
    l->dialling = true;
    l->dial_until = instant_after(w->now, span_s(NETWORK_DIAL_S));
    memcpy(l->id, a->id, sizeof l->id);
    l->end[0].node = n->index;
    l->end[0].life = n->life;
    for (uint32_t j = 0; j < w->node_count; j++)
        if (address_equal(&w->nodes[j].address, &a->address)) l->end[1].node = (int)j;
    happen(w, HAPPEN_DIAL, instant_after(w->now, span_us(100)), i, 0, 0);
}

static void dial_failed(struct world *w, uint32_t link)
{
    struct link *l = &w->network.links[link];
    l->dialling = false;
    struct event v = {.kind = EVENT_DIAL_FAILED, .code = CLOSE_TIMEOUT};
    memcpy(v.id, l->id, sizeof v.id);
    world_give(w, node_of(w, &l->end[0]), &v);
}

static void dial_try(struct world *w, uint32_t link)
{
    struct link *l = &w->network.links[link];
    struct link_end *us = &l->end[0], *them = &l->end[1];
    bool there = them->node >= 0 && them->node != us->node && node_runs(w, &w->nodes[them->node]) &&
                 !blocked(w, us, them) && !blocked(w, them, us);
    bool wrong_key = there && memcmp(w->nodes[them->node].id, l->id, sizeof l->id) != 0;
    if (wrong_key || w->now.ns >= l->dial_until.ns) {
        dial_failed(w, link);
        return;
    }
    double keep = (1.0 - w->network.loss) * (1.0 - w->network.loss);
    if (!there || chance(w) >= keep) {
        happen(w, HAPPEN_DIAL, instant_after(w->now, span_ms(500 + (uint64_t)(500 * chance(w)))),
               link, 0, 0);
        return;
    }
    l->dialling = false;
    them->life = w->nodes[them->node].life;
    span one_way = latency(w, us->node, them->node);
    us->up_at = instant_after(w->now, span_ns(4 * one_way.ns)); /* the peer confirms */
    them->up_at = instant_after(w->now, span_ns(3 * one_way.ns));
    happen(w, HAPPEN_UP, us->up_at, link, 0, 0);
    happen(w, HAPPEN_UP, them->up_at, link, 1, 0);
}

static void end_up(struct world *w, uint32_t link, int side)
{
    struct link *l = &w->network.links[link];
    struct link_end *e = &l->end[side], *peer = &l->end[!side];
    e->up = e->told = true;
    struct event v = {.kind = EVENT_LINK_UP,
                      .link = id_of(link, side),
                      .address = node_of(w, peer)->address,
                      .dialled = side == 0};
    memcpy(v.id, node_of(w, peer)->id, sizeof v.id);
    memcpy(v.exporter, &link, sizeof link);
    world_give(w, node_of(w, e), &v);
    network_review(w);
}

static void hang_up(struct world *w, uint32_t link, int side, uint32_t code)
{
    struct link *l = &w->network.links[link];
    struct link_end *e = &l->end[side], *peer = &l->end[!side];
    e->up = false;
    happen(w, HAPPEN_CLOSE, w->now, link, side, code);
    if (!blocked(w, e, peer) && chance(w) >= w->network.loss)
        happen(w, HAPPEN_CLOSE, instant_after(w->now, latency(w, e->node, peer->node)), link, !side,
               code);
}

/* A retiring link closes once nothing is in flight on it. */
static void retire(struct world *w, uint32_t link, int side)
{
    struct link *l = &w->network.links[link];
    if (!l->end[side].up) return;
    if (l->under_way > 0)
        happen(w, HAPPEN_RETIRE, instant_after(w->now, span_s(NETWORK_RETIRE_S)), link, side, 0);
    else hang_up(w, link, side, CLOSE_DUPLICATE);
}

/* ---- arriving ---- */

static void stall(struct link_end *e, struct message *m)
{
    if (e->stalled_count == e->stalled_room) {
        e->stalled_room = e->stalled_room ? 2 * e->stalled_room : 16;
        e->stalled = realloc(e->stalled, e->stalled_room * sizeof(struct message *));
        if (!e->stalled) abort();
    }
    e->stalled[e->stalled_count++] = m;
}

/* The path is open again: waiting messages arrive when the sender's next probe is due. */
static void unstall(struct world *w, struct link *l, int side)
{
    struct link_end *e = &l->end[side], *from = &l->end[!side];
    if (e->stalled_count == 0 || blocked(w, from, e)) return;
    instant at = instant_after(w->now, scaled(span_s(5), chance(w)));
    size_t stay = 0;
    for (size_t i = 0; i < e->stalled_count; i++) {
        struct message *m = e->stalled[i];
        if (barred(w, m, from, e)) {
            e->stalled[stay++] = m;
            continue;
        }
        m->left = instant_max(m->left, at);
        instant then = instant_after(at, latency(w, from->node, e->node));
        if (m->kind == EVENT_FRAME) {
            then = instant_max(then, instant_after(e->frame_at, span_ns(1)));
            e->frame_at = then;
        }
        arrive_at(w, m, then);
    }
    e->stalled_count = stay;
}

/* Acknowledges a parcel; or declines it, or a request. */
static void acknowledge(struct world *w, const struct message *m, bool ok)
{
    struct link *l = &w->network.links[m->link];
    struct message *ack = message_new(w, l->pending[m->pending].kind, m->link, !m->side,
                                      bytes_of("", 0), bytes_of("", 0));
    ack->pending = m->pending;
    ack->declined = !ok;
    if (ok) ack->train = m->train;
    ack->left = w->now;
    arrive_at(w, ack,
              instant_after(w->now, latency(w, l->end[m->side].node, l->end[!m->side].node)));
}

/* A parcel is acknowledged. */
static void give_train(struct world *w, const struct message *m)
{
    struct event v = {.kind = EVENT_TRAIN, .count = m->train.bytes, .took = m->train.took};
    if (v.count) world_give(w, node_of(w, &w->network.links[m->link].end[m->side]), &v);
}

/* Does the receiver's transport decline it (SPEC.md, "Identity and transport")? */
static bool declined(struct world *w, const struct message *m)
{
    const struct pending *p = &w->network.links[m->link].pending[m->pending];
    bool bulk = m->kind == EVENT_PARCEL || (m->kind == EVENT_REQUEST && wire_bulk(p->what));
    bool early = m->kind == EVENT_PARCEL && !w->network.links[m->link].end[m->side].welcome;
    if (!early) {
        if (!bulk || w->network.refusal == 0 || chance(w) >= w->network.refusal) return false;
        w->report->faults[FAULT_REFUSAL]++;
    }
    acknowledge(w, m, false);
    return true;
}

static void hand_over(struct world *w, struct message *m)
{
    if (declined(w, m)) return;
    if (m->kind == EVENT_PARCEL_DONE) give_train(w, m);
    if (!lives(w, &w->network.links[m->link].end[m->side])) return;
    struct link *l = &w->network.links[m->link];
    struct link_end *e = &l->end[m->side];
    struct event v = {.kind = m->kind,
                      .link = id_of(m->link, m->side),
                      .type = m->type,
                      .ok = !m->declined,
                      .bytes = bytes_of(m->data, m->count)};
    if (m->kind == EVENT_DATAGRAM) {
        if (m->doubled) w->report->faults[FAULT_DUPLICATE]++;
        else if (m->number < e->datagram_latest) w->report->faults[FAULT_REORDER]++;
        if (m->number > e->datagram_latest) e->datagram_latest = m->number;
    } else if (m->kind == EVENT_FRAME) {
        e->frame_next++;
    } else if (m->kind == EVENT_PARCEL) {
        acknowledge(w, m, true);
    } else if (m->kind == EVENT_REQUEST) {
        v.ticket = (uint64_t)m->link << 24 | m->pending;
    } else {
        struct pending *p = &l->pending[m->pending];
        bool waited = p->open;
        p->open = false;
        v.ticket = p->ticket;
        if (!waited) return;
    }
    world_give(w, node_of(w, &w->network.links[m->link].end[m->side]), &v);
}

/* A message for a process without this link: it answers with a reset, if it can. */
static void refuse(struct world *w, const struct message *m)
{
    const struct link *l = &w->network.links[m->link];
    const struct link_end *e = &l->end[m->side], *from = &l->end[!m->side];
    if (node_runs(w, &w->nodes[e->node]) && !blocked(w, e, from))
        happen(w, HAPPEN_RESET, instant_after(w->now, latency(w, e->node, from->node)), m->link,
               !m->side, 0);
}

/* True when the message must wait, is lost or was refused: the caller is done with it. */
static bool held_back(struct world *w, struct message *m)
{
    struct link *l = &w->network.links[m->link];
    struct link_end *e = &l->end[m->side], *from = &l->end[!m->side];
    struct sim_node *sender = node_of(w, from), *receiver = node_of(w, e);
    if (!lives(w, from) && sender->died_at.ns < m->left.ns) { /* it was never sent */
        message_free(w, m);
        return true;
    }
    if (lives(w, from) && !node_runs(w, sender) && sender->paused_since.ns < m->left.ns) {
        m->left = sender->paused_until;
        arrive_at(w, m, instant_after(sender->paused_until, latency(w, from->node, e->node)));
        return true;
    }
    if (barred(w, m, from, e)) {
        if (m->kind == EVENT_DATAGRAM || !e->up) message_free(w, m);
        else stall(e, m);
        return true;
    }
    if (!lives(w, e) || (!e->up && w->now.ns >= e->up_at.ns)) {
        refuse(w, m);
        message_free(w, m);
        return true;
    }
    if (m->kind == EVENT_REQUEST && !e->welcome) {
        arrive_at(w, m, instant_after(w->now, span_ms(10)));
        return true;
    }
    if (!node_runs(w, receiver)) {
        if (m->kind == EVENT_DATAGRAM && !m->waiting && ++receiver->card.inbox > NETWORK_INBOX) {
            message_free(w, m);
            return true;
        }
        m->waiting = true;
        arrive_at(w, m, receiver->paused_until);
        return true;
    }
    return false;
}

static void arrive(struct world *w, struct message *m)
{
    if (held_back(w, m)) return;
    struct link_end *e = &w->network.links[m->link].end[m->side];
    if (m->kind == EVENT_FRAME && m->number != e->frame_next) {
        /* An earlier one arrives later, or never: so this one must wait. */
        if (!lives(w, &w->network.links[m->link].end[!m->side])) {
            message_free(w, m);
            return;
        }
        e->frame_at = instant_after(instant_max(w->now, e->frame_at), span_us(10));
        arrive_at(w, m, e->frame_at);
        return;
    }
    hand_over(w, m);
    message_free(w, m);
}

/* ---- interface ---- */

static void act_request(struct world *w, uint32_t link, int side, const struct action *a)
{
    struct link *l = &w->network.links[link];
    enum event_kind kind = a->kind == ACTION_PARCEL ? EVENT_PARCEL : EVENT_REQUEST;
    uint32_t p =
        pending_new(l, a->kind == ACTION_PARCEL ? EVENT_PARCEL_DONE : EVENT_REPLY, side, a->ticket);
    struct message *m = message_new(w, kind, link, !side, a->bytes, a->more);
    m->pending = p;
    if (m->count) l->pending[p].what = m->data[0];
    send_reliable(w, m, kind == EVENT_PARCEL || !w->scenario.far);
}

/* Another bit of a part of a state, or of a result before it was summed. */
static void flip(struct world *w, struct message *m, bool result)
{
    size_t head = result ? PARCEL_RESULT_BYTES : 0;
    m->data[head + rng_below(&w->rng, m->count - head)] ^= (uint8_t)(1u << rng_below(&w->rng, 8));
    if (result) { /* before it was summed */
        struct writer sum = writer_init(m->data + PARCEL_HEAD_BYTES - 8, 8);
        writer_u64(&sum, XXH64(m->data + head, m->count - head, 0));
    }
}

/* Damage in the server's memory; QUIC would detect it in transit. */
static void damage(struct world *w, struct message *m, bool result)
{
    struct network *n = &w->network;
    if (n->damage == 0 || n->served[result]++ % n->damage != 0) return;
    flip(w, m, result);
    w->report->faults[FAULT_DAMAGE]++;
}

/* What a server that lies answers instead: too little, or another bit, with a sum that fits. */
static void lie(struct world *w, struct message *m, bool result)
{
    if (chance(w) < 0.25) {
        size_t less = (size_t)rng_below(&w->rng, m->count);
        node_of(w, &w->network.links[m->link].end[!m->side])->card.queued -= m->count - less;
        m->count = less;
    } else flip(w, m, result);
    w->report->faults[FAULT_LIE]++;
}

static void act_reply(struct world *w, struct sim_node *n, const struct action *a)
{
    uint32_t link = (uint32_t)(a->ticket >> 24), index = (uint32_t)(a->ticket & 0xffffff);
    if (link >= w->network.link_count || index >= w->network.links[link].pending_count) {
        world_violated(w, "driver: node %d replies to request %llu, which there never was",
                       n->index, (unsigned long long)a->ticket);
        return;
    }
    struct link *l = &w->network.links[link];
    struct pending *p = &l->pending[index];
    int side = !p->side;
    if (!p->open || p->answered || !l->end[side].up || !lives(w, &l->end[side])) return;
    if (l->end[side].node != n->index || p->kind != EVENT_REPLY) {
        world_violated(w, "driver: node %d replies to a request that was not its", n->index);
        return;
    }
    p->answered = true;
    struct message *m = message_new(w, EVENT_REPLY, link, p->side, a->bytes, a->more);
    m->pending = index;
    bool result = p->what == WIRE_FETCH && p->ticket & SYNC_TICKET;
    bool part = result || p->what == WIRE_GET_CHUNK;
    if (part && m->count) damage(w, m, result);
    bool told = part || p->what == WIRE_GET_MANIFEST || p->what == WIRE_GET_PAST;
    if (told && m->count && w->scenario.liars >> n->index & 1) lie(w, m, result);
    /* Beside chunks of real size, records and digests are negligible. */
    bool chunk = p->what == WIRE_GET_CHUNK || p->what == WIRE_FETCH;
    send_reliable(w, m, chunk || !w->scenario.far);
}

/* The link is down, which the machine may not know yet: what it sends fails, as with a real
 * driver. */
static void act_in_vain(struct world *w, const struct action *a)
{
    if (a->kind != ACTION_PARCEL && a->kind != ACTION_REQUEST) return;
    uint32_t link = (a->link - 1) / 2;
    int side = (int)((a->link - 1) % 2);
    struct link *l = &w->network.links[link];
    (void)pending_new(l, a->kind == ACTION_PARCEL ? EVENT_PARCEL_DONE : EVENT_REPLY, side,
                      a->ticket);
    happen(w, HAPPEN_CLOSE, w->now, link, side, CLOSE_IDLE);
}

void network_act(struct world *w, struct sim_node *n, const struct action *a)
{
    if (a->kind == ACTION_DIAL) {
        dial(w, n, a);
        return;
    }
    if (a->kind == ACTION_REPLY) {
        act_reply(w, n, a);
        return;
    }
    uint32_t link = (a->link - 1) / 2;
    int side = (int)((a->link - 1) % 2);
    if (a->link == LINK_NONE || link >= w->network.link_count ||
        w->network.links[link].end[side].node != n->index ||
        w->network.links[link].end[side].life != n->life) {
        world_violated(w, "driver: node %d uses link %u, which it does not have", n->index,
                       a->link);
        return;
    }
    struct link_end *e = &w->network.links[link].end[side];
    if (!e->up) {
        act_in_vain(w, a);
        return;
    }
    switch (a->kind) {
    case ACTION_HANG_UP:
        hang_up(w, link, side, a->code);
        break;
    case ACTION_WELCOME:
        e->welcome = true;
        break;
    case ACTION_RETIRE:
        happen(w, HAPPEN_RETIRE, instant_after(w->now, span_s(NETWORK_RETIRE_S)), link, side, 0);
        break;
    case ACTION_DATAGRAM:
        if (a->bytes.count > LINK_DATAGRAM_BYTES_MAX)
            world_violated(w, "driver: node %d sends a datagram of %zu bytes", n->index,
                           a->bytes.count);
        else send_datagram(w, message_new(w, EVENT_DATAGRAM, link, !side, a->bytes, a->more));
        break;
    case ACTION_FRAME: {
        if (a->bytes.count > LINK_FRAME_BYTES_MAX)
            world_violated(w, "driver: node %d sends a frame of %zu bytes", n->index,
                           a->bytes.count);
        struct message *m = message_new(w, EVENT_FRAME, link, !side, a->bytes, a->more);
        m->type = a->type;
        send_reliable(w, m, false);
        break;
    }
    case ACTION_PARCEL:
    case ACTION_REQUEST:
        act_request(w, link, side, a);
        break;
    default:
        assert(!"not an action for the network");
    }
}

/* Postpones a happening while its process is paused; true when it is void or postponed. */
static bool not_now(struct world *w, const struct happening *h, const struct link_end *e)
{
    if (!lives(w, e)) return true;
    if (node_runs(w, node_of(w, e))) return false;
    struct happening later = *h;
    later.at = node_of(w, e)->paused_until;
    queue_push(&w->queue, later);
    return true;
}

void network_happen(struct world *w, const struct happening *h)
{
    if (h->kind == HAPPEN_ARRIVE) {
        arrive(w, h->message);
        return;
    }
    if (h->kind == HAPPEN_SENT) {
        struct sim_node *n = &w->nodes[h->stamp];
        if (h->link != n->card.sent) return;
        if (n->card.sending) piece_sent(w, n);
        else send_piece(w, n);
        return;
    }
    struct link *l = &w->network.links[h->link];
    struct link_end *e = &l->end[h->side], *peer = &l->end[!h->side];
    if (not_now(w, h, e)) return;
    switch (h->kind) {
    case HAPPEN_DIAL:
        dial_try(w, h->link);
        break;
    case HAPPEN_UP:
        end_up(w, h->link, h->side);
        break;
    case HAPPEN_IDLE:
        if (e->up && (h->stamp == ALWAYS || e->deaf_since.ns == h->stamp))
            end_down(w, h->link, h->side, CLOSE_IDLE);
        break;
    case HAPPEN_RESET:
        if (e->up && !(lives(w, peer) && peer->up) && !blocked(w, peer, e))
            end_down(w, h->link, h->side, CLOSE_RESET);
        break;
    case HAPPEN_GONE:
        if (e->up && !node_of(w, peer)->alive && !blocked(w, peer, e) && !blocked(w, e, peer))
            end_down(w, h->link, h->side, CLOSE_GONE);
        break;
    case HAPPEN_RETIRE:
        retire(w, h->link, h->side);
        break;
    case HAPPEN_CLOSE:
        if (e->up || e->told || l->pending_count) end_down(w, h->link, h->side, (uint32_t)h->stamp);
        break;
    default:
        assert(!"not a happening of the network");
    }
}

void network_review(struct world *w)
{
    struct network *n = &w->network;
    while (n->link_first < n->link_count) {
        const struct link *l = &n->links[n->link_first];
        bool over = !l->dialling && !(lives(w, &l->end[0]) && (l->end[0].up || l->end[0].told)) &&
                    !(lives(w, &l->end[1]) && (l->end[1].up || l->end[1].told)) &&
                    w->now.ns > l->end[1].up_at.ns + span_s(120).ns;
        if (!over) break;
        n->link_first++;
    }
    for (uint32_t i = n->link_first; i < n->link_count; i++) {
        struct link *l = &n->links[i];
        for (int s = 0; s < 2; s++) {
            struct link_end *e = &l->end[s], *peer = &l->end[!s];
            if (!e->up || !lives(w, e)) continue;
            bool deaf = !lives(w, peer) || !node_runs(w, node_of(w, peer)) || !peer->up ||
                        blocked(w, peer, e);
            if (!deaf) e->deaf_since = INSTANT_NEVER;
            else if (e->deaf_since.ns == INSTANT_NEVER.ns) {
                e->deaf_since = w->now;
                happen(w, HAPPEN_IDLE, instant_after(w->now, span_s(NETWORK_IDLE_S)), i, s,
                       w->now.ns);
            }
            unstall(w, l, s);
        }
    }
}

void network_paused(struct world *w, struct sim_node *n)
{
    n->card.inbox = 0;
    if (instant_since(n->paused_until, n->paused_since).ns < span_s(NETWORK_IDLE_S).ns) return;
    for (uint32_t i = w->network.link_first; i < w->network.link_count; i++)
        for (int s = 0; s < 2; s++) {
            struct link_end *e = &w->network.links[i].end[s];
            if (e->up && e->node == n->index && e->life == n->life)
                happen(w, HAPPEN_IDLE, n->paused_until, i, s, ALWAYS);
        }
}

void network_crashed(struct world *w, struct sim_node *n)
{
    if (chance(w) < 0.3) return; /* the machine died too, or a firewall drops the answer */
    for (uint32_t i = w->network.link_first; i < w->network.link_count; i++)
        for (int s = 0; s < 2; s++) {
            struct link_end *e = &w->network.links[i].end[s], *peer = &w->network.links[i].end[!s];
            if (!e->up || !lives(w, e) || peer->node != n->index) continue;
            span told = span_ms(100 + (uint64_t)(400 * chance(w)));
            told.ns += 2 * latency(w, e->node, peer->node).ns;
            happen(w, HAPPEN_GONE, instant_after(w->now, told), i, s, 0);
        }
}

void network_restarted(struct world *w, struct sim_node *n)
{
    for (uint32_t i = w->network.link_first; i < w->network.link_count; i++)
        for (int s = 0; s < 2; s++) {
            struct link_end *e = &w->network.links[i].end[s], *peer = &w->network.links[i].end[!s];
            if (!e->up || !lives(w, e) || peer->node != n->index || lives(w, peer)) continue;
            span wait = scaled(span_s(NETWORK_KEEP_S), chance(w));
            happen(w, HAPPEN_RESET, instant_after(w->now, wait), i, s, 0);
        }
}

void network_closed(struct world *w, struct sim_node *n)
{
    for (uint32_t i = w->network.link_first; i < w->network.link_count; i++)
        for (int s = 0; s < 2; s++) {
            struct link_end *e = &w->network.links[i].end[s], *peer = &w->network.links[i].end[!s];
            if (!e->up || e->node != n->index || e->life != n->life) continue;
            e->up = false;
            if (!blocked(w, e, peer) && chance(w) >= w->network.loss)
                happen(w, HAPPEN_CLOSE, instant_after(w->now, latency(w, e->node, peer->node)), i,
                       !s, 0);
        }
}

void network_flow(struct world *w, struct sim_node *n)
{
    uint32_t life = n->life;
    for (uint32_t i = w->network.link_first; i < w->network.link_count; i++)
        for (int s = 0; s < 2; s++) {
            struct link_end *e = &w->network.links[i].end[s];
            if (!e->up || !e->told || e->node != n->index || e->life != life) continue;
            struct event v = {.kind = EVENT_FLOW,
                              .link = id_of(i, s),
                              .sent = moved(&e->out, w->now),
                              .received = moved(&e->in, w->now)};
            if (v.sent + v.received > 0) world_give(w, n, &v);
            if (!n->alive || n->life != life || w->over) return;
        }
}

void network_contacts(const struct world *w, bool out[SIM_NODES_MAX][SIM_NODES_MAX])
{
    memset(out, 0, SIM_NODES_MAX * sizeof *out);
    for (uint32_t i = w->network.link_first; i < w->network.link_count; i++) {
        const struct link_end *a = &w->network.links[i].end[0], *b = &w->network.links[i].end[1];
        if (!a->up || !b->up || !lives(w, a) || !lives(w, b) || blocked(w, a, b) ||
            blocked(w, b, a) || !node_runs(w, &w->nodes[a->node]) ||
            !node_runs(w, &w->nodes[b->node]))
            continue;
        out[a->node][b->node] = out[b->node][a->node] = true;
    }
}

uint32_t network_degree(const struct world *w, const struct sim_node *n)
{
    uint32_t degree = 0;
    for (uint32_t i = w->network.link_first; i < w->network.link_count; i++)
        for (int s = 0; s < 2; s++) {
            const struct link_end *e = &w->network.links[i].end[s];
            degree += e->up && e->node == n->index && e->life == n->life;
        }
    return degree;
}

void network_fini(struct network *n)
{
    for (uint32_t i = 0; i < n->link_count; i++) {
        for (int s = 0; s < 2; s++) {
            for (size_t j = 0; j < n->links[i].end[s].stalled_count; j++)
                free(n->links[i].end[s].stalled[j]);
            free(n->links[i].end[s].stalled);
            free(n->links[i].end[s].in.list);
            free(n->links[i].end[s].out.list);
        }
        free(n->links[i].pending);
    }
    free(n->links);
}
