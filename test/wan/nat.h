/* nat.h -- the router of a home: network address translation of UDP over IPv4.
 *
 *     inside --> nat_out: source becomes the router's address and a port of its choice --> network
 *     inside <-- nat_in: destination becomes the node's address and port, or filtered  <-- network
 *
 * The four kinds of RFC 3489, 5, which differ in which port and in whom they let in:
 *
 *     kind              port of an inside port            lets in
 *     full-cone         the same to all                   everybody
 *     restricted        the same to all                   addresses that it has sent to
 *     port-restricted   the same to all                   addresses with ports that it has sent to
 *     symmetric         another to each address and port  likewise
 *
 * A flow is from an inside port to one remote address and port. It ends when nothing was sent on it
 * for the timeout; what comes in does not keep it alive (RFC 4787, REQ-6). With its last flow an
 * inside port loses its outside port, and gets another one later. Outside ports are drawn at random
 * and never equal the inside one, so that nothing can rely on the port being kept.
 *
 * ICMP errors pass in both directions, with the packet that they quote translated, if that belongs
 * to a flow. All else is dropped: IPv6, TCP, pings, fragments, malformed packets. There is no
 * hairpinning: what the node sends to its own router's address is dropped.
 *
 * Pure: no clock, no socket, no malloc. */
#ifndef SHOAL_TEST_WAN_NAT_H
#define SHOAL_TEST_WAN_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/rng.h"

#define NAT_FLOWS_MAX 1024 /* of a router; packets of further ones are dropped */
#define NAT_PORT_MIN  1024 /* the lowest outside port */

enum nat_kind { NAT_NONE, NAT_FULL_CONE, NAT_RESTRICTED, NAT_PORT_RESTRICTED, NAT_SYMMETRIC };

struct nat_flow {
    uint16_t inside, outside; /* ports */
    uint16_t port;            /* of the remote */
    uint32_t remote;          /* address, in host order */
    instant last;             /* when a packet was sent on it */
};

struct nat {
    enum nat_kind kind;
    span timeout;
    uint32_t inside, outside; /* addresses of the node and of the router, in host order */
    struct rng rng;           /* draws the outside ports */
    uint32_t count;
    struct nat_flow flows[NAT_FLOWS_MAX]; /* some of them may be over */
};

/* A router without flows, of kind NAT_NONE: nat_set comes next. */
void nat_init(struct nat *n, uint32_t inside, uint32_t outside, struct rng rng);

/* Sets kind and timeout. A change of the kind ends all flows. */
void nat_set(struct nat *n, enum nat_kind kind, span timeout);

/* Translates an IP packet in place that the node sends, or that arrives for it, at `now`. False:
 * the router drops it. */
bool nat_out(struct nat *n, instant now, uint8_t *packet, size_t bytes);
bool nat_in(struct nat *n, instant now, uint8_t *packet, size_t bytes);

#endif
