/* url.h -- the address of a file on an https server: https://host[:port][/path][?query].
 *
 * Reading a URL involves no look-up. What is not of plain ASCII, or names a user, is refused. */
#ifndef SHOAL_BASE_URL_H
#define SHOAL_BASE_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define URL_BYTES      2048 /* longest URL, with its zero byte */
#define URL_HOST_BYTES 254  /* 253 characters are the longest name (RFC 1035, 2.3.4) */

struct url {
    char host[URL_HOST_BYTES]; /* a name or an address, an IPv6 address without its brackets */
    bool numeric;              /* the host is an IP address */
    uint16_t port;
    char target[URL_BYTES]; /* path and query, as asked for; begins with a slash */
};

/* Does this text look like a URL of any kind? */
bool url_like(const char *text);

/* ERR_USAGE with a sentence unless it is a URL of https. */
enum err url_read(const char *text, struct url *out, struct why *w);

/* Where `location` leads, which `from` answered with: a URL, or a path on the same host (RFC 3986,
 * 5.2, without dot segments). ERR_WIRE. */
enum err url_follow(const struct url *from, const char *location, struct url *out, struct why *w);

/* The URL without its query, which may hold a key: for people and logs. At most URL_BYTES. */
void url_show(const struct url *u, char out[URL_BYTES]);

/* The host and port as a Host field names them (RFC 9110, 7.2). */
void url_authority(const struct url *u, char out[URL_HOST_BYTES + 16]);

#endif
