/* traffic.h -- the packets between the nodes: lost, queued for the link's rate, under way,
 * delivered.
 *
 *     offer --cut--> gone
 *       |---queue full---> gone
 *       `--> waits for the rate --loss--> gone
 *                                `--> is under way for the delay --> take
 *
 * Pure but for memory: no clock and no socket. Each packet's moment of delivery is known when it
 * is offered. A rule that comes later changes what is offered from then on; what is under way
 * arrives. */
#ifndef SHOAL_TEST_WAN_TRAFFIC_H
#define SHOAL_TEST_WAN_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/rng.h"
#include "matrix.h"

#define TRAFFIC_HELD_MAX ((size_t)256 << 20) /* bytes under way, all links together */

struct traffic_count {
    uint64_t packets, bytes; /* offered */
    uint64_t delivered, delivered_bytes;
    uint64_t lost, full, cut; /* packets that were not delivered, and why */
};

struct traffic_link {
    struct matrix_link is;
    instant free; /* when the rate has let pass all that was offered so far */
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

/* All pairs plain. The seed decides which packets are lost; each link has a stream of its own. */
void traffic_init(struct traffic *t, uint32_t nodes, uint64_t seed);
void traffic_fini(struct traffic *t);

struct traffic_link *traffic_link(struct traffic *t, uint32_t from, uint32_t to);

/* From now on. */
void traffic_rule(struct traffic *t, const struct matrix_rule *r);

/* A packet that `from` sends at `now`; copies it. `now` never runs backwards. */
void traffic_offer(struct traffic *t, instant now, uint32_t from, uint32_t to, const void *data,
                   size_t bytes);

/* When the next packet is to be delivered; INSTANT_NEVER: none is under way. */
instant traffic_due(const struct traffic *t);

/* The next packet due by `now`, counted as delivered; the caller frees it. NULL: none. */
struct traffic_packet *traffic_take(struct traffic *t, instant now);

#endif
