/* How a connection ends: the reason, the packet that tells the peer, and the answers to packets
 * that come later. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

#define TLS_ALERT_HANDSHAKE_FAILURE    40
#define TLS_ALERT_BAD_CERTIFICATE      42
#define TLS_ALERT_CERTIFICATE_REQUIRED 116
#define REFUSED_PATIENCE_MS            100

/* Writes CONNECTION_CLOSE and keeps it for late packets. */
static void say_farewell(struct connection *c, const ngtcp2_ccerr *tell, instant now)
{
    struct endpoint *e = c->endpoint;
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info;
    uint8_t packet[PAYLOAD_BYTES_MAX];
    ngtcp2_path_storage_zero(&path);
    ngtcp2_ssize n = ngtcp2_conn_write_connection_close(c->quic, &path.path, &info, packet,
                                                        sizeof packet, tell, now.ns);
    if (n <= 0) return;
    c->farewell = malloc((size_t)n);
    if (c->farewell) {
        memcpy(c->farewell, packet, (size_t)n);
        c->farewell_count = (size_t)n;
        c->farewell_next = 1;
        c->state = CONNECTION_CLOSING;
    }
    if (e->send_blocked) return; /* it is sent when the peer's next packet arrives */
    memcpy(e->out, packet, (size_t)n);
    endpoint_send(e, c, &path.path, (size_t)n, (size_t)n);
}

void connection_answer_late(struct connection *c)
{
    struct endpoint *e = c->endpoint;
    union udp_name to;
    if (c->state != CONNECTION_CLOSING || ++c->farewell_heard < c->farewell_next || e->send_blocked)
        return;
    c->farewell_next *= 2;
    memcpy(e->out, c->farewell, c->farewell_count);
    ngtcp2_path path = {.local = {&c->local.any, udp_name_bytes(&c->local.any)},
                        .remote = {&to.any, udp_name_of(&c->remote, &to)}};
    endpoint_send(e, c, &path, c->farewell_count, c->farewell_count);
}

static void finish(struct connection *c, uint32_t code, const char *reason, bool by_peer,
                   const ngtcp2_ccerr *tell, instant now)
{
    struct endpoint *e = c->endpoint;
    char text[REASON_BYTES];
    snprintf(text, sizeof text, "%s", reason);
    struct link_end end = {.code = code,
                           .reason = text,
                           .by_peer = by_peer,
                           .up = c->up,
                           .welcome = c->welcome,
                           .dialled = c->dialled,
                           .address = c->remote};
    memcpy(end.id, c->peer.id, sizeof end.id);
    span rest = span_ns(3 * ngtcp2_conn_get_pto2(c->quic));
    c->state = CONNECTION_DRAINING;
    if (tell) say_farewell(c, tell, now);
    loop_timer_clear(e->loop, &c->timer);
    if (c->up) {
        if (c->protocol == &http3_protocol) e->counters.http3--;
        else e->counters.links_up--;
        if (c->protocol == &link_protocol && !c->dialled && !c->welcome) e->counters.strangers++;
    } else if (!c->dialled) {
        e->counters.handshakes_failed++;
    }
    if (c->protocol) c->protocol->end(c, &end);
    assert(!c->session);
    ngtcp2_conn_del(c->quic);
    wolfSSL_free(c->tls);
    c->quic = NULL;
    c->tls = NULL;
    endpoint_retire(e, c, rest);
}

void connection_end(struct connection *c, instant now)
{
    ngtcp2_ccerr tell;
    assert(c->doomed);
    ngtcp2_ccerr_default(&tell);
    ngtcp2_ccerr_set_application_error(&tell, c->doom_code, (const uint8_t *)c->doom_reason,
                                       strlen(c->doom_reason));
    finish(c, c->doom_code, c->doom_reason, false, &tell, now);
}

/* The peer closed the connection, or violated the protocol. */
static void finish_by_peer(struct connection *c, instant now)
{
    const ngtcp2_ccerr *e = ngtcp2_conn_get_ccerr2(c->quic);
    char reason[REASON_BYTES];
    uint32_t code = CLOSE_TRANSPORT;
    size_t count = e->reasonlen;
    bytes_printable(bytes_of(e->reason, count), reason, sizeof reason);
    if (e->type == NGTCP2_CCERR_TYPE_APPLICATION) {
        code = e->error_code < CLOSE_IDLE ? (uint32_t)e->error_code : CLOSE_PROTOCOL;
    } else if ((e->error_code & ~(uint64_t)0xff) == NGTCP2_CRYPTO_ERROR) {
        unsigned alert = (unsigned)(e->error_code & 0xff);
        code = alert == TLS_ALERT_NO_APPLICATION_PROTOCOL ? CLOSE_ALPN : CLOSE_TLS;
        if (code == CLOSE_ALPN)
            snprintf(reason, sizeof reason, "the peer does not speak %s",
                     c->dialled && c->protocol == &http3_protocol ? TLS_ALPN_H3
                                                                  : c->endpoint->tls.alpn);
        else if (!count)
            snprintf(reason, sizeof reason, "the peer ended the handshake with TLS alert %u",
                     alert);
    } else if (e->error_code == NGTCP2_CONNECTION_REFUSED) {
        code = CLOSE_BUSY;
        if (!count) snprintf(reason, sizeof reason, "the peer has no room for one more connection");
    } else if (!count) {
        snprintf(reason, sizeof reason, "the peer ended the connection with QUIC error 0x%llx",
                 (unsigned long long)e->error_code);
    }
    finish(c, code, reason, true, NULL, now);
}

/* TLS failed on our side. */
static void finish_by_tls(struct connection *c, instant now)
{
    char reason[REASON_BYTES], shown[IDENTITY_TEXT_BYTES], wanted[IDENTITY_TEXT_BYTES];
    uint8_t alert = ngtcp2_conn_get_tls_alert2(c->quic);
    uint32_t code = CLOSE_TLS;
    ngtcp2_ccerr tell;
    ngtcp2_ccerr_default(&tell);
    if (c->peer.wrong_key) {
        code = CLOSE_WRONG_KEY;
        alert = TLS_ALERT_BAD_CERTIFICATE;
        snprintf(reason, sizeof reason, "the key is %.16s..., not %.16s... as dialled",
                 identity_print(c->peer.shown, shown), identity_print(c->peer.id, wanted));
    } else if (alert == TLS_ALERT_NO_APPLICATION_PROTOCOL) {
        code = CLOSE_ALPN;
        snprintf(reason, sizeof reason, "no common protocol: this is %s", c->endpoint->tls.alpn);
    } else if (alert == TLS_ALERT_CERTIFICATE_REQUIRED || alert == TLS_ALERT_BAD_CERTIFICATE) {
        snprintf(reason, sizeof reason, "%s needs a self-signed certificate of an Ed25519 key",
                 c->endpoint->tls.alpn);
    } else {
        snprintf(reason, sizeof reason, "the TLS handshake failed with alert %u", alert);
        if (!alert) alert = TLS_ALERT_HANDSHAKE_FAILURE;
    }
    ngtcp2_ccerr_set_tls_alert(&tell, alert, (const uint8_t *)reason, strlen(reason));
    finish(c, code, reason, false, &tell, now);
}

void connection_finish_by_error(struct connection *c, int error, instant now)
{
    char reason[REASON_BYTES];
    ngtcp2_ccerr tell;
    switch (error) {
    case NGTCP2_ERR_DRAINING:
        if (c->doomed && c->doom_code == CLOSE_RESET)
            finish(c, CLOSE_RESET, c->doom_reason, true, NULL, now);
        else finish_by_peer(c, now);
        return;
    case NGTCP2_ERR_CRYPTO:
        finish_by_tls(c, now);
        return;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
        finish(c, CLOSE_QUIC_VERSION, "the peer speaks no version of QUIC that we do", false, NULL,
               now);
        return;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
        finish(c, CLOSE_TRANSPORT, "its first packet made no connection", false, NULL, now);
        return;
    case NGTCP2_ERR_IDLE_CLOSE:
        if (c->up) {
            snprintf(reason, sizeof reason, "nothing was heard from the peer for %.0f s",
                     span_in_s(c->endpoint->config.idle));
            finish(c, CLOSE_IDLE, reason, false, NULL, now);
            return;
        }
        __attribute__((fallthrough));
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
        finish(c, CLOSE_TIMEOUT, "nobody answered in time", false, NULL, now);
        return;
    default:
        if (c->doomed) { /* we ended it first, with our reason */
            connection_end(c, now);
            return;
        }
        if (error == NGTCP2_ERR_CALLBACK_FAILURE && ngtcp2_conn_get_tls_alert2(c->quic)) {
            finish_by_tls(c, now);
            return;
        }
        ngtcp2_ccerr_default(&tell);
        snprintf(reason, sizeof reason, "QUIC: %s", ngtcp2_strerror(error));
        ngtcp2_ccerr_set_liberr(&tell, error, (const uint8_t *)reason, strlen(reason));
        finish(c, CLOSE_TRANSPORT, reason, false, &tell, now);
    }
}

/* As after a SIGKILL of the peer. An ICMP error may be forged (RFC 9000, 14.2.1): it counts only
 * while something waits for an acknowledgement, and is believed when another one comes a probe
 * timeout later without any packet in between. */
void connection_refused(struct connection *c, instant now)
{
    if (c->state > CONNECTION_OPEN || !c->up) return; /* a dial may be early, and keeps retrying */
    if (c->refused.ns <= c->heard.ns) {
        ngtcp2_conn_info info;
        ngtcp2_conn_get_conn_info2(c->quic, &info);
        if (info.bytes_in_flight) c->refused = now;
        return;
    }
    uint64_t patience = ngtcp2_conn_get_pto2(c->quic);
    if (patience < REFUSED_PATIENCE_MS * 1000000ull) patience = REFUSED_PATIENCE_MS * 1000000ull;
    if (instant_since(now, c->refused).ns < patience) return;
    finish(c, CLOSE_GONE, "nobody listens where the peer was: its process ended", false, NULL, now);
}
