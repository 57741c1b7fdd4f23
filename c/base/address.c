#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool address_equal(const struct address *a, const struct address *b)
{
    return a->family == b->family && a->port == b->port && !memcmp(a->ip, b->ip, sizeof a->ip);
}

bool address_same_place(const struct address *a, const struct address *b)
{
    return a->family == b->family && !memcmp(a->ip, b->ip, a->family == 6 ? 8 : 4);
}

bool address_is_any(const struct address *a)
{
    static const uint8_t zeros[sizeof a->ip];
    return a->family && !memcmp(a->ip, zeros, sizeof zeros);
}

struct address address_plain(const struct address *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->family != 6 || memcmp(a->ip, mapped, sizeof mapped)) return *a;
    struct address plain = {.family = 4, .port = a->port};
    memcpy(plain.ip, a->ip + sizeof mapped, 4);
    return plain;
}

bool address_loopback(const struct address *a)
{
    static const uint8_t loopback[16] = {[15] = 1};
    return a->family == 4 ? a->ip[0] == 127
                          : a->family == 6 && !memcmp(a->ip, loopback, sizeof loopback);
}

bool address_private(const struct address *a)
{
    const uint8_t *b = a->ip;
    if (address_loopback(a)) return true;
    if (a->family == 4)
        return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168) ||
               (b[0] == 169 && b[1] == 254) || (b[0] == 100 && (b[1] & 0xc0) == 64);
    return a->family == 6 && ((b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80));
}

static bool port_parse(const char *text, uint16_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits]) return false;
    long v = strtol(text, NULL, 10);
    if (v > 65535) return false;
    *out = (uint16_t)v;
    return true;
}

bool address_parse(const char *text, struct address *out)
{
    char host[ADDRESS_TEXT_BYTES];
    struct address a = {0};
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) return false;
    size_t count = (size_t)(colon - text);
    memcpy(host, text, count);
    host[count] = 0;
    if (!port_parse(colon + 1, &a.port)) return false;
    if (host[0] == '[' && host[count - 1] == ']') {
        host[count - 1] = 0;
        a.family = 6;
        if (inet_pton(AF_INET6, host + 1, a.ip) != 1) return false;
    } else {
        a.family = 4;
        if (inet_pton(AF_INET, host, a.ip) != 1) return false;
    }
    *out = address_plain(&a);
    return true;
}

const char *address_print(const struct address *a, char out[ADDRESS_TEXT_BYTES])
{
    char ip[INET6_ADDRSTRLEN];
    if (a->family != 4 && a->family != 6) return strcpy(out, "none");
    inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, ip, sizeof ip);
    snprintf(out, ADDRESS_TEXT_BYTES, a->family == 4 ? "%s:%u" : "[%s]:%u", ip, a->port);
    return out;
}
