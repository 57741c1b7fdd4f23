/* tls.h -- TLS 1.3 for QUIC: who may speak, and with which key. Private to net/.
 *
 * A server asks for the client's certificate, except when the client speaks h3 alone; no session is
 * ever resumed, so that every connection proves its keys. The certificate's key is what counts:
 * name, dates and issuer do not. */
#ifndef SHOAL_NET_TLS_H
#define SHOAL_NET_TLS_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "identity.h"
#include "wolfssl_all.h"

#define TLS_ALPN_H3    "h3"
#define TLS_ALPN_BYTES 32

struct tls { /* for all connections of an endpoint */
    WOLFSSL_CTX *server, *client;
    char alpn[TLS_ALPN_BYTES]; /* of links */
};

/* `alpn`: of links, 1 .. TLS_ALPN_BYTES - 1 characters, else ERR_USAGE. ERR_MEMORY. */
enum err tls_init(struct tls *t, const struct identity *self, const char *alpn, struct why *w);
void tls_fini(struct tls *t);

/* What the handshake is checked against and what it found out. */
struct tls_peer {
    bool pinned;                     /* in: only `id` will do */
    bool known;                      /* out: the peer has shown a key, and it is in `id` */
    uint8_t id[CRYPTO_KEY_BYTES];    /* in and out */
    bool wrong_key;                  /* out: it was not the pinned one */
    uint8_t shown[CRYPTO_KEY_BYTES]; /* out: which one it was */
};

/* A session bound to a connection, to be freed with wolfSSL_free; `ref` and `peer` must outlive it.
 * `alpn`: what is offered or taken, separated by commas. NULL when there is no memory. */
WOLFSSL *tls_session(struct tls *t, bool server, const char *alpn, ngtcp2_crypto_conn_ref *ref,
                     struct tls_peer *peer);

/* The protocol that both sides agreed on; "" before that. */
void tls_alpn(WOLFSSL *s, char out[TLS_ALPN_BYTES]);

/* To be called on a server once the protocol is chosen, before it would ask for a certificate: lets
 * h3 go without. */
void tls_relax_for_h3(WOLFSSL *s);

#endif
