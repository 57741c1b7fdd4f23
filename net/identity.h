/* identity.h -- who a node is: an Ed25519 key. The public half is its ID, written as 64 hexadecimal
 * digits.
 *
 * The key file is text, readable by its owner alone:
 *
 *     shoal identity 1
 *     seed 9d61...7f60      the private half: RFC 8032's 32-byte secret
 *     id   d75a...511a      its public half, to detect damage */
#ifndef SHOAL_NET_IDENTITY_H
#define SHOAL_NET_IDENTITY_H

#include <stdbool.h>

#include "base/crypto.h"
#include "base/err.h"

#define IDENTITY_TEXT_BYTES (2 * CRYPTO_KEY_BYTES + 1)
#define IDENTITY_SEED_BYTES 32

struct identity;

/* Reads the key file; with `create` a missing one is created first, from the system's generator.
 * ERR_IO when it cannot be read or its mode lets others use it, ERR_FORMAT when it is damaged,
 * ERR_MEMORY. The caller closes it. */
enum err identity_open(const char *path, bool create, struct identity **out, struct why *w);

/* Makes a new key file, mode 0600; one that exists already is never overwritten: ERR_IO. */
enum err identity_create(const char *path, struct identity **out, struct why *w);

/* The same with the identity derived from these 32 bytes: for runs that must be repeatable, not for
 * secrets. */
enum err identity_create_from_seed(const char *path, const uint8_t seed[IDENTITY_SEED_BYTES],
                                   struct identity **out, struct why *w);

/* The identity derived from these 32 bytes, without a file. ERR_MEMORY. */
enum err identity_from_seed(const uint8_t seed[IDENTITY_SEED_BYTES], struct identity **out,
                            struct why *w);

void identity_close(struct identity *i);

/* CRYPTO_KEY_BYTES bytes, valid as long as the identity. */
const uint8_t *identity_id(const struct identity *i);

/* struct crypto filled from wolfSSL (crypto.h), which signs with `self`; `self` must outlive the
 * table. With NULL, signing is a bug; the rest works. Only one thread at a time may sign; the rest
 * may be called from any thread. */
struct crypto identity_crypto(struct identity *self);

/* Only one thread at a time. */
void identity_sign(struct identity *i, struct bytes message, uint8_t out[CRYPTO_SIGNATURE_BYTES]);

/* 32 bytes that only the holder of the key can compute: different for each purpose, the same at
 * every start. */
void identity_secret(const struct identity *i, const char *purpose, uint8_t out[CRYPTO_HASH_BYTES]);

/* A self-signed X.509 certificate of the key and the key itself, both DER, for TLS; views valid as
 * long as `i`. */
struct bytes identity_certificate(const struct identity *i);
struct bytes identity_private_key(const struct identity *i);

/* The key inside a certificate; false unless it is one X.509 certificate of an Ed25519 key. */
bool identity_in_certificate(struct bytes der, uint8_t out[CRYPTO_KEY_BYTES]);

/* Is it a point of small order? Anybody can sign in the name of such a key (RFC 8032, 8.9 leaves it
 * to protocols to refuse them). */
bool identity_weak(const uint8_t id[CRYPTO_KEY_BYTES]);

/* 64 hexadecimal digits, either case, nothing else. */
bool identity_parse(const char *text, uint8_t out[CRYPTO_KEY_BYTES]);
const char *identity_print(const uint8_t id[CRYPTO_KEY_BYTES], char out[IDENTITY_TEXT_BYTES]);

#endif
