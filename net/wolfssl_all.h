/* wolfssl_all.h -- the parts of wolfSSL that net/ uses, with its settings included first. Private
 * to net/. */
#ifndef SHOAL_NET_WOLFSSL_ALL_H
#define SHOAL_NET_WOLFSSL_ALL_H

#include <wolfssl/wolfcrypt/settings.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/sha256.h>

#endif
