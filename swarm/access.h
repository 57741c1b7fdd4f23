/* access.h -- who may join: everybody, or whoever holds the swarm's secret.
 *
 * Part of membership (member.h). HELLO's field "admission" proves the secret for this link and this
 * key alone: HMAC-SHA256(secret, run_id || the link's exporter || the sender's ID). What is proven
 * on one link is worth nothing on another. SPEC.md, "Who may join". */
#ifndef SHOAL_SWARM_ACCESS_H
#define SHOAL_SWARM_ACCESS_H

#include "member_parts.h"

/* My own proof for a link with this exporter: its length, 0 in an open swarm. */
size_t access_prove(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                    uint8_t out[CRYPTO_HASH_BYTES]);

/* Does the peer with this ID hold the secret? In an open swarm it needs none. */
bool access_admits(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                   const uint8_t id[CRYPTO_KEY_BYTES], struct bytes proof);

#endif
