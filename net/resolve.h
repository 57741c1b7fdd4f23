/* resolve.h -- from what people write, "host:port" and "ID@host:port", to addresses. Asks the system's resolver and
 * waits for it: for start-up and for commands, not for the loop's thread. */
#ifndef SHOAL_NET_RESOLVE_H
#define SHOAL_NET_RESOLVE_H

#include "base/address.h"
#include "base/crypto.h"
#include "base/err.h"

/* "192.0.2.1:4433", "[2001:db8::1]:4433" or "node.example.org:4433", IPv4 first. ERR_USAGE when it is none of them,
 * ERR_NETWORK when the name does not resolve. */
enum err resolve_address(const char *text, struct address *out, struct why *w);

/* One entry of a peer list. */
enum err resolve_peer(const char *text, uint8_t id[CRYPTO_KEY_BYTES], struct address *out,
                      struct why *w);

#endif
