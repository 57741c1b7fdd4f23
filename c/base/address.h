/* address.h -- the address of a UDP socket, an IP address and a port, as a value. net/resolve.h
 * handles host names. */
#ifndef SHOAL_BASE_ADDRESS_H
#define SHOAL_BASE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct address {
    uint8_t family; /* 4 or 6; 0: none */
    uint8_t ip[16]; /* the first 4 for IPv4, zeros after them */
    uint16_t port;
};

#define ADDRESS_TEXT_BYTES 56 /* "[8 groups of 4 and 7 colons, or an IPv4 tail]:65535" and a zero */

bool address_equal(const struct address *a, const struct address *b);

/* May one owner have both? The same IPv4 address, or network of 64 bits of IPv6. */
bool address_same_place(const struct address *a, const struct address *b);

/* 0.0.0.0 or [::]: for listening, every address of the host; it cannot be dialled. */
bool address_is_any(const struct address *a);

/* Converts an IPv4-mapped IPv6 address (::ffff:192.0.2.1, RFC 4291, 2.5.5.2) to IPv4; others are
 * unchanged. */
struct address address_plain(const struct address *a);

/* 127.0.0.0/8 or ::1. */
bool address_loopback(const struct address *a);

/* Is it valid only within one machine or network? Loopback, link-local, RFC 1918, RFC 6598 (a
 * provider's NAT), RFC 4193. */
bool address_private(const struct address *a);

/* "192.0.2.1:4433" or "[2001:db8::1]:4433", numbers only, made plain (address_plain). False, and
 * `out` untouched, for anything else. */
bool address_parse(const char *text, struct address *out);

/* Writes the same form to `out`, which it returns; "none" for family 0. */
const char *address_print(const struct address *a, char out[ADDRESS_TEXT_BYTES]);

#endif
