#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "streams.h"
#include "train.h"

/* A queue full of parcels still accepts frames: they announce what happens to the parcels. */
#define FRAME_RESERVE_BYTES (4u << 20)

#define DATAGRAMS_MAX 128 /* queued; further ones are dropped, as datagrams may be */
/* A retiring link ends once nothing has moved on it for QUIET, or after 30 s. */
#define RETIRE_QUIET_S 1
#define RETIRE_S       30
#define RETIRE_LOOK_MS 200

/* ---- the protocol ---- */

static bool start(struct connection *c)
{
    struct session *n = calloc(1, sizeof *n);
    struct stream *s = n ? streams_new(n, -1, KIND_CONTROL, true) : NULL;
    struct chunk *k = s ? chunk_new(1) : NULL;
    if (!k) {
        free(s);
        free(n);
        connection_doom(c, CLOSE_BUSY, "no memory for one more link");
        return false;
    }
    list_init(&n->urgent);
    list_init(&n->bulk);
    list_init(&n->unopened_uni);
    list_init(&n->unopened_bidi);
    chunks_init(&n->datagrams);
    frames_init(&n->frames, LINK_FRAME_BYTES_MAX);
    n->control = s;
    s->out_open = true;
    k->bytes[0] = KIND_CONTROL;
    chunks_add(&s->out, k);
    n->queued = 1;
    list_add(&n->unopened_uni, s);
    c->session = n;
    streams_open(c);
    connection_touch(c);
    return true;
}

static bool up(struct connection *c)
{
    struct endpoint_handlers *h = &c->endpoint->handlers;
    if (h->link_up) h->link_up(h->ctx, c->id, c->peer.id, &c->remote, c->dialled);
    return true;
}

static bool control_data(struct connection *c, struct bytes b)
{
    struct session *n = c->session;
    struct endpoint_handlers *h = &c->endpoint->handlers;
    for (;;) {
        uint8_t type;
        struct bytes body;
        switch (frames_take(&n->frames, &b, &type, &body)) {
        case FRAMES_MORE:
            return true;
        case FRAMES_ONE:
            if (h->frame && !c->doomed) h->frame(h->ctx, c->id, type, body);
            break;
        case FRAMES_TOO_LONG:
            connection_doom(c, CLOSE_PROTOCOL, "a frame is longer than 64 KiB");
            return false;
        case FRAMES_NO_MEMORY:
            connection_doom(c, CLOSE_BUSY, "no memory for a frame");
            return false;
        }
    }
}

/* A stream of the peer has shown its kind. */
static bool meet(struct connection *c, struct stream *s, uint8_t kind)
{
    struct session *n = c->session;
    bool bidi = ngtcp2_is_bidi_stream(s->id);
    s->kind = kind;
    s->kind_known = true;
    if (kind == KIND_CONTROL && !bidi) {
        if (n->control_seen) {
            connection_doom(c, CLOSE_PROTOCOL, "a second control stream");
            return false;
        }
        n->control_seen = true;
    } else if (kind == KIND_PARCEL && !bidi && !c->welcome) {
        streams_refuse(c, s, STREAM_EARLY);
    } else if (kind == KIND_PARCEL && !bidi) {
        s->in_max = c->endpoint->config.parcel_bytes_max;
    } else if (kind == KIND_REQUEST && bidi) {
        s->in_max = LINK_REQUEST_BYTES_MAX;
        s->out_open = true;
    } else {
        s->kind = bidi ? KIND_REQUEST : KIND_PARCEL; /* so that both its directions are refused */
        streams_refuse(c, s, STREAM_UNKNOWN);
    }
    return true;
}

/* A whole message has arrived. */
static void deliver(struct connection *c, struct stream *s)
{
    struct endpoint_handlers *h = &c->endpoint->handlers;
    struct bytes message = bytes_of(s->in, s->in_count);
    s->in_open = false;
    s->early = s->kind == KIND_REQUEST && !s->ours && !c->welcome;
    if (s->early) return;
    if (s->kind == KIND_PARCEL && h->parcel) h->parcel(h->ctx, c->id, message);
    if (s->kind == KIND_REQUEST && !s->ours) {
        s->asked = true;
        s->bulk = h->bulk && h->bulk(message);
        if (h->request) h->request(h->ctx, c->id, (uint64_t)s->id, message);
    }
    if (s->kind == KIND_REQUEST && s->ours) {
        s->asked = false;
        if (h->reply) h->reply(h->ctx, c->id, s->ticket, true, message);
    }
    /* It ended without a kind. */
    if (!s->kind_known && !s->ours) streams_refuse(c, s, STREAM_UNKNOWN);
    streams_release_in(c, s);
}

static bool data(struct connection *c, int64_t id, void *of, struct bytes b, bool fin)
{
    struct session *n = c->session;
    struct stream *s = of;
    size_t consumed = 0;
    if (!s) {
        s = streams_new(n, id, 0, false);
        if (!s) {
            connection_doom(c, CLOSE_BUSY, "no memory for one more stream");
            return false;
        }
        s->in_open = true;
        ngtcp2_conn_set_stream_user_data(c->quic, id, s);
    }
    n->moved = clock_now();
    if (!s->ours && !s->kind_known && b.count) {
        if (!meet(c, s, b.data[0])) return false;
        b.data++;
        b.count--;
        consumed = 1;
    }
    if (s->kind == KIND_PARCEL || (s->ours && s->bulk)) n->bulk_received += b.count;
    if (s->kind == KIND_CONTROL || !s->in_open) {
        consumed += b.count;
        if (s->kind == KIND_CONTROL && !control_data(c, b)) return false;
        if (s->kind == KIND_CONTROL) ngtcp2_conn_extend_max_stream_offset(c->quic, id, consumed);
    } else if (s->in_count + b.count > s->in_max) {
        consumed += b.count;
        streams_release_in(c, s);
        streams_refuse(c, s, STREAM_TOO_LONG);
    } else if (!streams_keep(n, s, b)) {
        connection_doom(c, CLOSE_BUSY, "no memory for a message");
        return false;
    } else if (fin) {
        deliver(c, s);
    } else {
        streams_make_room(c);
    }
    ngtcp2_conn_extend_max_offset(c->quic, consumed);
    return true;
}

/* Does what we send on it count in link_flows? */
static bool is_bulk(const struct stream *s)
{
    return s->kind == KIND_PARCEL || (!s->ours && s->bulk);
}

static void acked(struct connection *c, int64_t id, void *of, uint64_t count)
{
    struct session *n = c->session;
    struct stream *s = of;
    if (!s) return;
    instant now = clock_now();
    chunks_acked(&s->out, count);
    n->queued -= count;
    n->moved = now;
    c->rate.acked += count;
    if (is_bulk(s)) {
        n->bulk_sent += count;
        train_acked(c, s, count, s->out_fin && !s->out.first, now);
    }
    span busy = instant_since(now, c->rate.since);
    /* Short bursts do not measure a rate: they end before the window opens. */
    if (busy.ns < 100000000u && (n->queued || c->rate.acked < 256u << 10)) return;
    double per_s = (double)c->rate.acked / (span_in_s(busy) + 1e-6);
    c->rate.per_s = c->rate.per_s > 0 ? 0.7 * c->rate.per_s + 0.3 * per_s : per_s;
    c->rate.acked = 0;
    c->rate.since = now;
}

static void closed(struct connection *c, int64_t id, void *of, bool whole, uint64_t code)
{
    struct endpoint_handlers *h = &c->endpoint->handlers;
    struct stream *s = of;
    if (!s) return;
    bool control = s->kind == KIND_CONTROL;
    if (s->kind == KIND_PARCEL && s->ours && h->parcel_done)
        h->parcel_done(h->ctx, c->id, s->ticket, whole && !s->out.first);
    if (s->kind == KIND_REQUEST && s->ours && s->asked && h->reply)
        h->reply(h->ctx, c->id, s->ticket, false, bytes_of(NULL, 0));
    streams_free(c, s);
    if (control) connection_doom(c, CLOSE_PROTOCOL, "the control stream ended");
}

static void reset(struct connection *c, int64_t id, void *of)
{
    struct stream *s = of;
    if (!s) return;
    s->in_open = s->early = false;
    streams_release_in(c, s);
    /* A peer that cancels its request wants no reply either. */
    if (s->kind == KIND_REQUEST && !s->ours) streams_refuse(c, s, STREAM_DECLINED);
}

static void stopped(struct connection *c, int64_t id, void *of)
{
    struct stream *s = of;
    if (!s) return;
    s->out_open = false;
    streams_dequeue(c->session, s);
    /* A request whose receiving the peer stops will not be answered. */
    if (s->kind == KIND_REQUEST && s->ours)
        ngtcp2_conn_shutdown_stream_read(c->quic, 0, id, STREAM_DECLINED);
}

static void datagram(struct connection *c, struct bytes b)
{
    struct endpoint_handlers *h = &c->endpoint->handlers;
    if (h->datagram) h->datagram(h->ctx, c->id, b);
}

static void credit(struct connection *c)
{
    streams_open(c);
    connection_touch(c);
}

static void stream_credit(struct connection *c, int64_t id, void *of)
{
    struct stream *s = of;
    if (!s || !s->blocked) return;
    s->blocked = false;
    streams_enqueue(c->session, s);
    connection_touch(c);
}

static struct bytes next_datagram(struct connection *c)
{
    struct session *n = c->session;
    struct chunk *k = n->datagrams.first;
    return k ? bytes_of(k->bytes, k->count) : bytes_of(NULL, 0);
}

static void datagram_done(struct connection *c)
{
    struct session *n = c->session;
    chunks_drop_first(&n->datagrams);
    n->datagram_count--;
}

static void next(struct connection *c, struct piece *p)
{
    struct session *n = c->session;
    struct stream *s = n->urgent.first ? n->urgent.first : n->bulk.first;
    if (!s) return;
    p->stream = s->id;
    p->of = s;
    const struct chunk *k = s->out.unsent;
    for (; k && p->part_count < sizeof p->parts / sizeof *p->parts; k = k->next)
        p->parts[p->part_count++] = (ngtcp2_vec){(uint8_t *)k->bytes + k->sent, k->count - k->sent};
    p->fin = s->out_fin && !k;
}

static void took(struct connection *c, struct piece *p, size_t count)
{
    struct session *n = c->session;
    struct stream *s = p->of;
    size_t offered = 0;
    for (size_t i = 0; i < p->part_count; i++) offered += p->parts[i].len;
    chunks_sent(&s->out, count);
    if (p->fin && count == offered) s->out_open = false;
    if (is_bulk(s) && (count || !s->out_open)) train_sends(s, !s->out_open);
    if (!streams_has_data(s)) streams_dequeue(n, s);
}

static void blocked(struct connection *c, struct piece *p, bool gone)
{
    struct stream *s = p->of;
    streams_dequeue(c->session, s);
    if (gone) s->out_open = false;
    else s->blocked = true;
}

static void end(struct connection *c, const struct link_end *how)
{
    struct endpoint_handlers *h = &c->endpoint->handlers;
    struct session *n = c->session;
    link_id id = c->id;
    /* Handlers run first: what they ask of this link is refused from here on. */
    while (n && n->all) {
        struct stream *s = n->all;
        bool parcel = s->kind == KIND_PARCEL && s->ours;
        bool request = s->kind == KIND_REQUEST && s->ours && s->asked;
        uint64_t ticket = s->ticket;
        streams_free(c, s);
        if (parcel && h->parcel_done && c->up) h->parcel_done(h->ctx, id, ticket, false);
        if (request && h->reply && c->up) h->reply(h->ctx, id, ticket, false, bytes_of(NULL, 0));
    }
    if (n) {
        loop_timer_clear(c->endpoint->loop, &n->quiet);
        loop_timer_clear(c->endpoint->loop, &n->welcome);
        chunks_clear(&n->datagrams);
        frames_fini(&n->frames);
        free(n);
        c->session = NULL;
    }
    if (h->link_down && (how->up || how->dialled)) h->link_down(h->ctx, id, how);
}

const struct protocol link_protocol = {
    .start = start,
    .up = up,
    .data = data,
    .acked = acked,
    .closed = closed,
    .reset = reset,
    .stopped = stopped,
    .datagram = datagram,
    .credit = credit,
    .stream_credit = stream_credit,
    .next_datagram = next_datagram,
    .datagram_done = datagram_done,
    .next = next,
    .took = took,
    .blocked = blocked,
    .end = end,
};

/* ---- retiring ---- */

/* Is a parcel or a request under way? */
static bool busy(const struct session *n)
{
    for (const struct stream *s = n->all; s; s = s->all_next)
        if (s->kind != KIND_CONTROL) return true;
    return n->queued;
}

static void on_quiet(void *ctx, instant now)
{
    struct connection *c = ctx;
    struct session *n = c->session;
    instant quiet = instant_after(n->moved, span_s(RETIRE_QUIET_S));
    instant last = instant_after(n->retired, span_s(RETIRE_S));
    if ((instant_reached(now, quiet) && !busy(n)) || instant_reached(now, last)) {
        connection_doom(c, CLOSE_DUPLICATE, "another connection to the same peer stays");
        return;
    }
    instant again = instant_max(quiet, instant_after(now, span_ms(RETIRE_LOOK_MS)));
    loop_timer_set(c->endpoint->loop, &n->quiet, instant_min(again, last));
}

/* ---- interface ---- */

/* A link that accepts messages; NULL when it is gone or not up. */
static struct connection *usable(struct endpoint *e, link_id l)
{
    struct connection *c = endpoint_connection(e, l);
    return c && c->session && c->up && !c->doomed && c->protocol == &link_protocol ? c : NULL;
}

bool link_exporter(struct endpoint *e, link_id l, uint8_t out[CRYPTO_HASH_BYTES])
{
    const struct connection *c = usable(e, l);
    if (c) memcpy(out, c->exporter, CRYPTO_HASH_BYTES);
    return c;
}

/* Not from within link_welcome, whose caller may be in the middle of something. */
static void on_welcome(void *ctx, instant now)
{
    struct connection *c = ctx;
    struct session *n = c->session;
    for (struct stream *s = n->all; s && !c->doomed; s = s->all_next)
        if (s->early) deliver(c, s);
    connection_touch(c);
}

void link_welcome(struct endpoint *e, link_id l)
{
    struct connection *c = usable(e, l);
    if (!c || c->welcome) return;
    struct session *n = c->session;
    connection_welcome(c);
    n->welcome = (struct loop_timer){.fire = on_welcome, .ctx = c};
    loop_timer_set(e->loop, &n->welcome, clock_now());
}

void link_retire(struct endpoint *e, link_id l)
{
    struct connection *c = usable(e, l);
    if (!c || c->retiring) return;
    struct session *n = c->session;
    c->retiring = true;
    n->retired = n->moved = clock_now();
    n->quiet = (struct loop_timer){.fire = on_quiet, .ctx = c};
    loop_timer_set(e->loop, &n->quiet, instant_after(n->retired, span_s(RETIRE_QUIET_S)));
}

bool link_datagram(struct endpoint *e, link_id l, struct bytes payload)
{
    struct connection *c = usable(e, l);
    assert(payload.count <= LINK_DATAGRAM_BYTES_MAX);
    if (!c || !payload.count) return false;
    struct session *n = c->session;
    if (n->datagram_count >= DATAGRAMS_MAX) return false;
    struct chunk *k = chunk_new(payload.count);
    if (!k) return false;
    memcpy(k->bytes, payload.data, payload.count);
    chunks_add(&n->datagrams, k);
    n->datagram_count++;
    connection_touch(c);
    return true;
}

bool link_frame(struct endpoint *e, link_id l, uint8_t type, struct bytes body)
{
    struct connection *c = usable(e, l);
    assert(body.count <= LINK_FRAME_BYTES_MAX);
    if (!c || !((struct session *)c->session)->control) return false;
    uint8_t head[FRAMES_HEAD_BYTES] = {type, (uint8_t)body.count, (uint8_t)(body.count >> 8),
                                       (uint8_t)(body.count >> 16)};
    struct bytes parts[] = {bytes_of(head, sizeof head), body};
    struct chunk *k = streams_chunk(c, parts, 2, FRAME_RESERVE_BYTES);
    if (k) streams_queue(c, ((struct session *)c->session)->control, k);
    return k;
}

bool link_parcel(struct endpoint *e, link_id l, struct bytes head, struct bytes body,
                 uint64_t ticket)
{
    struct connection *c = usable(e, l);
    struct bytes parts[] = {head, body};
    if (head.count + body.count > e->config.parcel_bytes_max) return false;
    return c && streams_send(c, KIND_PARCEL, parts, 2, ticket);
}

bool link_request(struct endpoint *e, link_id l, struct bytes message, uint64_t ticket)
{
    struct connection *c = usable(e, l);
    assert(message.count <= LINK_REQUEST_BYTES_MAX);
    struct stream *s = c ? streams_send(c, KIND_REQUEST, &message, 1, ticket) : NULL;
    if (!s) return false;
    s->asked = s->in_open = true;
    s->bulk = e->handlers.bulk && e->handlers.bulk(message);
    s->in_max = c->endpoint->config.reply_bytes_max;
    return true;
}

static struct stream *asked_stream(struct connection *c, uint64_t handle)
{
    struct session *n = c ? c->session : NULL;
    for (struct stream *s = n ? n->all : NULL; s; s = s->all_next)
        if (s->id == (int64_t)handle && s->kind == KIND_REQUEST && !s->ours && s->asked) return s;
    return NULL;
}

bool link_reply(struct endpoint *e, link_id l, uint64_t handle, const struct bytes *parts,
                size_t count)
{
    struct connection *c = usable(e, l);
    struct stream *s = asked_stream(c, handle);
    if (!s || !s->out_open) return false;
    struct chunk *k = streams_chunk(c, parts, count, 0);
    if (!k) {
        link_decline(e, l, handle);
        return false;
    }
    s->asked = false;
    s->out_fin = true;
    streams_queue(c, s, k);
    return true;
}

void link_decline(struct endpoint *e, link_id l, uint64_t handle)
{
    struct connection *c = usable(e, l);
    struct stream *s = asked_stream(c, handle);
    if (!s) return;
    s->asked = false;
    streams_refuse(c, s, STREAM_DECLINED);
    connection_touch(c);
}

void link_close(struct endpoint *e, link_id l, uint32_t code, const char *reason)
{
    struct connection *c = endpoint_connection(e, l);
    if (c && c->protocol == &link_protocol) connection_doom(c, code, "%s", reason);
}

size_t link_queued(struct endpoint *e, link_id l)
{
    struct connection *c = usable(e, l);
    return c ? ((struct session *)c->session)->queued : 0;
}

void link_flows(struct endpoint *e,
                void (*each)(void *ctx, link_id l, uint64_t sent, uint64_t received), void *ctx)
{
    for (size_t i = 0; i < e->slot_count; i++) {
        struct connection *c = e->slots[i].connection;
        struct session *n = c && usable(e, c->id) ? c->session : NULL;
        if (!n || n->bulk_sent + n->bulk_received == 0) continue;
        uint64_t sent = n->bulk_sent, received = n->bulk_received;
        n->bulk_sent = n->bulk_received = 0;
        each(ctx, c->id, sent, received);
    }
}

bool link_info(struct endpoint *e, link_id l, struct link_info *out)
{
    struct connection *c = endpoint_connection(e, l);
    ngtcp2_conn_info i;
    if (!c || !c->quic || c->protocol != &link_protocol) return false;
    ngtcp2_conn_get_conn_info2(c->quic, &i);
    *out = (struct link_info){.address = c->remote,
                              .up = c->up,
                              .dialled = c->dialled,
                              .retiring = c->retiring,
                              .rtt = span_ns(i.smoothed_rtt),
                              .rtt_min = span_ns(i.min_rtt == UINT64_MAX ? 0 : i.min_rtt),
                              .window_bytes = i.cwnd,
                              .sent = c->sent,
                              .received = c->received,
                              .lost = i.bytes_lost,
                              .delivered_per_s = c->rate.per_s,
                              .queued = link_queued(e, l)};
    memcpy(out->id, c->peer.id, sizeof out->id);
    return true;
}
