/* known.h -- the peers that this node has met, saved next to its key for the next start.
 *
 *     # shoal: peers met in run 0123456789abcdef0123456789abcdef
 *     ID@host:port                          as in any peer list, most recently met first
 *
 * It belongs to one run: the list of another run is ignored and overwritten. Written to a temporary
 * file and renamed, by a thread of its own, so that a slow disk delays nothing else. */
#ifndef SHOAL_NODE_KNOWN_H
#define SHOAL_NODE_KNOWN_H

#include "base/instant.h"
#include "node/peerlist.h"
#include "swarm/peer.h"

#define KNOWN_MAX      4096
#define KNOWN_PERIOD_S 30 /* minimum time between two writes */

struct known;

/* Reads the file, if there is one. An unreadable or damaged one is ignored: `warning` then holds a
 * sentence, otherwise it is empty. ERR_MEMORY. */
enum err known_open(struct known **out, const char *path, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                    const uint8_t self[CRYPTO_KEY_BYTES], char warning[320], struct why *w);

/* Most recently met first; lent until the next call of known_see. */
const struct peer_address *known_peers(const struct known *k, size_t *count);

/* Updates the list with the present members: remembers the live ones that have an address, and
 * writes the file when that changed it. False with a sentence for the first failed write after a
 * successful one. */
bool known_see(struct known *k, const struct node_peer *peers, size_t count, instant now,
               struct why *w);

/* Writes pending changes, waits for that, and frees everything. ERR_IO. NULL is fine. */
enum err known_close(struct known *k, struct why *w);

#endif
