/* icmp.h -- what a router answers to a packet that is too long for its next line. */
#ifndef SHOAL_TEST_WAN_ICMP_H
#define SHOAL_TEST_WAN_ICMP_H

#include <stddef.h>
#include <stdint.h>

#define ICMP_BYTES_MAX 1280 /* with the IP header: what IPv6 carries everywhere */

/* Writes the IP packet with ICMP Fragmentation Needed (RFC 1191) or ICMPv6 Packet Too Big (RFC
 * 4443), from 203.0.113.254 or 2001:db8::fe; returns its bytes. 0: no router answers this packet:
 * it is no IP packet, an IPv4 one that may be cut into fragments, or an ICMP error itself. */
size_t icmp_too_long(const uint8_t *packet, size_t bytes, uint32_t mtu,
                     uint8_t out[ICMP_BYTES_MAX]);

/* The ones' complement sum of 16 bit words so far and of these bytes (RFC 1071). */
uint32_t icmp_sum(uint32_t so_far, const uint8_t *data, size_t bytes);

#endif
