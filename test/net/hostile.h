/* hostile.h -- a peer that opens streams and writes on them what a test wants, past link.c: for
 * tests and fuzzing. */
#ifndef SHOAL_TEST_NET_HOSTILE_H
#define SHOAL_TEST_NET_HOSTILE_H

#include <string.h>

#include "net/internal.h"

#define HOSTILE_MAX 256

static struct {
    struct connection *c; /* NULL once it ended */
    size_t count, turn;
    struct {
        int64_t id;
        const uint8_t *head; /* sent first; lent */
        size_t head_left;
        size_t zeros_left; /* then these */
        bool fin, blocked, done;
    } streams[HOSTILE_MAX];
    size_t stopped;
    size_t heard;  /* bytes on bidirectional streams: answers */
    uint32_t code; /* of its end */
    char reason[REASON_BYTES];
} hostile;

static const uint8_t hostile_zeros[60000];

static bool hostile_start(struct connection *c)
{
    hostile.c = c;
    c->session = &hostile;
    return true;
}
static bool hostile_up(struct connection *c) { return true; }
static bool hostile_data(struct connection *c, int64_t id, void *of, struct bytes b, bool fin)
{
    if (ngtcp2_is_bidi_stream(id)) hostile.heard += b.count;
    ngtcp2_conn_extend_max_stream_offset(c->quic, id, b.count);
    ngtcp2_conn_extend_max_offset(c->quic, b.count);
    return true;
}
static void hostile_acked(struct connection *c, int64_t id, void *of, uint64_t n) {}
static void hostile_closed(struct connection *c, int64_t id, void *of, bool whole, uint64_t code) {}
static void hostile_reset(struct connection *c, int64_t id, void *of) {}
static void hostile_stopped(struct connection *c, int64_t id, void *of) { hostile.stopped++; }
static void hostile_datagram(struct connection *c, struct bytes b) {}
static void hostile_credit(struct connection *c) {}
static void hostile_stream_credit(struct connection *c, int64_t id, void *of)
{
    for (size_t i = 0; i < hostile.count; i++)
        if (hostile.streams[i].id == id) hostile.streams[i].blocked = false;
    connection_touch(c);
}
static struct bytes hostile_next_datagram(struct connection *c) { return bytes_of(NULL, 0); }

/* One packet of each stream in turn. */
static void hostile_next(struct connection *c, struct piece *p)
{
    for (size_t i = 0; i < hostile.count; i++) {
        size_t at = (hostile.turn + i) % hostile.count;
        if (hostile.streams[at].blocked || hostile.streams[at].done) continue;
        size_t head = hostile.streams[at].head_left, zeros = hostile.streams[at].zeros_left;
        if (!head && !zeros && !hostile.streams[at].fin) continue;
        p->stream = hostile.streams[at].id;
        p->of = (void *)at;
        p->parts[0] =
            head ? (ngtcp2_vec){(uint8_t *)hostile.streams[at].head, head}
                 : (ngtcp2_vec){(uint8_t *)hostile_zeros,
                                zeros < sizeof hostile_zeros ? zeros : sizeof hostile_zeros};
        p->part_count = p->parts[0].len ? 1 : 0;
        p->fin = hostile.streams[at].fin && (head ? !zeros : zeros <= sizeof hostile_zeros);
        hostile.turn = at + 1;
        return;
    }
}
static void hostile_took(struct connection *c, struct piece *p, size_t count)
{
    size_t at = (size_t)p->of;
    if (hostile.streams[at].head_left) {
        hostile.streams[at].head += count;
        hostile.streams[at].head_left -= count;
    } else {
        hostile.streams[at].zeros_left -= count;
    }
    if (p->fin && !hostile.streams[at].head_left && !hostile.streams[at].zeros_left)
        hostile.streams[at].done = true;
}
static void hostile_blocked(struct connection *c, struct piece *p, bool gone)
{
    if (gone) hostile.streams[(size_t)p->of].done = true;
    else hostile.streams[(size_t)p->of].blocked = true;
}
static void hostile_end(struct connection *c, const struct link_end *end)
{
    hostile.code = end->code;
    snprintf(hostile.reason, sizeof hostile.reason, "%s", end->reason);
    hostile.c = NULL;
    c->session = NULL;
}

static const struct protocol hostile_protocol = {
    .start = hostile_start,
    .up = hostile_up,
    .data = hostile_data,
    .acked = hostile_acked,
    .closed = hostile_closed,
    .reset = hostile_reset,
    .stopped = hostile_stopped,
    .datagram = hostile_datagram,
    .credit = hostile_credit,
    .stream_credit = hostile_stream_credit,
    .next_datagram = hostile_next_datagram,
    .next = hostile_next,
    .took = hostile_took,
    .blocked = hostile_blocked,
    .end = hostile_end,
};

/* Opens a stream that carries `head` (lent until it ends), then zeros, then perhaps FIN. False when
 * the peer allows none. */
static inline bool hostile_stream(bool bidi, const void *head, size_t head_count, size_t zeros,
                                  bool fin)
{
    size_t at = hostile.count;
    int64_t id;
    if (at == HOSTILE_MAX) return false;
    if (bidi ? ngtcp2_conn_open_bidi_stream(hostile.c->quic, &id, NULL)
             : ngtcp2_conn_open_uni_stream(hostile.c->quic, &id, NULL))
        return false;
    hostile.streams[at].id = id;
    hostile.streams[at].head = head;
    hostile.streams[at].head_left = head_count;
    hostile.streams[at].zeros_left = zeros;
    hostile.streams[at].fin = fin;
    hostile.streams[at].blocked = hostile.streams[at].done = false;
    hostile.count++;
    connection_touch(hostile.c);
    return true;
}

#endif
