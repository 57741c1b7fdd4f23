#include "resolve.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "udp.h"

static enum err ask_resolver(const char *text, struct address *out, struct why *w)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    size_t count = colon ? (size_t)(colon - text) : 0;
    if (!count || count >= sizeof host || !colon[1] || memchr(text, ':', count) ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
        atoi(colon + 1) > 65535)
        return why(w, ERR_USAGE, "'%.80s' is not an address: write host:port, as in 192.0.2.1:4433",
                   text);
    memcpy(host, text, count);
    host[count] = 0;
    struct addrinfo *found, want = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
    int bad = getaddrinfo(host, colon + 1, &want, &found);
    if (bad) return why(w, ERR_NETWORK, "looking up %s: %s", host, gai_strerror(bad));
    *out = udp_address_of(found->ai_addr);
    for (struct addrinfo *f = found; f; f = f->ai_next) {
        if (f->ai_family != AF_INET) continue;
        *out = udp_address_of(f->ai_addr);
        break;
    }
    freeaddrinfo(found);
    return ERR_OK;
}

enum err resolve_address(const char *text, struct address *out, struct why *w)
{
    return address_parse(text, out) ? ERR_OK : ask_resolver(text, out, w);
}

enum err resolve_peer(const char *text, uint8_t id[CRYPTO_KEY_BYTES], struct address *out,
                      struct why *w)
{
    const char *at = strchr(text, '@');
    char hex[IDENTITY_TEXT_BYTES];
    if (at && (size_t)(at - text) == sizeof hex - 1) {
        memcpy(hex, text, sizeof hex - 1);
        hex[sizeof hex - 1] = 0;
        if (identity_parse(hex, id)) return resolve_address(at + 1, out, w);
    }
    return why(w, ERR_USAGE,
               "'%.80s' is not a peer: write ID@host:port, the ID as 64 hexadecimal digits", text);
}
