/* http_get.h -- one question to a peer over HTTP/3, for commands that look at a swarm from
 * outside. */
#ifndef SHOAL_BIN_HTTP_GET_H
#define SHOAL_BIN_HTTP_GET_H

#include "base/err.h"

/* GETs `path` from "ID@host:port" (only the node with that ID will do) or "host:port" (any). Waits
 * at most 10 s. The answer, with a zero byte behind it, is the caller's to free. ERR_USAGE for an
 * address that is none, ERR_NETWORK. */
enum err http_get(const char *peer, const char *path, char **out, struct why *w);

#endif
