/* address.h -- where a UDP socket is: an IP address and a port, as a value. Host names are
 * net/resolve.h's matter. */
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

/* 0.0.0.0 or [::]: to listen on, every address of the host; no address that anybody can dial. */
bool address_is_any(const struct address *a);

/* IPv4 in IPv6's clothes (::ffff:192.0.2.1, RFC 4291, 2.5.5.2) as IPv4; any other as it is. */
struct address address_plain(const struct address *a);

/* Does it mean something only within one machine or network? Loopback, link-local, RFC 1918, RFC
 * 6598 (a provider's NAT), RFC 4193. */
bool address_private(const struct address *a);

/* "192.0.2.1:4433" or "[2001:db8::1]:4433", numbers only, made plain. False, and `out` untouched,
 * for anything else. */
bool address_parse(const char *text, struct address *out);

/* The same form into `out`, which is returned; "none" for family 0. */
const char *address_print(const struct address *a, char out[ADDRESS_TEXT_BYTES]);

#endif
