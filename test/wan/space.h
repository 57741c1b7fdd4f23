/* space.h -- a network namespace for each node, with a TUN device held by this process.
 *
 * As root directly, otherwise in a user namespace in which the caller becomes root. Addresses of
 * node i (plan.h): 203.0.113.(i+1) and, where the kernel has IPv6, 2001:db8::(i+1). A node behind a
 * NAT has 192.168.77.(i+1) and no IPv6; the former is its router's. Loopback is up. There are
 * routes to both nets of IPv4 and no others: what a node sends to a private address leaves it, and
 * arrives nowhere. Packets that the node sends are read from `tun`; packets written to it arrive at
 * the node. */
#ifndef SHOAL_TEST_WAN_SPACE_H
#define SHOAL_TEST_WAN_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define SPACE_TUN "wan0"

struct space {
    int tun; /* reads and writes packets, non-blocking */
    int net; /* the namespace */
    uint32_t index;
    bool natted; /* is behind a NAT */
    bool six;    /* has an IPv6 address */
};

/* Must be called once, before the first space_open and before any thread. ERR_UNSUPPORTED: network
 * namespaces are not allowed on this machine. */
enum err space_begin(struct why *w);

/* Creates node `index`, behind a NAT if `natted`; leaves the caller in its namespace.
 * ERR_UNSUPPORTED: no TUN devices here. The descriptors are closed when the process ends. */
enum err space_open(struct space *s, uint32_t index, bool natted, uint32_t mtu, struct why *w);

/* For a child process: enters the node's namespace. */
enum err space_enter(const struct space *s, struct why *w);

/* For another process: enters the namespace of node `index` of the process `pid`. */
enum err space_enter_of(pid_t pid, uint32_t index, struct why *w);

/* How many packets of the node its kernel has dropped, as nobody read them in time. Leaves the
 * caller in its namespace. 0 where that cannot be known. */
uint64_t space_unread(const struct space *s);

#define SPACE_ADDRESS_BYTES 16
/* The node's own address; of IPv6 also where it has none. */
void space_address(const struct space *s, bool six, char out[SPACE_ADDRESS_BYTES]);

/* Which node, or whose router, has this packet's destination address? False: none of `nodes`. */
bool space_destination(const uint8_t *packet, size_t bytes, uint32_t nodes, uint32_t *out);

#endif
