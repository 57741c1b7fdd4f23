/* peerlist.h -- where a node may start: lines of ID@host:port, in files or given one by one.
 *
 * In a file an empty line and one that starts with '#' mean nothing; anything else that is not ID@host:port is
 * refused with its line. */
#ifndef SHOAL_BIN_PEERLIST_H
#define SHOAL_BIN_PEERLIST_H

#include "base/err.h"
#include "swarm/node.h"

#define PEERLIST_MAX 256

struct peerlist {
    struct peer_address *entries;
    size_t count;
};

/* Reads all sources; an entry with a '@' is a peer, any other names a file. Leaves out `self`, whose line may stand in
 * a list that all share. A host name that does not resolve is left out with a warning on stderr: the others may do.
 * ERR_USAGE for a line that cannot be read, ERR_IO for a missing file. */
enum err peerlist_read(struct peerlist *out, const char *const *sources, size_t count,
                       const uint8_t self[CRYPTO_KEY_BYTES], struct why *w);
void peerlist_free(struct peerlist *p);

#endif
