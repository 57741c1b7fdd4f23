#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "crypto.h"
#include "internal.h"

/* ---- callbacks of ngtcp2 ---- */

static ngtcp2_conn *quic_of(ngtcp2_crypto_conn_ref *ref)
{
    return ((struct connection *)ref->user_data)->quic;
}

static void on_random(uint8_t *to, size_t count, const ngtcp2_rand_ctx *ctx)
{
    crypto_random(to, count);
}

static int on_new_cid(ngtcp2_conn *quic, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                      size_t count, void *user)
{
    struct connection *c = user;
    struct endpoint *e = c->endpoint;
    cid->datalen = count;
    crypto_random(cid->data, count);
    if (ngtcp2_crypto_generate_stateless_reset_token(token->data, e->reset_secret,
                                                     sizeof e->reset_secret, cid) ||
        !cid_map_add(&e->cids, cid->data, count, c, &c->cids))
        return NGTCP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_remove_cid(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *user)
{
    struct connection *c = user;
    cid_map_drop(&c->endpoint->cids, cid->data, cid->datalen, &c->cids);
    return 0;
}

/* The peer may end this connection by a stateless reset with this token (RFC 9000, 10.3). */
static int on_token(ngtcp2_conn *quic, ngtcp2_connection_id_status_type type, uint64_t sequence,
                    const ngtcp2_cid *cid, const ngtcp2_stateless_reset_token *token, void *user)
{
    struct connection *c = user;
    struct endpoint *e = c->endpoint;
    if (!token) return 0;
    if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_DEACTIVATE)
        cid_map_drop(&e->tokens, token->data, sizeof token->data, &c->tokens);
    else if (!cid_map_add(&e->tokens, token->data, sizeof token->data, c, &c->tokens))
        return NGTCP2_ERR_CALLBACK_FAILURE;
    return 0;
}

/* The protocol is chosen, and the server has not asked for a certificate yet. */
static int on_key(ngtcp2_conn *quic, ngtcp2_encryption_level level, void *user)
{
    struct connection *c = user;
    if (!c->dialled && level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE) tls_relax_for_h3(c->tls);
    return 0;
}

/* Is this peer accepted? Dooms the connection if not. */
static bool admit(struct connection *c)
{
    struct endpoint *e = c->endpoint;
    char reason[128] = "refused";
    if (c->protocol == &http3_protocol) {
        if (!c->dialled) endpoint_make_room_to_read(e);
        return true;
    }
    if (!c->peer.known) {
        connection_doom(c, CLOSE_PROTOCOL, "links need a certificate with an Ed25519 key");
        return false;
    }
    if (!memcmp(c->peer.id, identity_id(e->self), CRYPTO_KEY_BYTES)) {
        connection_doom(c, CLOSE_SELF,
                        "this is my own key: each worker needs an identity of its own");
        return false;
    }
    if (e->handlers.accept &&
        !e->handlers.accept(e->handlers.ctx, c->peer.id, c->dialled, reason)) {
        connection_doom(c, CLOSE_REFUSED, "%s", reason);
        return false;
    }
    return true;
}

static bool come_up(struct connection *c)
{
    if (c->up || c->doomed) return true;
    c->up = true;
    c->state = CONNECTION_OPEN;
    if (c->protocol == &http3_protocol) c->endpoint->counters.http3++;
    else c->endpoint->counters.links_up++;
    if (c->protocol == &link_protocol && c->dialled) /* one side is enough; 0: never */
        ngtcp2_conn_set_keep_alive_timeout(c->quic, c->endpoint->config.keep_alive.ns);
    return c->protocol->up(c);
}

static int on_handshake_completed(ngtcp2_conn *quic, void *user)
{
    struct connection *c = user;
    char alpn[TLS_ALPN_BYTES];
    tls_alpn(c->tls, alpn);
    if (!c->dialled && !*alpn) { /* it named no protocol (RFC 9001, 8.1) */
        ngtcp2_conn_set_tls_alert(quic, TLS_ALERT_NO_APPLICATION_PROTOCOL);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    if (!c->dialled) c->protocol = strcmp(alpn, TLS_ALPN_H3) ? &link_protocol : &http3_protocol;
    if (!tls_exporter(c->tls, c->exporter)) return NGTCP2_ERR_CALLBACK_FAILURE;
    if (!admit(c)) return 0; /* the reason is sent in CONNECTION_CLOSE */
    if (!c->protocol->start(c)) return NGTCP2_ERR_CALLBACK_FAILURE;
    /* The dialling side waits until the other has accepted it: HANDSHAKE_DONE, or the first
     * data. */
    if (!c->dialled && !come_up(c)) return NGTCP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_handshake_confirmed(ngtcp2_conn *quic, void *user)
{
    return come_up(user) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int on_data(ngtcp2_conn *quic, uint32_t flags, int64_t stream, uint64_t offset,
                   const uint8_t *data, size_t count, void *user, void *of)
{
    struct connection *c = user;
    if (c->doomed || !c->session) return 0;
    if (!come_up(c) || !c->protocol->data(c, stream, of, bytes_of(data, count),
                                          flags & NGTCP2_STREAM_DATA_FLAG_FIN))
        return NGTCP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_acked(ngtcp2_conn *quic, int64_t stream, uint64_t offset, uint64_t count, void *user,
                    void *of)
{
    struct connection *c = user;
    payload_acked(&c->payload);
    if (c->session) c->protocol->acked(c, stream, of, count);
    return 0;
}

static int on_stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t stream, uint64_t code,
                           void *user, void *of)
{
    struct connection *c = user;
    bool whole = !(flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET);
    if (c->session) c->protocol->closed(c, stream, of, whole, whole ? 0 : code);
    if (!ngtcp2_conn_is_local_stream2(quic, stream)) {
        if (ngtcp2_is_bidi_stream(stream)) ngtcp2_conn_extend_max_streams_bidi(quic, 1);
        else ngtcp2_conn_extend_max_streams_uni(quic, 1);
    }
    return 0;
}

static int on_stream_reset(ngtcp2_conn *quic, int64_t stream, uint64_t size, uint64_t code,
                           void *user, void *of)
{
    struct connection *c = user;
    if (c->session) c->protocol->reset(c, stream, of);
    return 0;
}

static int on_stop_sending(ngtcp2_conn *quic, int64_t stream, uint64_t code, void *user, void *of)
{
    struct connection *c = user;
    if (c->session) c->protocol->stopped(c, stream, of);
    return 0;
}

static int on_datagram(ngtcp2_conn *quic, uint32_t flags, const uint8_t *data, size_t count,
                       void *user)
{
    struct connection *c = user;
    if (c->doomed || !c->session) return 0;
    if (!come_up(c)) return NGTCP2_ERR_CALLBACK_FAILURE;
    if (count) c->protocol->datagram(c, bytes_of(data, count)); /* empty: a probe (payload.h) */
    return 0;
}

static int on_datagram_acked(ngtcp2_conn *quic, uint64_t id, void *user)
{
    struct connection *c = user;
    if (id) payload_probe_acked(&c->payload, (uint32_t)id, clock_now());
    else payload_acked(&c->payload);
    return 0;
}

static int on_datagram_lost(ngtcp2_conn *quic, uint64_t id, void *user)
{
    struct connection *c = user;
    if (id) payload_probe_lost(&c->payload, (uint32_t)id);
    return 0;
}

static int on_stream_credit(ngtcp2_conn *quic, uint64_t max, void *user)
{
    struct connection *c = user;
    if (c->session) c->protocol->credit(c);
    return 0;
}

static int on_data_credit(ngtcp2_conn *quic, int64_t stream, uint64_t max, void *user, void *of)
{
    struct connection *c = user;
    if (c->session) c->protocol->stream_credit(c, stream, of);
    return 0;
}

static int on_stateless_reset(ngtcp2_conn *quic, const ngtcp2_pkt_stateless_reset2 *sr, void *user)
{
    struct connection *c = user;
    connection_doom(c, CLOSE_RESET, "the peer no longer knows this connection: it restarted");
    return 0;
}

/* The peer sends from another address now: its NAT rebound, or it moved (RFC 9000, 9). */
static int on_path(ngtcp2_conn *quic, uint32_t flags, const ngtcp2_path *path,
                   const ngtcp2_path *fallback, ngtcp2_path_validation_result result, void *user)
{
    struct connection *c = user;
    const struct endpoint_handlers *h = &c->endpoint->handlers;
    if (result != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS) return 0;
    struct address before = c->remote;
    c->remote = udp_address_of(path->remote.addr);
    if (!c->dialled) memcpy(&c->local, path->local.addr, path->local.addrlen);
    bool moved = !address_equal(&before, &c->remote);
    if (moved && c->up && !c->doomed && c->protocol == &link_protocol && h->link_moved)
        h->link_moved(h->ctx, c->id, &c->remote);
    return 0;
}

static const ngtcp2_callbacks callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .handshake_completed = on_handshake_completed,
    .handshake_confirmed = on_handshake_confirmed,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
    .get_path_challenge_data2 = ngtcp2_crypto_get_path_challenge_data2_cb,
    .rand = on_random,
    .get_new_connection_id2 = on_new_cid,
    .remove_connection_id = on_remove_cid,
    .dcid_status2 = on_token,
    .path_validation = on_path,
    .recv_tx_key = on_key,
    .recv_stream_data = on_data,
    .acked_stream_data_offset = on_acked,
    .stream_close = on_stream_close,
    .stream_reset = on_stream_reset,
    .recv_stop_sending = on_stop_sending,
    .recv_datagram = on_datagram,
    .ack_datagram = on_datagram_acked,
    .lost_datagram = on_datagram_lost,
    .extend_max_local_streams_bidi = on_stream_credit,
    .extend_max_local_streams_uni = on_stream_credit,
    .extend_max_stream_data = on_data_credit,
    .recv_stateless_reset2 = on_stateless_reset,
};

/* ---- a new connection ---- */

/* Lengths that ngtcp2 tries, in this order, when a connection starts: one that most paths carry,
 * then the longest and that of PPPoE, or else shorter ones. */
static const uint16_t first_lengths[] = {1406, PAYLOAD_BYTES_MAX, 1444, 1372, 1342, 1232};

/* What a peer may have under way. Most of it only once it is welcome (link_welcome). */
#define STREAMS_UNI           256
#define STREAMS_BIDI          64
#define STRANGER_STREAMS_UNI  4 /* shoal/1 needs one, HTTP/3 three */
#define STRANGER_WINDOW_BYTES (256u << 10)

static size_t stranger_window(const struct endpoint *e)
{
    size_t all = e->config.window_bytes;
    return all < STRANGER_WINDOW_BYTES ? all : STRANGER_WINDOW_BYTES;
}

static void settings_of(const struct endpoint *e, instant now, bool welcome, ngtcp2_settings *s,
                        ngtcp2_transport_params *t)
{
    const struct endpoint_config *f = &e->config;
    ngtcp2_settings_default(s);
    s->initial_ts = now.ns;
    s->cc_algo = f->bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
    s->max_tx_udp_payload_size = PAYLOAD_BYTES_MAX;
    s->pmtud_probes = first_lengths;
    s->pmtud_probeslen = sizeof first_lengths / sizeof *first_lengths;
    s->handshake_timeout = f->handshake.ns;
    ngtcp2_transport_params_default(t);
    /* A message is delivered whole, so a stream's window is the longest message, its kind and one
     * byte to detect that a message is too long. What all streams hold together is bounded by the
     * connection's window. */
    t->initial_max_data = welcome ? f->window_bytes : stranger_window(e);
    t->initial_max_stream_data_uni = f->parcel_bytes_max + 2;
    if (t->initial_max_stream_data_uni < LINK_FRAME_BYTES_MAX + 4)
        t->initial_max_stream_data_uni = LINK_FRAME_BYTES_MAX + 4;
    t->initial_max_stream_data_bidi_local = f->reply_bytes_max + 1;
    t->initial_max_stream_data_bidi_remote = LINK_REQUEST_BYTES_MAX + 2;
    t->initial_max_streams_uni = welcome ? STREAMS_UNI : STRANGER_STREAMS_UNI;
    t->initial_max_streams_bidi = welcome ? STREAMS_BIDI : STRANGER_STREAMS_BIDI;
    t->max_idle_timeout = f->idle.ns;
    t->max_datagram_frame_size = 65535; /* RFC 9221, 3: any size */
    t->active_connection_id_limit = 4;
}

void connection_welcome(struct connection *c)
{
    if (c->welcome) return;
    c->welcome = true;
    ngtcp2_conn_extend_max_offset(c->quic,
                                  c->endpoint->config.window_bytes - stranger_window(c->endpoint));
    ngtcp2_conn_extend_max_streams_uni(c->quic, STREAMS_UNI - STRANGER_STREAMS_UNI);
    ngtcp2_conn_extend_max_streams_bidi(c->quic, STREAMS_BIDI - STRANGER_STREAMS_BIDI);
    connection_touch(c);
}

static struct connection *connection_new(struct endpoint *e, bool dialled, const char *alpn)
{
    struct connection *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->endpoint = e;
    c->dialled = dialled;
    c->began = clock_now();
    c->ref = (ngtcp2_crypto_conn_ref){quic_of, c};
    c->tls = tls_session(&e->tls, !dialled, alpn, &c->ref, &c->peer);
    c->id = endpoint_slot(e, c);
    payload_init(&c->payload);
    if (c->tls && c->id != LINK_NONE) return c;
    connection_free(c);
    return NULL;
}

static void on_timer(void *ctx, instant now);

static struct connection *connection_begin(struct connection *c)
{
    c->timer.fire = on_timer;
    c->timer.ctx = c;
    ngtcp2_conn_set_tls_native_handle(c->quic, c->tls);
    connection_touch(c);
    return c;
}

struct connection *connection_accept(struct endpoint *e, const ngtcp2_pkt_hd *hd,
                                     const ngtcp2_cid *odcid, const ngtcp2_path *path, instant now)
{
    ngtcp2_settings s;
    ngtcp2_transport_params t;
    ngtcp2_cid scid = {.datalen = CID_BYTES};
    char alpn[2 * TLS_ALPN_BYTES];
    snprintf(alpn, sizeof alpn, "%s,%s", e->tls.alpn, TLS_ALPN_H3);
    struct connection *c = connection_new(e, false, alpn);
    if (!c) return NULL;
    settings_of(e, now, false, &s, &t);
    t.original_dcid = odcid ? *odcid : hd->dcid;
    t.original_dcid_present = 1;
    if (odcid) {
        t.retry_scid = hd->dcid;
        t.retry_scid_present = 1;
        s.token = hd->token;
        s.tokenlen = hd->tokenlen;
        s.token_type = NGTCP2_TOKEN_TYPE_RETRY;
    }
    crypto_random(scid.data, scid.datalen);
    t.stateless_reset_token_present = 1;
    c->remote = udp_address_of(path->remote.addr);
    memcpy(&c->local, path->local.addr, path->local.addrlen);
    if (ngtcp2_crypto_generate_stateless_reset_token(t.stateless_reset_token, e->reset_secret,
                                                     sizeof e->reset_secret, &scid) ||
        !cid_map_add(&e->cids, scid.data, scid.datalen, c, &c->cids) ||
        !cid_map_add(&e->cids, hd->dcid.data, hd->dcid.datalen, c, &c->cids) ||
        ngtcp2_conn_server_new(&c->quic, &hd->scid, &scid, path, hd->version, &callbacks, &s, &t,
                               NULL, c)) {
        connection_free(c);
        return NULL;
    }
    return connection_begin(c);
}

/* Can this socket send to that address at all? */
static bool may_dial(const struct endpoint *e, const struct address *to, struct why *w)
{
    char text[ADDRESS_TEXT_BYTES], here[ADDRESS_TEXT_BYTES];
    address_print(to, text);
    if (!to->port || !to->family || address_is_any(to)) {
        why(w, ERR_NETWORK, "%s is no address that can be dialled", text);
        return false;
    }
    if (udp_speaks(&e->udp, to->family)) return true;
    if (e->udp.any)
        why(w, ERR_UNSUPPORTED, "cannot dial %s: the kernel of this machine has no IPv6", text);
    else
        why(w, ERR_UNSUPPORTED,
            "cannot dial %s from %s, which is of IPv%d alone: listen on 0.0.0.0 or [::] to speak "
            "both",
            text, address_print(&e->udp.local, here), e->udp.local.family);
    return false;
}

struct connection *connection_dial(struct endpoint *e, const uint8_t *pinned,
                                   const struct address *to, const struct protocol *p,
                                   span patience, struct why *w)
{
    ngtcp2_settings s;
    ngtcp2_transport_params t;
    ngtcp2_cid scid = {.datalen = CID_BYTES}, dcid = {.datalen = 18};
    union udp_name name;
    struct address at = address_plain(to);
    if (!may_dial(e, &at, w)) return NULL;
    struct connection *c =
        connection_new(e, true, p == &http3_protocol ? TLS_ALPN_H3 : e->tls.alpn);
    if (!c) {
        why(w, ERR_NETWORK, "no room for one more connection: all %zu are in use", e->slot_count);
        return NULL;
    }
    c->protocol = p;
    c->remote = at;
    udp_local(&e->udp, at.family, &c->local);
    c->peer.pinned = pinned;
    if (pinned) memcpy(c->peer.id, pinned, CRYPTO_KEY_BYTES);
    c->welcome = p == &http3_protocol; /* it sends what we ask for */
    settings_of(e, clock_now(), c->welcome, &s, &t);
    if (patience.ns && patience.ns < s.handshake_timeout) s.handshake_timeout = patience.ns;
    crypto_random(scid.data, scid.datalen);
    crypto_random(dcid.data, dcid.datalen);
    ngtcp2_path path = {
        .local = {&c->local.any, udp_name_bytes(&c->local.any)},
        .remote = {&name.any, udp_name_of(&at, &name)},
    };
    if (!cid_map_add(&e->cids, scid.data, scid.datalen, c, &c->cids) ||
        ngtcp2_conn_client_new(&c->quic, &dcid, &scid, &path, NGTCP2_PROTO_VER_V1, &callbacks, &s,
                               &t, NULL, c)) {
        connection_free(c);
        why(w, ERR_MEMORY, "no memory for one more connection");
        return NULL;
    }
    return connection_begin(c);
}

void connection_free(struct connection *c)
{
    struct endpoint *e = c->endpoint;
    loop_timer_clear(e->loop, &c->timer);
    endpoint_unhold(c);
    cid_map_drop_all(&e->cids, &c->cids);
    cid_map_drop_all(&e->tokens, &c->tokens);
    assert(!c->session);
    endpoint_release(e, c);
    ngtcp2_conn_del(c->quic);
    wolfSSL_free(c->tls);
    free(c->farewell);
    free(c);
}

/* ---- reading and writing ---- */

void connection_touch(struct connection *c)
{
    struct endpoint *e = c->endpoint;
    if (!c->dirty) {
        c->dirty = true;
        c->dirty_next = NULL;
        *e->dirty_end = c;
        e->dirty_end = &c->dirty_next;
    }
    if (!e->send_blocked) loop_defer(e->loop, &e->job);
}

void connection_doom(struct connection *c, uint32_t code, const char *format, ...)
{
    if (c->doomed || c->state > CONNECTION_OPEN) return;
    va_list args;
    va_start(args, format);
    vsnprintf(c->doom_reason, sizeof c->doom_reason, format, args);
    va_end(args);
    c->doomed = true;
    c->doom_code = code;
    connection_touch(c);
}

void connection_read(struct connection *c, const ngtcp2_path *path, struct bytes packet,
                     instant now)
{
    ngtcp2_pkt_info info = {0};
    if (c->state > CONNECTION_OPEN) {
        connection_answer_late(c);
        return;
    }
    c->received += packet.count;
    int error = ngtcp2_conn_read_pkt(c->quic, path, &info, packet.data, packet.count, now.ns);
    c->heard = now;
    if (error == NGTCP2_ERR_RETRY) endpoint_ask_back(c->endpoint, path, packet, now);
    if (error) connection_finish_by_error(c, error, now);
    else connection_touch(c);
}

static void on_timer(void *ctx, instant now)
{
    struct connection *c = ctx;
    if (c->state > CONNECTION_OPEN) return;
    int error = ngtcp2_conn_handle_expiry(c->quic, now.ns);
    if (error) connection_finish_by_error(c, error, now);
    else connection_touch(c);
}
