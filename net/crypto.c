#include "crypto.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "wolfssl_all.h"

void crypto_random(void *to, size_t count)
{
    for (size_t at = 0; at < count;) {
        ssize_t got = getrandom((uint8_t *)to + at, count - at, 0);
        if (got < 0 && errno != EINTR) abort(); /* without random numbers there are no keys */
        if (got > 0) at += (size_t)got;
    }
}

void crypto_sha256(void *self, const struct bytes *parts, size_t count,
                   uint8_t out[CRYPTO_HASH_BYTES])
{
    wc_Sha256 sha;
    int bad = wc_InitSha256(&sha);
    for (size_t i = 0; i < count; i++) {
        /* wolfSSL takes 32-bit lengths; an anchor may be longer. */
        for (size_t at = 0; at < parts[i].count; at += 1u << 30) {
            size_t left = parts[i].count - at;
            bad |= wc_Sha256Update(&sha, parts[i].data + at,
                                   (word32)(left < 1u << 30 ? left : 1u << 30));
        }
    }
    bad |= wc_Sha256Final(&sha, out);
    wc_Sha256Free(&sha);
    assert(!bad);
}

bool crypto_verify(void *self, const uint8_t key[CRYPTO_KEY_BYTES], struct bytes message,
                   const uint8_t signature[CRYPTO_SIGNATURE_BYTES])
{
    ed25519_key k;
    int good = 0;
    wc_ed25519_init(&k);
    bool ok = !wc_ed25519_import_public(key, CRYPTO_KEY_BYTES, &k) &&
              !wc_ed25519_verify_msg(signature, CRYPTO_SIGNATURE_BYTES, message.data,
                                     (word32)message.count, &good, &k) &&
              good == 1;
    wc_ed25519_free(&k);
    return ok;
}
