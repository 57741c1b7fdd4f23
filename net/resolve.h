/* resolve.h -- turns "host:port" and "ID@host:port" into addresses.
 *
 * Reading a text involves no look-up. A look-up blocks in the system's resolver, for half a minute
 * when the network is down: use it in commands and on a thread of its own (node/resolver.h), never
 * on the loop's. */
#ifndef SHOAL_NET_RESOLVE_H
#define SHOAL_NET_RESOLVE_H

#include <stddef.h>

#include "base/address.h"
#include "base/crypto.h"
#include "base/err.h"

struct resolve_name { /* host empty: none */
    char host[254];   /* 253 characters are the longest (RFC 1035, 2.3.4) */
    uint16_t port;
};

#define RESOLVE_ADDRESSES_MAX 16 /* per name; further ones are dropped */

/* Reads "192.0.2.1:4433" or "[2001:db8::1]:4433" into `out`; of "node.example.org:4433" `out` has
 * family 0 and `name` is what to look up. ERR_USAGE for anything else. */
enum err resolve_read(const char *text, struct address *out, struct resolve_name *name,
                      struct why *w);

/* The same with "ID@" before it: one entry of a peer list. Port 0 and wildcards are refused too. */
enum err resolve_read_peer(const char *text, uint8_t id[CRYPTO_KEY_BYTES], struct address *out,
                           struct resolve_name *name, struct why *w);

/* All addresses of a name, IPv4 first. ERR_NETWORK when it has none. */
enum err resolve_look_up(const struct resolve_name *name, struct address out[RESOLVE_ADDRESSES_MAX],
                         size_t *count, struct why *w);

/* resolve_read, and a look-up for a name: its first address. ERR_USAGE, ERR_NETWORK. */
enum err resolve_address(const char *text, struct address *out, struct why *w);
enum err resolve_peer(const char *text, uint8_t id[CRYPTO_KEY_BYTES], struct address *out,
                      struct why *w);

/* The same for an address to listen at; also accepts "*:4433" for every address of the host, of
 * both families (as 0.0.0.0 and [::] are). Errors as resolve_address. */
enum err resolve_listen(const char *text, struct address *out, struct why *w);

#endif
