#include "streams.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

bool streams_has_data(const struct stream *s)
{
    return s->out_open && (s->out.unsent || s->out_fin);
}

static struct list *list_of(struct session *n, const struct stream *s)
{
    return s->kind == KIND_CONTROL || (s->kind == KIND_REQUEST && s->ours) ? &n->urgent : &n->bulk;
}

void streams_enqueue(struct session *n, struct stream *s)
{
    if (s->queued || s->blocked || s->id < 0 || !streams_has_data(s)) return;
    s->queued = true;
    list_add(list_of(n, s), s);
}

void streams_dequeue(struct session *n, struct stream *s)
{
    if (s->queued) list_remove(list_of(n, s), s);
    s->queued = false;
}

struct stream *streams_new(struct session *n, int64_t id, uint8_t kind, bool ours)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->id = id;
    s->kind = kind;
    s->ours = ours;
    chunks_init(&s->out);
    s->all_next = n->all;
    if (n->all) n->all->all_before = s;
    n->all = s;
    return s;
}

void streams_release_in(struct connection *c, struct stream *s)
{
    struct session *n = c->session;
    if (s->in_count && c->quic) ngtcp2_conn_extend_max_offset(c->quic, s->in_count);
    n->held -= s->in_count;
    free(s->in);
    s->in = NULL;
    s->in_count = s->in_room = 0;
}

void streams_free(struct connection *c, struct stream *s)
{
    struct session *n = c->session;
    streams_dequeue(n, s);
    if (s->id < 0) {
        if (!list_remove(&n->unopened_uni, s)) list_remove(&n->unopened_bidi, s);
    }
    n->queued -= chunks_clear(&s->out);
    streams_release_in(c, s);
    if (s->all_before) s->all_before->all_next = s->all_next;
    else n->all = s->all_next;
    if (s->all_next) s->all_next->all_before = s->all_before;
    if (n->control == s) n->control = NULL;
    free(s);
}

void streams_open(struct connection *c)
{
    struct session *n = c->session;
    for (int bidi = 0; bidi < 2; bidi++) {
        struct list *l = bidi ? &n->unopened_bidi : &n->unopened_uni;
        for (struct stream *s; (s = l->first);) {
            int64_t id;
            int bad = bidi ? ngtcp2_conn_open_bidi_stream(c->quic, &id, s)
                           : ngtcp2_conn_open_uni_stream(c->quic, &id, s);
            if (bad) break; /* none left: on_stream_credit calls again */
            list_remove(l, s);
            s->id = id;
            streams_enqueue(n, s);
        }
    }
}

void streams_refuse(struct connection *c, struct stream *s, uint64_t code)
{
    s->in_open = false;
    ngtcp2_conn_shutdown_stream_read(c->quic, 0, s->id, code);
    if (s->ours || s->kind != KIND_REQUEST) return;
    s->out_open = false;
    streams_dequeue(c->session, s);
    ngtcp2_conn_shutdown_stream_write(c->quic, 0, s->id, code);
}

bool streams_keep(struct session *n, struct stream *s, struct bytes b)
{
    size_t need = s->in_count + b.count;
    if (need > s->in_room) {
        size_t room = s->in_room ? s->in_room : 2048;
        while (room < need) room *= 2;
        uint8_t *in = realloc(s->in, room);
        if (!in) return false;
        s->in = in;
        s->in_room = room;
    }
    if (b.count) memcpy(s->in + s->in_count, b.data, b.count);
    s->in_count = need;
    n->held += b.count;
    return true;
}

/* ngtcp2 renews the connection's window when more than a quarter of it was consumed. If unfinished
 * messages held the rest, none of them could ever end. So the youngest is refused when they hold
 * half. A peer that sends its messages one after the other does not get here, unless lost packets
 * leave gaps in half a window's worth of messages at once. */
void streams_make_room(struct connection *c)
{
    struct session *n = c->session;
    while (n->held > c->endpoint->config.window_bytes / 2) {
        struct stream *youngest = NULL;
        for (struct stream *s = n->all; s; s = s->all_next)
            if (s->in_count && (!youngest || s->id > youngest->id)) youngest = s;
        if (!youngest) return;
        streams_release_in(c, youngest);
        streams_refuse(c, youngest, STREAM_FULL);
    }
}

struct chunk *streams_chunk(struct connection *c, const struct bytes *parts, size_t count,
                            size_t reserve)
{
    struct session *n = c->session;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += parts[i].count;
    if (n->queued + bytes > c->endpoint->config.queue_bytes_max + reserve) return NULL;
    struct chunk *k = chunk_new(bytes);
    if (!k) return NULL;
    for (size_t i = 0, at = 0; i < count; at += parts[i++].count)
        if (parts[i].count) memcpy(k->bytes + at, parts[i].data, parts[i].count);
    return k;
}

void streams_queue(struct connection *c, struct stream *s, struct chunk *k)
{
    struct session *n = c->session;
    if (!n->queued) {
        c->rate.since = clock_now();
        c->rate.acked = 0;
    }
    chunks_add(&s->out, k);
    n->queued += k->count;
    n->moved = clock_now();
    streams_enqueue(n, s);
    connection_touch(c);
}

struct stream *streams_send(struct connection *c, uint8_t kind, const struct bytes *parts,
                            size_t count, uint64_t ticket)
{
    struct session *n = c->session;
    struct bytes all[4] = {bytes_of(&kind, 1)};
    assert(count <= 3);
    for (size_t i = 0; i < count; i++) all[i + 1] = parts[i];
    struct chunk *k = streams_chunk(c, all, count + 1, 0);
    struct stream *s = k ? streams_new(n, -1, kind, true) : NULL;
    if (!s) {
        free(k);
        return NULL;
    }
    s->ticket = ticket;
    s->out_open = s->out_fin = true;
    list_add(kind == KIND_REQUEST ? &n->unopened_bidi : &n->unopened_uni, s);
    streams_queue(c, s, k);
    streams_open(c);
    return s;
}
