/* tls.h -- TLS 1.3 for QUIC: authenticates peers by their keys. Private to net/.
 *
 * A server asks for the client's certificate, unless the client speaks only h3. No session is ever
 * resumed, so that every connection proves its keys. Only the certificate's key counts, not its
 * name, dates and issuer. */
#ifndef SHOAL_NET_TLS_H
#define SHOAL_NET_TLS_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "identity.h"
#include "wolfssl_all.h"

#define TLS_ALERT_NO_APPLICATION_PROTOCOL 120 /* RFC 7301 */
#define TLS_ALPN_H3                       "h3"
#define TLS_ALPN_BYTES                    32

struct tls { /* shared by all connections of an endpoint */
    WOLFSSL_CTX *server, *client;
    char alpn[TLS_ALPN_BYTES]; /* of links */
};

/* `alpn`: that of links, 1 .. TLS_ALPN_BYTES - 1 characters, else ERR_USAGE. ERR_MEMORY. */
enum err tls_init(struct tls *t, const struct identity *self, const char *alpn, struct why *w);
void tls_fini(struct tls *t);

/* The peer's key: expected (in) and shown (out). */
struct tls_peer {
    bool pinned;                     /* in: only `id` is accepted */
    bool known;                      /* out: the peer has shown a key, and it is in `id` */
    uint8_t id[CRYPTO_KEY_BYTES];    /* in where pinned, else out */
    bool wrong_key;                  /* out: the key shown is not the pinned one */
    uint8_t shown[CRYPTO_KEY_BYTES]; /* out: the key shown, if wrong */
};

/* A session bound to a connection, to be freed with wolfSSL_free; `ref` and `peer` must outlive it.
 * `alpn`: what is offered or accepted, separated by commas. NULL when there is no memory. */
WOLFSSL *tls_session(struct tls *t, bool server, const char *alpn, ngtcp2_crypto_conn_ref *ref,
                     struct tls_peer *peer);

/* What both ends know and nobody else (RFC 8446, 7.5). Once, after the handshake; false: no memory. */
bool tls_exporter(WOLFSSL *s, uint8_t out[CRYPTO_HASH_BYTES]);

/* The protocol that both sides agreed on; "" before that. */
void tls_alpn(WOLFSSL *s, char out[TLS_ALPN_BYTES]);

/* Call it on a server once the protocol is chosen, before it would ask for a certificate: exempts
 * h3 from showing one. */
void tls_relax_for_h3(WOLFSSL *s);

#endif
