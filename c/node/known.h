/* known.h -- the peers that this node has met, remembered beside its key for the next start.
 *
 *     # shoal: peers met in run 0123456789abcdef0123456789abcdef
 *     ID@host:port                          as in any peer list, those met last first
 *
 * Of one run: a list of another one is not used, and gives way to this one's. Written whole, aside
 * and renamed, by a thread of its own: a slow disk holds up nobody. */
#ifndef SHOAL_NODE_KNOWN_H
#define SHOAL_NODE_KNOWN_H

#include "base/instant.h"
#include "node/peerlist.h"
#include "swarm/peer.h"

#define KNOWN_MAX      4096
#define KNOWN_PERIOD_S 30 /* between two writes at least */

struct known;

/* Reads the file, if there is one. One that cannot be read or is damaged is ignored: `warning` then
 * holds a sentence, else it is empty. ERR_MEMORY. */
enum err known_open(struct known **out, const char *path, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                    const uint8_t self[CRYPTO_KEY_BYTES], char warning[320], struct why *w);

/* Those met last first; lent until the next call of known_see. */
const struct peer_address *known_peers(const struct known *k, size_t *count);

/* These are the members now: the live ones with an address are remembered. Writes when that changed
 * something. False with a sentence when a write has failed, once until one succeeds. */
bool known_see(struct known *k, const struct node_peer *peers, size_t count, instant now,
               struct why *w);

/* Writes what is not written yet, waits for that, and frees all. ERR_IO. NULL is fine. */
enum err known_close(struct known *k, struct why *w);

#endif
