/* What leaves on one connection: packets, filled by its protocol, as long and as many as its path
 * takes. */
#include <assert.h>

#include "base/clock.h"
#include "internal.h"

span connection_pto(const struct connection *c) { return span_ns(ngtcp2_conn_get_pto2(c->quic)); }

/* One packet, filled with datagrams first and then with stream data. */
static ngtcp2_ssize write_packet(ngtcp2_conn *quic, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                 uint8_t *to, size_t room, ngtcp2_tstamp now, void *user)
{
    struct connection *c = user;
    const struct protocol *p = c->session && c->up ? c->protocol : NULL;
    if (room > c->payload.cap) room = c->payload.cap;
    for (struct bytes d; p && (d = p->next_datagram(c)).count;) {
        int taken = 0;
        ngtcp2_vec v = {(uint8_t *)d.data, d.count};
        ngtcp2_ssize n = ngtcp2_conn_writev_datagram(
            quic, path, info, to, room, &taken, NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &v, 1, now);
        if (taken || n == NGTCP2_ERR_INVALID_STATE || n == NGTCP2_ERR_INVALID_ARGUMENT)
            p->datagram_done(c); /* sent, or the peer does not support datagrams */
        if (n == NGTCP2_ERR_WRITE_MORE || n == NGTCP2_ERR_INVALID_STATE ||
            n == NGTCP2_ERR_INVALID_ARGUMENT)
            continue;
        if (n) return n;
        break; /* the congestion window is full */
    }
    for (;;) {
        struct piece piece = {.stream = -1};
        ngtcp2_ssize took = -1;
        if (p) p->next(c, &piece);
        uint32_t flags = piece.stream < 0 ? 0 : NGTCP2_WRITE_STREAM_FLAG_MORE;
        if (piece.fin) flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
        ngtcp2_ssize n =
            ngtcp2_conn_writev_stream(quic, path, info, to, room, &took, flags, piece.stream,
                                      piece.parts, piece.part_count, now);
        if (piece.stream >= 0 && took >= 0) p->took(c, &piece, (size_t)took);
        if (n == NGTCP2_ERR_WRITE_MORE) continue;
        if (n == NGTCP2_ERR_STREAM_DATA_BLOCKED) p->blocked(c, &piece, false);
        else if (n == NGTCP2_ERR_STREAM_SHUT_WR || n == NGTCP2_ERR_STREAM_NOT_FOUND)
            p->blocked(c, &piece, true);
        else return n;
    }
}

/* Bytes that may leave at once: what the pacer allows, so that a short queue on the way does not
 * overflow; one packet at least. */
static size_t burst_of(const struct connection *c)
{
    size_t quantum = ngtcp2_conn_get_send_quantum2(c->quic), room = sizeof c->endpoint->out;
    if (quantum < PAYLOAD_BYTES_MAX) quantum = PAYLOAD_BYTES_MAX;
    return quantum < room ? quantum : room;
}

static void set_timer(struct connection *c)
{
    loop_timer_set(c->endpoint->loop, &c->timer, (instant){ngtcp2_conn_get_expiry2(c->quic)});
}

/* Tells payload.h how the path does. */
static void watch_path(struct connection *c, instant now)
{
    const ngtcp2_transport_params *t = ngtcp2_conn_get_remote_transport_params2(c->quic);
    ngtcp2_conn_info i;
    ngtcp2_conn_get_conn_info2(c->quic, &i);
    c->payload.probes = c->up && c->protocol == &link_protocol && t && t->max_datagram_frame_size;
    payload_tick(&c->payload, ngtcp2_conn_get_path_max_tx_udp_payload_size2(c->quic), i.pkt_lost,
                 i.bytes_lost, connection_pto(c), now);
}

/* A packet that only shows whether one of its length arrives: an empty datagram, for ngtcp2 tells
 * what becomes of datagrams, and padding. Returns what was written, or an error. */
static ngtcp2_ssize write_probe(struct connection *c, ngtcp2_path *path, instant now)
{
    ngtcp2_pkt_info info;
    int taken = 0;
    size_t count = payload_probe(&c->payload, now);
    if (!count) return 0;
    ngtcp2_ssize n = ngtcp2_conn_writev_datagram(
        c->quic, path, &info, c->endpoint->out, count, &taken, NGTCP2_WRITE_DATAGRAM_FLAG_PADDING,
        payload_probe_id(&c->payload, count), NULL, 0, now.ns);
    if (n > 0)
        payload_probed(&c->payload, count, taken && (size_t)n == count, connection_pto(c), now);
    return n;
}

/* One batch into `out`. Returns its bytes, 0 when nothing may leave now, or an error. */
static ngtcp2_ssize write_batch(struct connection *c, ngtcp2_path *path, size_t *segment,
                                instant now)
{
    struct endpoint *e = c->endpoint;
    ngtcp2_pkt_info info;
    ngtcp2_ssize n = write_probe(c, path, now);
    *segment = 0;
    if (n == 0)
        n = ngtcp2_conn_write_aggregate_pkt2(c->quic, path, &info, e->out, burst_of(c), segment,
                                             write_packet, SEND_BATCH_PACKETS, now.ns);
    if (n <= 0) return n;
    if (!*segment) *segment = (size_t)n;
    payload_sent(&c->payload, *segment, now);
    return n;
}

bool connection_write(struct connection *c, instant now)
{
    struct endpoint *e = c->endpoint;
    if (c->held) return false; /* until that has left */
    watch_path(c, now);
    for (int batch = 0; batch < 4; batch++) { /* then other connections get their turn */
        ngtcp2_path_storage path;
        size_t segment;
        if (e->send_blocked || c->held) return !c->held;
        if (batch) now = clock_now(); /* for the pacer: the batches before took their time */
        ngtcp2_path_storage_zero(&path);
        ngtcp2_ssize n = write_batch(c, &path.path, &segment, now);
        if (n < 0) {
            connection_finish_by_error(c, (int)n, now);
            return false;
        }
        if (n == 0) {
            ngtcp2_conn_update_pkt_tx_time(c->quic, now.ns);
            set_timer(c);
            return false;
        }
        endpoint_send(e, c, &path.path, (size_t)n, segment);
        ngtcp2_conn_update_pkt_tx_time(c->quic, now.ns);
    }
    set_timer(c);
    return true;
}
