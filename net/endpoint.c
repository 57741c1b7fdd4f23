#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/crowd.h"
#include "base/whole.h"
#include "crypto.h"
#include "internal.h"
#include "resolve.h"

/* A link_id is a slot number in the low bits, and above it how often the slot was used. */
#define SLOT_BITS 12
#define SLOT_MASK ((1u << SLOT_BITS) - 1)

#define RECEIVES_PER_TURN 32 /* of up to 64 KiB each; then timers and writes get their turn */
#define REFUSALS_PER_TURN 32
#define RESETS_PER_S      50  /* stateless resets: enough after a restart, too few to be abused */
#define VAIN_PER_S        100 /* complaints by ICMP about nobody, to hearing none for a while */
#define DEAF_FOR          span_s(1)
#define CLOSING_MAX       256
#define RETRY_TOKEN_S     10
/* Connections of others whose handshake is not over: so many before a client must prove its
 * address, so many in all. */
#define HALF_OPEN_UNPROVEN 16
#define HALF_OPEN_MAX      32
/* RFC 9000, 10.3: a reset has at least 21 bytes and is shorter than what it answers; 42 look like
 * any short packet. */
#define RESET_BYTES_MIN         21
#define RESET_BYTES_LOOK        42
#define SERVER_PACKET_BYTES_MIN 1200 /* RFC 9000, 14.1 */

struct endpoint_config endpoint_defaults(const char *listen)
{
    return (struct endpoint_config){.listen = listen,
                                    .bbr = true,
                                    .gso = true,
                                    .gro = true,
                                    .socket_bytes = 4u << 20,
                                    .idle = span_s(30),
                                    .keep_alive = span_s(10),
                                    .handshake = span_s(10),
                                    .links_max = 128,
                                    .parcel_bytes_max = 2u << 20,
                                    .reply_bytes_max = 2u << 20,
                                    .window_bytes = 32u << 20,
                                    .queue_bytes_max = 64u << 20,
                                    .retry_above = 8,
                                    .place_burst = 32,
                                    .place_rate = 4,
                                    .alpn = "shoal/1"};
}

void endpoint_warn(struct endpoint *e, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (e->handlers.warn) e->handlers.warn(e->handlers.ctx, text);
}

/* ---- the table of links ---- */

link_id endpoint_slot(struct endpoint *e, struct connection *c)
{
    for (size_t i = 0; i < e->slot_count; i++) {
        size_t at = (e->slot_next + i) % e->slot_count;
        struct slot *s = &e->slots[at];
        if (s->connection) continue;
        s->connection = c;
        e->slot_next = (at + 1) % e->slot_count;
        e->counters.links++;
        return s->generation << SLOT_BITS | (link_id)(at + 1);
    }
    return LINK_NONE;
}

struct connection *endpoint_connection(struct endpoint *e, link_id l)
{
    size_t at = l & SLOT_MASK;
    if (at == 0 || at > e->slot_count) return NULL;
    struct slot *s = &e->slots[at - 1];
    return s->connection && s->generation == l >> SLOT_BITS &&
                   s->connection->state <= CONNECTION_OPEN
               ? s->connection
               : NULL;
}

void endpoint_release(struct endpoint *e, struct connection *c)
{
    if (c->id != LINK_NONE) {
        struct slot *s = &e->slots[(c->id & SLOT_MASK) - 1];
        s->connection = NULL;
        s->generation = (s->generation + 1) & (UINT32_MAX >> SLOT_BITS);
        e->counters.links--;
        c->id = LINK_NONE;
    }
    if (!c->dirty) return;
    struct connection **at = &e->dirty;
    while (*at != c) at = &(*at)->dirty_next;
    *at = c->dirty_next;
    if (!*at) e->dirty_end = at;
    c->dirty = false;
}

static void unlink_closing(struct endpoint *e, struct connection *c)
{
    struct connection **at = &e->closing;
    while (*at != c) at = &(*at)->closing_next;
    *at = c->closing_next;
    e->closing_count--;
}

static void on_rested(void *ctx, instant now)
{
    struct connection *c = ctx;
    unlink_closing(c->endpoint, c);
    connection_free(c);
}

void endpoint_retire(struct endpoint *e, struct connection *c, span rest)
{
    endpoint_release(e, c);
    c->closing_next = e->closing;
    e->closing = c;
    c->timer.fire = on_rested;
    loop_timer_set(e->loop, &c->timer, instant_after(clock_now(), rest));
    if (++e->closing_count <= CLOSING_MAX) return;
    struct connection *oldest = e->closing;
    while (oldest->closing_next) oldest = oldest->closing_next;
    /* Its packets now belong to no connection. */
    loop_timer_set(e->loop, &oldest->timer, clock_now());
}

/* ---- room for one more ---- */

static bool half_open(const struct connection *c)
{
    return !c->dialled && c->state == CONNECTION_HANDSHAKE;
}
static bool reader(const struct connection *c)
{
    return !c->dialled && c->up && c->protocol == &http3_protocol;
}
static bool stranger(const struct connection *c) { return !c->dialled && !c->welcome; }
static bool any(const struct connection *c) { return true; }

struct kind {
    const struct endpoint *endpoint;
    bool (*fits)(const struct connection *);
};

static bool one_of(const void *ctx, size_t i, struct crowd_one *out)
{
    const struct kind *k = ctx;
    const struct connection *c = k->endpoint->slots[i].connection;
    if (!c || c->state > CONNECTION_OPEN || c->doomed || !k->fits(c)) return false;
    *out = (struct crowd_one){&c->remote, c->began};
    return true;
}

static size_t count_of(const struct endpoint *e, bool (*fits)(const struct connection *))
{
    const struct kind k = {e, fits};
    struct crowd_one unused;
    size_t count = 0;
    for (size_t i = 0; i < e->slot_count; i++) count += one_of(&k, i, &unused);
    return count;
}

/* Ends one of this kind if there are `most` already. */
static void make_room(struct endpoint *e, bool (*fits)(const struct connection *), size_t most)
{
    const struct kind k = {e, fits};
    size_t i = count_of(e, fits) < most ? e->slot_count : crowd_choose(e->slot_count, one_of, &k);
    if (i == e->slot_count) return;
    struct connection *c = e->slots[i].connection;
    e->counters.evicted++;
    connection_doom(c, c->protocol == &http3_protocol ? CLOSE_H3_LOAD : CLOSE_CROWDED,
                    "room was needed for another connection");
}

void endpoint_make_room_to_read(struct endpoint *e) { make_room(e, reader, 1 + e->slot_count / 4); }

/* ---- packets out ---- */

/* The end of a turn: ends doomed connections, sends what may leave. */
static void on_job(void *ctx)
{
    struct endpoint *e = ctx;
    struct connection *again = NULL, **again_end = &again;
    for (struct connection *c; (c = e->dirty) && !e->send_blocked;) {
        e->dirty = c->dirty_next;
        if (!e->dirty) e->dirty_end = &e->dirty;
        c->dirty = false;
        if (c->state > CONNECTION_OPEN) continue;
        instant now = clock_now();
        if (c->doomed) {
            connection_end(c, now);
        } else if (connection_write(c, now) && !c->dirty) {
            c->dirty = true; /* it may have more: after the others, and after receiving */
            c->dirty_next = NULL;
            *again_end = c;
            again_end = &c->dirty_next;
        }
    }
    if (!again) return;
    *again_end = NULL;
    *e->dirty_end = again;
    e->dirty_end = again_end;
    if (!e->send_blocked) loop_defer(e->loop, &e->job);
}

/* ---- packets in ---- */

static void count_second(struct endpoint *e, instant now)
{
    if (instant_since(now, e->second).ns < 1000000000u) return;
    e->second = now;
    e->handshakes_now = e->resets_now = e->vain_now = 0;
}

static void send_stray(struct endpoint *e, const ngtcp2_path *path, ngtcp2_ssize n)
{
    if (n > 0) endpoint_send(e, NULL, path, (size_t)n, (size_t)n);
}

static void negotiate_version(struct endpoint *e, const ngtcp2_version_cid *v,
                              const ngtcp2_path *path)
{
    uint8_t chance;
    const uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    crypto_random(&chance, 1);
    e->counters.negotiations_sent++;
    send_stray(e, path,
               ngtcp2_pkt_write_version_negotiation(e->out, PAYLOAD_BYTES_MAX, chance, v->scid,
                                                    v->scidlen, v->dcid, v->dcidlen, versions, 1));
}

/* A packet of a connection that we no longer have: tells its sender. */
static void reset_stateless(struct endpoint *e, const ngtcp2_version_cid *v, size_t packet_bytes,
                            const ngtcp2_path *path)
{
    ngtcp2_cid cid;
    ngtcp2_stateless_reset_token token;
    uint8_t chance[RESET_BYTES_LOOK - NGTCP2_STATELESS_RESET_TOKENLEN];
    if (packet_bytes <= RESET_BYTES_MIN || e->resets_now >= RESETS_PER_S) return;
    ngtcp2_cid_init(&cid, v->dcid, v->dcidlen);
    if (ngtcp2_crypto_generate_stateless_reset_token(token.data, e->reset_secret,
                                                     sizeof e->reset_secret, &cid))
        return;
    e->resets_now++;
    e->counters.resets_sent++;
    crypto_random(chance, sizeof chance);
    /* Shorter than the packet it answers, so that two endpoints do not answer each other's resets
     * forever. */
    send_stray(
        e, path,
        ngtcp2_pkt_write_stateless_reset2(e->out, packet_bytes - 1, &token, chance, sizeof chance));
}

/* Asks a client to come back with a token that proves its address. */
static void ask_back(struct endpoint *e, const ngtcp2_pkt_hd *hd, const ngtcp2_path *path,
                     instant now)
{
    ngtcp2_cid scid = {.datalen = CID_BYTES};
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2];
    crypto_random(scid.data, scid.datalen);
    ngtcp2_ssize n = ngtcp2_crypto_generate_retry_token2(
        token, e->token_secret, sizeof e->token_secret, hd->version, path->remote.addr,
        path->remote.addrlen, &scid, &hd->dcid, now.ns);
    if (n < 0) return;
    e->counters.retries_sent++;
    send_stray(e, path,
               ngtcp2_crypto_write_retry(e->out, PAYLOAD_BYTES_MAX, hd->version, &hd->scid, &scid,
                                         &hd->dcid, token, (size_t)n));
}

void endpoint_ask_back(struct endpoint *e, const ngtcp2_path *path, struct bytes packet,
                       instant now)
{
    ngtcp2_pkt_hd hd;
    if (!e->send_blocked && !ngtcp2_accept(&hd, packet.data, packet.count))
        ask_back(e, &hd, path, now);
}

static void turn_away(struct endpoint *e, const ngtcp2_pkt_hd *hd, uint64_t code,
                      const char *reason, const ngtcp2_path *path)
{
    e->counters.refused++;
    send_stray(e, path,
               ngtcp2_crypto_write_connection_close(e->out, PAYLOAD_BYTES_MAX, hd->version,
                                                    &hd->scid, &hd->dcid, code,
                                                    (const uint8_t *)reason, strlen(reason)));
}

/* A long header of no known connection: perhaps a new client. */
static void greet(struct endpoint *e, const ngtcp2_path *path, struct bytes packet, instant now)
{
    ngtcp2_pkt_hd hd;
    ngtcp2_cid odcid;
    bool proven = false;
    if (packet.count < SERVER_PACKET_BYTES_MIN || ngtcp2_accept(&hd, packet.data, packet.count)) {
        e->counters.garbage_datagrams++;
        return;
    }
    if (hd.tokenlen && hd.token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2) {
        proven = !ngtcp2_crypto_verify_retry_token2(
            &odcid, hd.token, hd.tokenlen, e->token_secret, sizeof e->token_secret, hd.version,
            path->remote.addr, path->remote.addrlen, &hd.dcid, span_s(RETRY_TOKEN_S).ns, now.ns);
        if (!proven) {
            turn_away(e, &hd, NGTCP2_INVALID_TOKEN, "the address token is not valid", path);
            return;
        }
    }
    if (!proven && (e->handshakes_now >= e->config.retry_above ||
                    count_of(e, half_open) >= HALF_OPEN_UNPROVEN)) {
        ask_back(e, &hd, path, now);
        return;
    }
    /* Only what is proven counts: nobody uses up another's share. */
    struct address from = udp_address_of(path->remote.addr);
    if (proven &&
        !arrivals_take(&e->arrivals, &from, e->config.place_burst, e->config.place_rate, now)) {
        e->counters.refused++;
        return; /* it tries again by itself */
    }
    e->handshakes_now++;
    /* The last quarter is for those we dial: strangers must not be able to block our dials. */
    size_t room = e->slot_count - e->slot_count / 4;
    struct connection *c = NULL;
    make_room(e, half_open, HALF_OPEN_MAX);
    if (count_of(e, any) >= room) make_room(e, stranger, 1);
    if (count_of(e, any) < room && e->counters.links < e->slot_count)
        c = connection_accept(e, &hd, proven ? &odcid : NULL, path, now);
    if (c) connection_read(c, path, packet, now);
    else turn_away(e, &hd, NGTCP2_CONNECTION_REFUSED, "no room for one more connection", path);
}

/* The connection that this packet of no connection is a stateless reset for. */
static struct connection *reset_connection(struct endpoint *e, struct bytes packet)
{
    size_t token = NGTCP2_STATELESS_RESET_TOKENLEN;
    if (packet.count < NGTCP2_MIN_STATELESS_RESET_RANDLEN + token) return NULL;
    return cid_map_find(&e->tokens, packet.data + packet.count - token, token);
}

static void take_packet(struct endpoint *e, struct bytes packet, union udp_name *from,
                        union udp_name *to, instant now)
{
    ngtcp2_version_cid v;
    ngtcp2_path path = {.local = {&to->any, udp_name_bytes(&to->any)},
                        .remote = {&from->any, udp_name_bytes(&from->any)}};
    int error = ngtcp2_pkt_decode_version_cid(&v, packet.data, packet.count, CID_BYTES);
    e->counters.received_datagrams++;
    struct connection *c = error && error != NGTCP2_ERR_VERSION_NEGOTIATION
                               ? NULL
                               : cid_map_find(&e->cids, v.dcid, v.dcidlen);
    if (!c && !error && !(packet.data[0] & 0x80)) c = reset_connection(e, packet);
    if (c) {
        /* When we dialled, the kernel chose our address, and may choose another one. */
        if (c->dialled) path.local = (ngtcp2_addr){&c->local.any, udp_name_bytes(&c->local.any)};
        connection_read(c, &path, packet, now);
    } else if (e->send_blocked) {
        return; /* an answer could not be sent; a client will retransmit */
    } else if (error == NGTCP2_ERR_VERSION_NEGOTIATION) {
        /* ngtcp2 has checked that the packet has 1200 bytes. */
        negotiate_version(e, &v, &path);
    } else if (error) {
        e->counters.garbage_datagrams++;
    } else if (packet.data[0] & 0x80) {
        greet(e, &path, packet, now);
    } else {
        e->counters.garbage_datagrams++;
        reset_stateless(e, &v, packet.count, &path);
    }
}

/* Does this begin like a packet that the connection sends now? Only who sees its packets knows. */
static bool quotes(const struct connection *c, struct bytes b)
{
    const ngtcp2_cid *to = ngtcp2_conn_get_dcid2(c->quic);
    bool is_long = b.count > 5 && b.data[0] & 0x80;
    size_t at = is_long ? 6 : 1;
    if (is_long && b.data[5] != to->datalen) return false;
    return to->datalen && b.count >= at + to->datalen &&
           !memcmp(b.data + at, to->data, to->datalen);
}

static void take_refusals(struct endpoint *e)
{
    union udp_name to;
    uint8_t quoted[UDP_QUOTED_BYTES];
    size_t count;
    instant now = clock_now();
    count_second(e, now);
    for (int i = 0; i < REFUSALS_PER_TURN && udp_refused(&e->udp, &to, quoted, &count); i++) {
        struct address nobody = udp_address_of(&to.any);
        bool vain = true;
        for (size_t s = 0; s < e->slot_count; s++) {
            struct connection *c = e->slots[s].connection;
            if (c && c->state <= CONNECTION_OPEN && address_equal(&c->remote, &nobody) &&
                quotes(c, bytes_of(quoted, count))) {
                connection_refused(c, now);
                vain = false;
            }
        }
        e->vain_now += vain;
    }
    if (e->vain_now < VAIN_PER_S) return;
    udp_hear_refusals(&e->udp, false);
    loop_timer_set(e->loop, &e->hear_again, instant_after(now, DEAF_FOR));
}

static void hear_again(void *ctx, instant now)
{
    struct endpoint *e = ctx;
    udp_hear_refusals(&e->udp, true);
}

static void on_socket(void *ctx, uint32_t events)
{
    struct endpoint *e = ctx;
    if (events & EPOLLERR) take_refusals(e);
    if (events & EPOLLOUT && e->send_blocked) endpoint_writable(e);
    for (int i = 0; i < RECEIVES_PER_TURN; i++) {
        union udp_name from, to;
        size_t segment;
        ssize_t got = udp_receive(&e->udp, e->in, &from, &to, &segment);
        if (got < 0) return;
        size_t count = (size_t)got;
        instant now = clock_now();
        count_second(e, now);
        e->counters.received_bytes += count;
        for (size_t at = 0; at < count; at += segment)
            take_packet(e, bytes_of(e->in + at, count - at < segment ? count - at : segment), &from,
                        &to, now);
    }
}

/* ---- interface ---- */

static enum err check_config(const struct endpoint_config *c, struct why *w)
{
    size_t longest =
        c->parcel_bytes_max > c->reply_bytes_max ? c->parcel_bytes_max : c->reply_bytes_max;
    if (!c->links_max || c->links_max > 4000)
        return why(w, ERR_USAGE, "an endpoint holds 1 to 4000 connections, not %u", c->links_max);
    if (longest > c->window_bytes / 2)
        return why(w, ERR_USAGE, "a message of %zu bytes needs a window of twice that, not %zu",
                   longest, c->window_bytes);
    return ERR_OK;
}

enum err endpoint_open(struct loop *l, const struct endpoint_config *c, struct identity *self,
                       const struct endpoint_handlers *h, struct endpoint **out, struct why *w)
{
    struct address listen;
    size_t clamped;
    uint64_t key;
    enum err err = check_config(c, w);
    if (!err) err = resolve_listen(c->listen, &listen, w);
    if (err) return err;
    struct endpoint *e = calloc(1, sizeof *e);
    if (!e) return why(w, ERR_MEMORY, "no memory for an endpoint");
    e->loop = l;
    e->config = *c;
    e->self = self;
    e->handlers = *h;
    e->udp.fd = -1;
    e->dirty_end = &e->dirty;
    e->job = (struct loop_job){.run = on_job, .ctx = e};
    e->hear_again = (struct loop_timer){.fire = hear_again, .ctx = e};
    e->slot_count = c->links_max;
    e->slots = calloc(e->slot_count, sizeof *e->slots);
    crypto_random(&key, sizeof key);
    crypto_random(e->token_secret, sizeof e->token_secret);
    /* The same at every start, so that a restarted node can end its peers' old connections. */
    identity_secret(self, "stateless reset", e->reset_secret);
    if (!e->slots || !cid_map_init(&e->cids, 4096, key) || !cid_map_init(&e->tokens, 4096, ~key))
        err = why(w, ERR_MEMORY, "no memory for an endpoint");
    if (!err) err = tls_init(&e->tls, self, c->alpn, w);
    if (!err) err = udp_open(&e->udp, &listen, c->gso, c->gro, c->socket_bytes, &clamped, w);
    e->socket = (struct loop_socket){e->udp.fd, on_socket, e};
    if (!err) err = loop_watch(l, &e->socket, EPOLLIN, w);
    if (err) {
        e->socket.fd = -1;
        endpoint_close(e);
        return err;
    }
    if (c->gso && !e->udp.gso)
        endpoint_warn(e, "this kernel cannot segment UDP (GSO): packets are sent one by one");
    if (clamped)
        endpoint_warn(e,
                      "the kernel grants %zu KiB of UDP socket buffer instead of %zu: raise "
                      "net.core.rmem_max and net.core.wmem_max to %zu",
                      clamped >> 10, c->socket_bytes >> 10, c->socket_bytes);
    *out = e;
    return ERR_OK;
}

void endpoint_close(struct endpoint *e)
{
    if (!e) return;
    e->handlers = (struct endpoint_handlers){0};
    e->ending = true;
    e->send_blocked = false; /* goodbyes take precedence over the waiting batch */
    for (size_t i = 0; e->slots && i < e->slot_count; i++) {
        struct connection *c = e->slots[i].connection;
        if (!c) continue;
        connection_doom(c, CLOSE_LEAVING, "the node leaves");
        connection_end(c, clock_now());
    }
    while (e->closing) on_rested(e->closing, clock_now());
    loop_undefer(e->loop, &e->job);
    loop_timer_clear(e->loop, &e->hear_again);
    if (e->socket.fd >= 0) loop_forget(e->loop, &e->socket);
    udp_close(&e->udp);
    tls_fini(&e->tls);
    cid_map_fini(&e->cids);
    cid_map_fini(&e->tokens);
    free(e->slots);
    free(e);
}

struct address endpoint_address(const struct endpoint *e) { return e->udp.local; }

link_id endpoint_dial(struct endpoint *e, const uint8_t id[CRYPTO_KEY_BYTES],
                      const struct address *to, struct why *w)
{
    return endpoint_dial_within(e, id, to, span_ns(0), w);
}

link_id endpoint_dial_within(struct endpoint *e, const uint8_t id[CRYPTO_KEY_BYTES],
                             const struct address *to, span patience, struct why *w)
{
    if (!memcmp(id, identity_id(e->self), CRYPTO_KEY_BYTES)) {
        why(w, ERR_NETWORK, "this is my own ID: a node does not dial itself");
        return LINK_NONE;
    }
    struct connection *c = connection_dial(e, id, to, &link_protocol, patience, w);
    return c ? c->id : LINK_NONE;
}

struct endpoint_counters endpoint_counters(const struct endpoint *e) { return e->counters; }
