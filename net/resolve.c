#include "resolve.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "udp.h"

/* Characters of a host name (RFC 1123, 2.1), plus the '_' that some contain. */
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

/* A plausible name. Only digits and dots is a mistyped number: getaddrinfo would make an address
 * out of 1.2.3 or 10. */
static bool may_be_name(const char *host, size_t count)
{
    return count && count < sizeof((struct resolve_name *)0)->host &&
           strspn(host, NAME_LETTERS) >= count && strspn(host, "0123456789.") < count;
}

enum err resolve_read(const char *text, struct address *out, struct resolve_name *name,
                      struct why *w)
{
    *name = (struct resolve_name){0};
    if (address_parse(text, out)) return ERR_OK;
    const char *colon = strrchr(text, ':');
    size_t count = colon ? (size_t)(colon - text) : 0, digits = 0;
    if (colon) digits = strspn(colon + 1, "0123456789");
    if (!may_be_name(text, count) || !digits || digits > 5 || colon[1 + digits] ||
        atoi(colon + 1) > 65535)
        return why(w, ERR_USAGE, "'%.80s' is not an address: write host:port, as in 192.0.2.1:4433",
                   text);
    memcpy(name->host, text, count);
    name->port = (uint16_t)atoi(colon + 1);
    *out = (struct address){0};
    return ERR_OK;
}

enum err resolve_read_peer(const char *text, uint8_t id[CRYPTO_KEY_BYTES], struct address *out,
                           struct resolve_name *name, struct why *w)
{
    const char *at = strchr(text, '@');
    char hex[IDENTITY_TEXT_BYTES];
    if (!at || (size_t)(at - text) != sizeof hex - 1) goto bad;
    memcpy(hex, text, sizeof hex - 1);
    hex[sizeof hex - 1] = 0;
    if (!identity_parse(hex, id)) goto bad;
    enum err e = resolve_read(at + 1, out, name, w);
    if (!e && (address_is_any(out) || !(out->family ? out->port : name->port)))
        return why(w, ERR_USAGE, "'%.80s' is no address that can be dialled", at + 1);
    return e;
bad:
    return why(w, ERR_USAGE,
               "'%.80s' is not a peer: write ID@host:port, the ID as 64 hexadecimal digits", text);
}

enum err resolve_look_up(const struct resolve_name *name, struct address out[RESOLVE_ADDRESSES_MAX],
                         size_t *count, struct why *w)
{
    struct addrinfo *found, want = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
    int bad = getaddrinfo(name->host, NULL, &want, &found);
    *count = 0;
    if (bad)
        return why(w, ERR_NETWORK, "looking up %s: %s", name->host,
                   bad == EAI_SYSTEM ? "the system's resolver failed" : gai_strerror(bad));
    for (int family = 4; family <= 6; family += 2) {
        for (struct addrinfo *f = found; f && *count < RESOLVE_ADDRESSES_MAX; f = f->ai_next) {
            struct address a = udp_address_of(f->ai_addr);
            if (a.family != family || address_is_any(&a)) continue;
            a.port = name->port;
            out[(*count)++] = a;
        }
    }
    freeaddrinfo(found);
    return *count ? ERR_OK : why(w, ERR_NETWORK, "looking up %s: it has no address", name->host);
}

/* The address that was read, or looks up its name. */
static enum err settle(const struct resolve_name *name, struct address *out, struct why *w)
{
    struct address all[RESOLVE_ADDRESSES_MAX];
    size_t count;
    if (out->family) return ERR_OK;
    enum err e = resolve_look_up(name, all, &count, w);
    if (!e) *out = all[0];
    return e;
}

enum err resolve_address(const char *text, struct address *out, struct why *w)
{
    struct resolve_name name;
    enum err e = resolve_read(text, out, &name, w);
    return e ? e : settle(&name, out, w);
}

enum err resolve_peer(const char *text, uint8_t id[CRYPTO_KEY_BYTES], struct address *out,
                      struct why *w)
{
    struct resolve_name name;
    enum err e = resolve_read_peer(text, id, out, &name, w);
    return e ? e : settle(&name, out, w);
}

enum err resolve_listen(const char *text, struct address *out, struct why *w)
{
    char any[32];
    if (strncmp(text, "*:", 2)) return resolve_address(text, out, w);
    /* Some resolvers resolve every name that begins with a star: none is asked. */
    snprintf(any, sizeof any, "0.0.0.0%.*s", 16, text + 1);
    return address_parse(any, out)
               ? ERR_OK
               : why(w, ERR_USAGE, "'%.80s' is not an address to listen on: write *:4433", text);
}
