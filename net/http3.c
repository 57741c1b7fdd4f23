#include "http3.h"

#include <assert.h>
#include <nghttp3/nghttp3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "crypto.h"
#include "internal.h"

#define HEADER_BYTES_MAX 8192
#define TYPE_BYTES       128

struct message { /* a received request, or an answer being received */
    struct message *next;
    int64_t stream;
    char method[16], path[HTTP3_PATH_BYTES_MAX + 1], type[TYPE_BYTES];
    int status;
    size_t header_bytes;
    bool too_long;
    uint8_t *body; /* of the answer, sent or received */
    size_t count, room, read;
};

/* A client's request; outlives its connection's handshake. */
struct call {
    char path[HTTP3_PATH_BYTES_MAX + 1];
    char authority[ADDRESS_TEXT_BYTES];
    size_t body_max;
    void (*done)(void *ctx, const struct http3_result *r);
    void *ctx;
    struct loop_timer timer;
    struct connection *connection;
};

struct web { /* session of a connection */
    nghttp3_conn *h3;
    struct connection *connection;
    struct message *messages;
    uint64_t streams; /* that the client may have opened so far */
};

struct http3_reply {
    struct web *web;
    struct message *m;
    bool answered;
};

/* ---- messages ---- */

static struct message *message_new(struct web *web, int64_t stream)
{
    struct message *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->stream = stream;
    m->next = web->messages;
    web->messages = m;
    return m;
}

static void message_free(struct web *web, struct message *m)
{
    struct message **at = &web->messages;
    while (*at != m) at = &(*at)->next;
    *at = m->next;
    free(m->body);
    free(m);
}

static bool body_add(struct message *m, const uint8_t *data, size_t count)
{
    if (m->count + count > m->room) {
        size_t room = m->room ? m->room : 4096;
        while (room < m->count + count) room *= 2;
        uint8_t *body = realloc(m->body, room);
        if (!body) return false;
        m->body = body;
        m->room = room;
    }
    memcpy(m->body + m->count, data, count);
    m->count += count;
    return true;
}

static bool text_of(char *to, size_t room, nghttp3_vec v)
{
    if (v.len >= room || memchr(v.base, 0, v.len)) return false;
    memcpy(to, v.base, v.len);
    to[v.len] = 0;
    return true;
}

/* ---- the server's answer ---- */

static nghttp3_ssize give_body(nghttp3_conn *h3, int64_t stream, nghttp3_vec *v, size_t room,
                               uint32_t *flags, void *user, void *of)
{
    struct message *m = of;
    *flags |= NGHTTP3_DATA_FLAG_EOF;
    if (m->read == m->count) return 0;
    v[0] = (nghttp3_vec){m->body + m->read, m->count - m->read};
    m->read = m->count;
    return 1;
}

static nghttp3_nv field(const char *name, const char *value)
{
    return (nghttp3_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                        NGHTTP3_NV_FLAG_NONE};
}

void http3_answer(struct http3_reply *to, int status, const char *type, struct bytes body)
{
    struct message *m = to->m;
    char code[16], length[24];
    bool head = !strcmp(m->method, "HEAD");
    assert(!to->answered);
    assert(status >= 200 && status <= 599);
    to->answered = true;
    if (!head && body.count && !body_add(m, body.data, body.count)) status = 500;
    snprintf(code, sizeof code, "%d", status);
    snprintf(length, sizeof length, "%zu", m->count);
    nghttp3_nv fields[] = {field(":status", code), field("content-type", type),
                           field("cache-control", "no-store"), field("content-length", length)};
    nghttp3_data_reader reader = {give_body};
    /* Without a length for HEAD: some clients then wait for that many bytes. */
    nghttp3_conn_submit_response(to->web->h3, m->stream, fields, head ? 3 : 4,
                                 head ? NULL : &reader);
    connection_touch(to->web->connection);
}

bool http3_from_here(const struct http3_reply *to)
{
    const struct connection *c = to->web->connection;
    const struct address local = udp_address_of(&c->local.any);
    return address_loopback(&c->remote) ||
           (c->remote.family == local.family && !memcmp(c->remote.ip, local.ip, sizeof local.ip));
}

static void answer(struct web *web, struct message *m)
{
    struct endpoint *e = web->connection->endpoint;
    struct http3_reply to = {web, m, false};
    struct bytes nothing = bytes_of(NULL, 0);
    if (m->too_long) http3_answer(&to, 431, "text/plain", nothing);
    else if (strcmp(m->method, "GET") && strcmp(m->method, "HEAD"))
        http3_answer(&to, 405, "text/plain", nothing);
    else if (e->http3.handler) e->http3.handler(e->http3.ctx, m->path, &to);
    if (!to.answered) http3_answer(&to, 404, "text/plain", nothing);
}

/* ---- callbacks of nghttp3 ---- */

static int on_begin_headers(nghttp3_conn *h3, int64_t stream, void *user, void *of)
{
    struct web *web = user;
    if (of) return 0; /* an answer: its message exists since the request */
    struct message *m = message_new(web, stream);
    if (!m) return NGHTTP3_ERR_CALLBACK_FAILURE;
    nghttp3_conn_set_stream_user_data(h3, stream, m);
    return 0;
}

static int on_header(nghttp3_conn *h3, int64_t stream, int32_t token, nghttp3_rcbuf *name,
                     nghttp3_rcbuf *value, uint8_t flags, void *user, void *of)
{
    struct message *m = of;
    if (!m) return 0;
    nghttp3_vec n = nghttp3_rcbuf_get_buf(name), v = nghttp3_rcbuf_get_buf(value);
    char status[8];
    m->header_bytes += n.len + v.len + 32; /* RFC 9114, 4.2.2 */
    if (m->header_bytes > HEADER_BYTES_MAX) {
        m->too_long = true;
        return 0;
    }
    switch (token) {
    case NGHTTP3_QPACK_TOKEN__METHOD:
        if (!text_of(m->method, sizeof m->method, v)) strcpy(m->method, "?");
        break;
    case NGHTTP3_QPACK_TOKEN__PATH:
        if (!text_of(m->path, sizeof m->path, v)) m->too_long = true;
        break;
    case NGHTTP3_QPACK_TOKEN__STATUS:
        if (text_of(status, sizeof status, v)) m->status = atoi(status);
        break;
    case NGHTTP3_QPACK_TOKEN_CONTENT_TYPE:
        if (!text_of(m->type, sizeof m->type, v)) m->type[0] = 0;
        break;
    default:
        break;
    }
    return 0;
}

static void consume(struct web *web, int64_t stream, size_t count)
{
    ngtcp2_conn_extend_max_stream_offset(web->connection->quic, stream, count);
    ngtcp2_conn_extend_max_offset(web->connection->quic, count);
}

static int on_body(nghttp3_conn *h3, int64_t stream, const uint8_t *data, size_t count, void *user,
                   void *of)
{
    struct web *web = user;
    struct message *m = of;
    struct connection *c = web->connection;
    consume(web, stream, count);
    if (!c->dialled || !m) return 0; /* request bodies are not needed */
    struct call *call = c->call;
    if (m->count + count <= call->body_max && body_add(m, data, count)) return 0;
    connection_doom(c, NGHTTP3_H3_REQUEST_CANCELLED, "the answer is longer than %zu bytes",
                    call->body_max);
    return 0;
}

static int on_deferred(nghttp3_conn *h3, int64_t stream, size_t count, void *user, void *of)
{
    consume(user, stream, count);
    return 0;
}

static void report(struct call *call, const struct http3_result *r)
{
    call->done(call->ctx, r);
    call->done = NULL;
}

static int on_end(nghttp3_conn *h3, int64_t stream, void *user, void *of)
{
    struct web *web = user;
    struct message *m = of;
    struct connection *c = web->connection;
    if (!m || c->doomed) return 0;
    if (!c->dialled) {
        answer(web, m);
        return 0;
    }
    struct http3_result r = {.status = m->status,
                             .type = m->type,
                             .body = bytes_of(m->body, m->count),
                             .identified = c->peer.known};
    memcpy(r.id, c->peer.id, sizeof r.id);
    if (c->call->done) report(c->call, &r);
    connection_doom(c, NGHTTP3_H3_NO_ERROR, "thanks");
    return 0;
}

static int on_stop(nghttp3_conn *h3, int64_t stream, uint64_t code, void *user, void *of)
{
    struct web *web = user;
    ngtcp2_conn_shutdown_stream_read(web->connection->quic, 0, stream, code);
    return 0;
}

static int on_reset(nghttp3_conn *h3, int64_t stream, uint64_t code, void *user, void *of)
{
    struct web *web = user;
    ngtcp2_conn_shutdown_stream_write(web->connection->quic, 0, stream, code);
    return 0;
}

static int on_close(nghttp3_conn *h3, int64_t stream, uint64_t code, void *user, void *of)
{
    struct web *web = user;
    if (of) message_free(web, of);
    if (web->connection->dialled && of)
        connection_doom(web->connection, NGHTTP3_H3_NO_ERROR, "the server gave no whole answer");
    return 0;
}

static void on_random(uint8_t *to, size_t count) { crypto_random(to, count); }

static const nghttp3_callbacks callbacks = {
    .begin_headers = on_begin_headers,
    .recv_header = on_header,
    .recv_data = on_body,
    .deferred_consume = on_deferred,
    .end_stream = on_end,
    .stop_sending = on_stop,
    .reset_stream = on_reset,
    .stream_close = on_close,
    .rand = on_random,
};

/* ---- the protocol ---- */

static void doom_by(struct connection *c, int error)
{
    connection_doom(c, (uint32_t)nghttp3_err_infer_quic_app_error_code(error), "HTTP/3: %s",
                    nghttp3_strerror(error));
}

static bool start(struct connection *c)
{
    struct web *web = calloc(1, sizeof *web);
    nghttp3_settings s;
    int64_t control, encoder, decoder;
    nghttp3_settings_default(&s);
    s.max_field_section_size = HEADER_BYTES_MAX; /* no dynamic table: our headers are small */
    int bad = !web;
    if (!bad && c->dialled) bad = nghttp3_conn_client_new(&web->h3, &callbacks, &s, NULL, web);
    else if (!bad) bad = nghttp3_conn_server_new(&web->h3, &callbacks, &s, NULL, web);
    if (!bad) web->streams = STRANGER_STREAMS_BIDI;
    if (!bad && !c->dialled) nghttp3_conn_set_max_client_streams_bidi(web->h3, web->streams);
    bad = bad || ngtcp2_conn_open_uni_stream(c->quic, &control, NULL) ||
          ngtcp2_conn_open_uni_stream(c->quic, &encoder, NULL) ||
          ngtcp2_conn_open_uni_stream(c->quic, &decoder, NULL) ||
          nghttp3_conn_bind_control_stream(web->h3, control) ||
          nghttp3_conn_bind_qpack_streams(web->h3, encoder, decoder);
    if (bad) {
        if (web) nghttp3_conn_del(web->h3);
        free(web);
        connection_doom(c, NGHTTP3_H3_STREAM_CREATION_ERROR,
                        "HTTP/3 needs three unidirectional streams (RFC 9114, 6.2)");
        return false;
    }
    web->connection = c;
    c->session = web;
    connection_touch(c);
    return true;
}

static bool up(struct connection *c)
{
    struct web *web = c->session;
    struct call *call = c->call;
    int64_t stream;
    if (!c->dialled) return true;
    struct message *m = message_new(web, -1);
    nghttp3_nv fields[] = {field(":method", "GET"), field(":scheme", "https"),
                           field(":authority", call->authority), field(":path", call->path)};
    int bad = !m || ngtcp2_conn_open_bidi_stream(c->quic, &stream, NULL);
    if (!bad) {
        m->stream = stream;
        bad = nghttp3_conn_submit_request(web->h3, stream, fields, 4, NULL, m);
    }
    if (bad) connection_doom(c, NGHTTP3_H3_INTERNAL_ERROR, "the server allows no request");
    connection_touch(c);
    return true;
}

static bool data(struct connection *c, int64_t stream, void *of, struct bytes b, bool fin)
{
    struct web *web = c->session;
    nghttp3_ssize n =
        nghttp3_conn_read_stream2(web->h3, stream, b.data, b.count, fin, clock_now().ns);
    if (n == NGHTTP3_ERR_MALFORMED_HTTP_HEADER || n == NGHTTP3_ERR_MALFORMED_HTTP_MESSAGING) {
        /* This request alone is wrong (RFC 9114, 4.1.2). */
        ngtcp2_conn_shutdown_stream(c->quic, 0, stream, NGHTTP3_H3_MESSAGE_ERROR);
        n = (nghttp3_ssize)b.count;
    }
    if (n < 0) {
        doom_by(c, (int)n);
        return false;
    }
    consume(web, stream, (size_t)n);
    connection_touch(c);
    return true;
}

static void acked(struct connection *c, int64_t stream, void *of, uint64_t count)
{
    struct web *web = c->session;
    int bad = nghttp3_conn_add_ack_offset(web->h3, stream, count);
    if (bad) doom_by(c, bad);
}

static void closed(struct connection *c, int64_t stream, void *of, bool whole, uint64_t code)
{
    struct web *web = c->session;
    int bad = nghttp3_conn_close_stream(web->h3, stream, whole ? NGHTTP3_H3_NO_ERROR : code);
    if (bad && bad != NGHTTP3_ERR_STREAM_NOT_FOUND) doom_by(c, bad);
    /* The peer is about to be allowed one more. */
    if (!c->dialled && ngtcp2_is_bidi_stream(stream))
        nghttp3_conn_set_max_client_streams_bidi(web->h3, ++web->streams);
}

static void reset(struct connection *c, int64_t stream, void *of)
{
    struct web *web = c->session;
    int bad = nghttp3_conn_shutdown_stream_read(web->h3, stream);
    if (bad) doom_by(c, bad);
}

static void stopped(struct connection *c, int64_t stream, void *of)
{
    struct web *web = c->session;
    nghttp3_conn_shutdown_stream_write(web->h3, stream);
}

static void datagram(struct connection *c, struct bytes b) {} /* RFC 9297 is not offered */
static void credit(struct connection *c) {}

static void stream_credit(struct connection *c, int64_t stream, void *of)
{
    struct web *web = c->session;
    nghttp3_conn_unblock_stream(web->h3, stream);
    connection_touch(c);
}

static struct bytes next_datagram(struct connection *c) { return bytes_of(NULL, 0); }
static void datagram_done(struct connection *c) {}

static void next(struct connection *c, struct piece *p)
{
    struct web *web = c->session;
    nghttp3_vec v[sizeof p->parts / sizeof *p->parts];
    int fin = 0;
    nghttp3_ssize n =
        nghttp3_conn_writev_stream(web->h3, &p->stream, &fin, v, sizeof v / sizeof *v);
    if (n < 0) {
        doom_by(c, (int)n);
        p->stream = -1;
        return;
    }
    for (nghttp3_ssize i = 0; i < n; i++) p->parts[i] = (ngtcp2_vec){v[i].base, v[i].len};
    p->part_count = (size_t)n;
    p->fin = fin;
}

static void took(struct connection *c, struct piece *p, size_t count)
{
    struct web *web = c->session;
    int bad = nghttp3_conn_add_write_offset(web->h3, p->stream, count);
    if (bad) doom_by(c, bad);
}

static void blocked(struct connection *c, struct piece *p, bool gone)
{
    struct web *web = c->session;
    if (gone) nghttp3_conn_shutdown_stream_write(web->h3, p->stream);
    else nghttp3_conn_block_stream(web->h3, p->stream);
}

static void end(struct connection *c, const struct link_end *how)
{
    struct web *web = c->session;
    if (web) {
        while (web->messages) message_free(web, web->messages);
        nghttp3_conn_del(web->h3);
        free(web);
        c->session = NULL;
    }
    if (!c->call) return;
    struct http3_result r = {.failed = how->reason, .identified = c->peer.known, .type = ""};
    loop_timer_clear(c->endpoint->loop, &c->call->timer);
    if (c->call->done && !c->endpoint->ending) report(c->call, &r);
    free(c->call);
    c->call = NULL;
}

const struct protocol http3_protocol = {
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

/* ---- interface ---- */

void http3_serve(struct endpoint *e, http3_handler *handler, void *ctx)
{
    e->http3.handler = handler;
    e->http3.ctx = ctx;
}

static void on_patience(void *ctx, instant now)
{
    struct call *call = ctx;
    connection_doom(call->connection, NGHTTP3_H3_REQUEST_CANCELLED, "no answer came in time");
}

enum err http3_get(struct endpoint *e, const uint8_t *id, const struct address *to,
                   const char *path, size_t body_max, span patience,
                   void (*done)(void *ctx, const struct http3_result *r), void *ctx, struct why *w)
{
    if (path[0] != '/' || strlen(path) > HTTP3_PATH_BYTES_MAX)
        return why(w, ERR_USAGE, "a path starts with / and has at most %d characters",
                   HTTP3_PATH_BYTES_MAX);
    struct call *call = calloc(1, sizeof *call);
    if (!call) return why(w, ERR_MEMORY, "no memory for a request");
    struct connection *c = connection_dial(e, id, to, &http3_protocol, span_ns(0), w);
    if (!c) {
        free(call);
        return ERR_NETWORK;
    }
    strcpy(call->path, path);
    address_print(to, call->authority);
    call->body_max = body_max;
    call->done = done;
    call->ctx = ctx;
    call->connection = c;
    call->timer = (struct loop_timer){.fire = on_patience, .ctx = call};
    c->call = call;
    loop_timer_set(e->loop, &call->timer, instant_after(clock_now(), patience));
    return ERR_OK;
}
