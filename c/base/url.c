#include "base/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

#define HTTPS "https://"
/* Of a host name (RFC 1123, 2.1), plus the '_' that some contain. */
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

bool url_like(const char *text) { return strstr(text, "://") != NULL; }

/* Visible ASCII alone: nothing else can get into a request or onto a terminal. */
static bool plain(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text >= 0x7f) return false;
    return true;
}

/* A number of an IPv4 address that lacks some, such as 10 or 1.2.3, is no name. */
static bool is_name(const char *host)
{
    size_t count = strlen(host);
    return count && strspn(host, NAME_LETTERS) == count && strspn(host, "0123456789.") < count &&
           host[0] != '.' && host[0] != '-';
}

static bool is_address(const char *host, bool bracketed)
{
    struct address a;
    char text[URL_HOST_BYTES + 8];
    snprintf(text, sizeof text, bracketed ? "[%s]:1" : "%s:1", host);
    return address_parse(text, &a);
}

/* host[:port], `count` characters. */
static bool read_authority(const char *text, size_t count, struct url *out)
{
    const char *end = text + count, *host = text, *host_end, *colon;
    bool bracketed = count && text[0] == '[';
    if (bracketed) {
        host++;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end) return false;
        colon = host_end + 1;
    } else {
        colon = memchr(text, ':', count);
        if (!colon) colon = end;
        host_end = colon;
    }
    size_t length = (size_t)(host_end - host);
    if (!length || length >= sizeof out->host) return false;
    memcpy(out->host, host, length);
    out->host[length] = 0;
    out->numeric = is_address(out->host, bracketed);
    if (!out->numeric && (bracketed || !is_name(out->host))) return false;
    out->port = 443;
    if (colon == end) return true;
    size_t digits = strspn(colon + 1, "0123456789");
    if (*colon != ':' || !digits || digits > 5 || colon + 1 + digits != end) return false;
    long port = strtol(colon + 1, NULL, 10);
    out->port = (uint16_t)port;
    return port >= 1 && port <= 65535;
}

enum err url_read(const char *text, struct url *out, struct why *w)
{
    *out = (struct url){0};
    if (!plain(text))
        return why(w, ERR_USAGE,
                   "a URL has no blanks and no letters beyond ASCII: write them as %%20 and so on");
    if (strlen(text) >= URL_BYTES)
        return why(w, ERR_USAGE, "a URL of more than %d characters is not taken: %.60s...",
                   URL_BYTES - 1, text);
    if (!strncmp(text, "http://", 7))
        return why(w, ERR_USAGE,
                   "%.200s: over http anybody on the way can change a list: write https://", text);
    if (strncmp(text, HTTPS, strlen(HTTPS)))
        return why(w, ERR_USAGE, "%.200s is no URL of https: write https://host/path", text);
    const char *host = text + strlen(HTTPS), *path = host + strcspn(host, "/?#");
    if (memchr(host, '@', (size_t)(path - host)))
        return why(w, ERR_USAGE,
                   "a URL with a user's name in it is not taken: leave out what is before the @");
    if (!read_authority(host, (size_t)(path - host), out))
        return why(w, ERR_USAGE, "%.200s names no host: write https://host/path", text);
    size_t count = strcspn(path, "#");
    snprintf(out->target, sizeof out->target, "%s%.*s", *path == '/' ? "" : "/", (int)count, path);
    return ERR_OK;
}

enum err url_follow(const struct url *from, const char *location, struct url *out, struct why *w)
{
    if (url_like(location) && strcspn(location, "/?#") > strcspn(location, ":")) {
        enum err e = url_read(location, out, w);
        return e ? why(w, ERR_WIRE, "it leads to %.200s, which is no URL of https",
                       plain(location) ? location : "something unreadable")
                 : ERR_OK;
    }
    if (!*location || !plain(location) || strlen(location) >= URL_BYTES / 2 ||
        !strncmp(location, "//", 2))
        return why(w, ERR_WIRE, "it leads to a place that cannot be read");
    struct url to = *from;
    size_t count = strcspn(location, "#");
    if (location[0] == '/') {
        snprintf(to.target, sizeof to.target, "%.*s", (int)count, location);
    } else { /* beside the file asked for */
        size_t path = strcspn(from->target, "?");
        while (path && from->target[path - 1] != '/') path--;
        if (path + count >= sizeof to.target)
            return why(w, ERR_WIRE, "it leads to a place that is too long");
        snprintf(to.target, sizeof to.target, "%.*s%.*s", (int)path, from->target, (int)count,
                 location);
    }
    *out = to;
    return ERR_OK;
}

void url_authority(const struct url *u, char out[URL_HOST_BYTES + 16])
{
    bool six = u->numeric && strchr(u->host, ':');
    int used =
        snprintf(out, URL_HOST_BYTES + 16, "%s%s%s", six ? "[" : "", u->host, six ? "]" : "");
    if (u->port != 443) snprintf(out + used, (size_t)(URL_HOST_BYTES + 16 - used), ":%u", u->port);
}

void url_show(const struct url *u, char out[URL_BYTES])
{
    char authority[URL_HOST_BYTES + 16];
    url_authority(u, authority);
    size_t path = strcspn(u->target, "?");
    snprintf(out, URL_BYTES, HTTPS "%s%.*s%s", authority, (int)path, u->target,
             u->target[path] ? "?..." : "");
}
