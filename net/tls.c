#include "tls.h"

#include <ngtcp2/ngtcp2_crypto_wolfssl.h>
#include <stdio.h>

/* AES-128 first: 40 Gbit/s per core with AES-NI. The others are for foreign HTTP/3 clients without
 * it. */
#define CIPHERS "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256"

/* Ours. wolfSSL knows more, for https.c alone. */
#define SIGNATURES "ED25519"

/* wolfSSL calls this for a certificate that no authority signed, as all of ours are. Possession of
 * its key is proven by CertificateVerify, which wolfSSL checks itself. */
static int check_certificate(int good, WOLFSSL_X509_STORE_CTX *store)
{
    struct tls_peer *p = store->userCtx;
    if (!p || store->error_depth != 0 || store->totalCerts != 1) return 0;
    if (!good && store->error != ASN_NO_SIGNER_E && store->error != ASN_SELF_SIGNED_E &&
        store->error != ASN_BEFORE_DATE_E && store->error != ASN_AFTER_DATE_E)
        return 0;
    struct bytes der = bytes_of(store->certs[0].buffer, store->certs[0].length);
    if (!identity_in_certificate(der, p->shown) || identity_weak(p->shown)) return 0;
    if (p->pinned && memcmp(p->id, p->shown, sizeof p->id)) {
        p->wrong_key = true;
        return 0;
    }
    memcpy(p->id, p->shown, sizeof p->id);
    p->known = true;
    return 1;
}

static WOLFSSL_CTX *context(bool server, const struct identity *self)
{
    WOLFSSL_CTX *c =
        wolfSSL_CTX_new(server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method());
    if (!c) return NULL;
    if (server) ngtcp2_crypto_wolfssl_configure_server_context(c);
    else ngtcp2_crypto_wolfssl_configure_client_context(c);
    struct bytes cert = identity_certificate(self), key = identity_private_key(self);
    int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1}; /* P-256 for foreign clients */
    bool ok = wolfSSL_CTX_set_cipher_list(c, CIPHERS) == WOLFSSL_SUCCESS &&
              wolfSSL_CTX_set_groups(c, groups, 2) == WOLFSSL_SUCCESS &&
              wolfSSL_CTX_set1_sigalgs_list(c, SIGNATURES) == WOLFSSL_SUCCESS &&
              wolfSSL_CTX_use_certificate_buffer(c, cert.data, (long)cert.count,
                                                 WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
              wolfSSL_CTX_use_PrivateKey_buffer(c, key.data, (long)key.count,
                                                WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS;
    if (ok && server) ok = wolfSSL_CTX_no_ticket_TLSv13(c) == 0;
    if (ok) {
        wolfSSL_CTX_set_session_cache_mode(c, WOLFSSL_SESS_CACHE_OFF);
        wolfSSL_CTX_set_verify(c, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                               check_certificate);
        return c;
    }
    wolfSSL_CTX_free(c);
    return NULL;
}

enum err tls_init(struct tls *t, const struct identity *self, const char *alpn, struct why *w)
{
    *t = (struct tls){0};
    if (!alpn || !*alpn || strlen(alpn) >= sizeof t->alpn)
        return why(w, ERR_USAGE, "an ALPN must have 1 to %d characters", TLS_ALPN_BYTES - 1);
    strcpy(t->alpn, alpn);
    wolfSSL_Init();
    t->server = context(true, self);
    t->client = context(false, self);
    if (t->server && t->client) return ERR_OK;
    tls_fini(t);
    return why(w, ERR_MEMORY, "setting up TLS failed");
}

void tls_fini(struct tls *t)
{
    wolfSSL_CTX_free(t->server);
    wolfSSL_CTX_free(t->client);
    *t = (struct tls){0};
}

WOLFSSL *tls_session(struct tls *t, bool server, const char *alpn, ngtcp2_crypto_conn_ref *ref,
                     struct tls_peer *peer)
{
    WOLFSSL *s = wolfSSL_new(server ? t->server : t->client);
    if (!s) return NULL;
    wolfSSL_set_app_data(s, ref);
    wolfSSL_SetCertCbCtx(s, peer);
    wolfSSL_KeepArrays(s); /* for tls_exporter, which frees them */
    /* The transport parameters' code point of RFC 9001, 8.2. */
    wolfSSL_set_quic_transport_version(s, 0x39);
    char offered[2 * TLS_ALPN_BYTES];
    snprintf(offered, sizeof offered, "%s", alpn);
    if (wolfSSL_UseALPN(s, offered, (unsigned)strlen(offered), WOLFSSL_ALPN_FAILED_ON_MISMATCH) !=
        WOLFSSL_SUCCESS) {
        wolfSSL_free(s);
        return NULL;
    }
    if (server) wolfSSL_set_accept_state(s);
    else wolfSSL_set_connect_state(s);
    return s;
}

bool tls_exporter(WOLFSSL *s, uint8_t out[CRYPTO_HASH_BYTES])
{
    static const char label[] = "EXPORTER-shoal-link";
    bool ok = wolfSSL_export_keying_material(s, out, CRYPTO_HASH_BYTES, label, sizeof label - 1,
                                             NULL, 0, 0) == WOLFSSL_SUCCESS;
    wolfSSL_FreeArrays(s);
    return ok;
}

void tls_alpn(WOLFSSL *s, char out[TLS_ALPN_BYTES])
{
    char *name = NULL;
    unsigned short count = 0;
    out[0] = 0;
    if (wolfSSL_ALPN_GetProtocol(s, &name, &count) == WOLFSSL_SUCCESS && name &&
        count < TLS_ALPN_BYTES) {
        memcpy(out, name, count);
        out[count] = 0;
    }
}

void tls_relax_for_h3(WOLFSSL *s)
{
    char alpn[TLS_ALPN_BYTES];
    tls_alpn(s, alpn);
    if (!strcmp(alpn, TLS_ALPN_H3)) wolfSSL_set_verify(s, WOLFSSL_VERIFY_NONE, NULL);
}
