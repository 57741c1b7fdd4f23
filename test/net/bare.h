/* bare.h -- a client without a certificate, which believes whatever it is shown. */
#ifndef SHOAL_TEST_NET_BARE_H
#define SHOAL_TEST_NET_BARE_H

#include <ngtcp2/ngtcp2_crypto_wolfssl.h>

#include "net/internal.h"

static inline int bare_believe(int good, WOLFSSL_X509_STORE_CTX *store)
{
    ((struct tls_peer *)store->userCtx)->known = true;
    return 1;
}

static inline void go_bare(struct endpoint *e)
{
    wolfSSL_CTX_free(e->tls.client);
    e->tls.client = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    ngtcp2_crypto_wolfssl_configure_client_context(e->tls.client);
    wolfSSL_CTX_set_verify(e->tls.client, WOLFSSL_VERIFY_PEER, bare_believe);
}

#endif
