#include "node/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "swarm/peer.h"

#define SECRET_BYTES_MAX 4096

enum err secret_read(const char *path, struct bytes *out, struct why *w)
{
    struct stat s;
    uint8_t *bytes;
    size_t count;
    bool there = !stat(path, &s);
    if (!there && errno == ENOENT)
        return why(
            w, ERR_IO,
            "swarm.access.psk: there is no %s: copy it from another member, or make the first "
            "one with 'head -c 32 /dev/urandom > %s; chmod 600 %s'",
            path, path, path);
    enum err e = ERR_OK;
    if (there && S_ISREG(s.st_mode))
        e = file_check_private("swarm.access.psk: ", path, s.st_mode, w);
    if (!e) e = file_read(path, SECRET_BYTES_MAX, &bytes, &count, w);
    if (e) return e;
    if (count < NODE_SECRET_MIN) {
        free(bytes);
        return why(
            w, ERR_FORMAT,
            "swarm.access.psk: %s holds %zu bytes, a secret at least %d that nobody can guess, "
            "as from 'head -c 32 /dev/urandom > %s'",
            path, count, NODE_SECRET_MIN, path);
    }
    *out = bytes_of(bytes, count);
    return ERR_OK;
}
