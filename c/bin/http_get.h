/* http_get.h -- one HTTP/3 request to a peer, for commands that observe a swarm. */
#ifndef SHOAL_BIN_HTTP_GET_H
#define SHOAL_BIN_HTTP_GET_H

#include "base/err.h"

/* GETs `path` from "ID@host:port" (only the node with that ID is accepted) or "host:port" (any).
 * Waits at most 10 s. The caller frees the answer, which ends with an added zero byte. ERR_USAGE
 * for a malformed address, ERR_NETWORK. */
enum err http_get(const char *peer, const char *path, char **out, struct why *w);

#endif
