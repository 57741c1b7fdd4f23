/* crypto.h -- struct crypto (base/crypto.h) filled from wolfSSL. */
#ifndef SHOAL_NET_CRYPTO_H
#define SHOAL_NET_CRYPTO_H

#include "base/crypto.h"

struct identity;

/* Signs with `self`, which must outlive the table. With NULL signing is a bug; the rest works.
 * Signing is for one thread at a time, the rest for any. */
struct crypto crypto_of(struct identity *self);

/* Bytes nobody can guess, from the system's generator; stops the program when it has none. Any
 * thread. */
void crypto_random(void *to, size_t count);

#endif
