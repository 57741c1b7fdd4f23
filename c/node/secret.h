/* secret.h -- the file that all members of a closed swarm hold (swarm.access.psk). */
#ifndef SHOAL_NODE_SECRET_H
#define SHOAL_NODE_SECRET_H

#include "base/bytes.h"
#include "base/err.h"

/* All bytes of the file, at least NODE_SECRET_MIN; the caller frees out->data. ERR_IO where it
 * cannot be read or others may read it, ERR_FORMAT for a wrong length, with a sentence that says what
 * to do; ERR_MEMORY. */
enum err secret_read(const char *path, struct bytes *out, struct why *w);

#endif
