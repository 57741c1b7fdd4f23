/* traffic.h -- the packets between the nodes: lost, queued for the link's rate, in flight,
 * delivered.
 *
 *     offer --cut--> gone
 *       |---queue full---> gone
 *       `--> waits for the rate --loss--> gone
 *                                `--> in flight for the delay --> take
 *
 * Pure except for memory: no clock and no socket. Each packet's delivery time is known when it is
 * offered. A later rule affects packets offered from then on; those in flight arrive. */
#ifndef SHOAL_TEST_WAN_TRAFFIC_H
#define SHOAL_TEST_WAN_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/rng.h"
#include "matrix.h"

#define TRAFFIC_HELD_MAX ((size_t)256 << 20) /* bytes in flight, all links together */

struct traffic_count {
    uint64_t packets, bytes; /* offered */
    uint64_t delivered, delivered_bytes;
    uint64_t lost, full, cut; /* undelivered packets, by reason */
};

struct traffic_link {
    struct matrix_link is;
    instant free; /* when all packets offered so far have passed the rate limit */
    struct rng chance;
    struct traffic_count count;
};

struct traffic_packet {
    instant at; /* of delivery */
    uint64_t order;
    uint32_t from, to;
    size_t bytes;
    uint8_t data[];
};

struct traffic {
    uint32_t nodes;
    struct traffic_link *links;    /* [nodes * nodes], from * nodes + to */
    struct traffic_packet **queue; /* a heap, the earliest first */
    size_t count, room, held;      /* held: bytes of all packets in it */
    uint64_t order;
};

/* Starts with matrix_plain for all pairs. The seed decides which packets are lost; each link has
 * its own random stream. */
void traffic_init(struct traffic *t, uint32_t nodes, uint64_t seed);
void traffic_fini(struct traffic *t);

struct traffic_link *traffic_link(struct traffic *t, uint32_t from, uint32_t to);

/* Applies a rule from now on. */
void traffic_rule(struct traffic *t, const struct matrix_rule *r);

/* Node `from` sends a packet at `now`; copies it. `now` never decreases. */
void traffic_offer(struct traffic *t, instant now, uint32_t from, uint32_t to, const void *data,
                   size_t bytes);

/* When the next packet is to be delivered; INSTANT_NEVER: none is in flight. */
instant traffic_due(const struct traffic *t);

/* The next packet due by `now`, counted as delivered; the caller frees it. NULL: none. */
struct traffic_packet *traffic_take(struct traffic *t, instant now);

#endif
