/* plan.h -- the addresses of the network, in host order.
 *
 * Nodes see each other at addresses that programs take for public ones: 203.0.113.0/24 (RFC 5737)
 * and 2001:db8::/64 (RFC 3849), which documents use for examples and nobody on the Internet has. A
 * node behind a NAT has a private address of its own; the public one is its router's. */
#ifndef SHOAL_TEST_WAN_PLAN_H
#define SHOAL_TEST_WAN_PLAN_H

#include <stdint.h>

#define PLAN_NET     0xcb007100u /* 203.0.113.0/24, of which node i has address i + 1 */
#define PLAN_PRIVATE 0xc0a84d00u /* 192.168.77.0/24, likewise, of the nodes behind NATs */
#define PLAN_MASK    0xffffff00u
#define PLAN_ROUTER  254 /* of PLAN_NET: what answers to packets that are too long */

#define PLAN_NET6 0x20, 0x01, 0x0d, 0xb8 /* the first bytes of 2001:db8::/112; others are 0 */

static inline uint32_t plan_public(uint32_t node) { return PLAN_NET + node + 1; }
static inline uint32_t plan_private(uint32_t node) { return PLAN_PRIVATE + node + 1; }

#endif
