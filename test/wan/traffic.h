/* traffic.h -- the packets between the nodes: queued for the lines and the pair's rate, lost, in
 * flight, delivered.
 *
 *     offer --> the sender's NAT --> waits for its line up --> cut? too long? --> waits for the
 *           pair's rate --> lost? --> in flight for the delay --> waits for the receiver's line
 *           down --> its NAT --> take
 *
 * Each wait is a FIFO queue that drops what does not fit; where there is no rate, there is no wait.
 * A line is shared by all pairs of its node.
 *
 * Pure except for memory: no clock and no socket. What happens to a packet up to its flight is
 * known when it is offered. Its place in the line down is not: that queue fills in the order of
 * arrival, which later packets of nearer senders change, so the packet is queued there when it
 * arrives. A later rule affects packets offered from then on, and for lines down those arriving
 * from then on. */
#ifndef SHOAL_TEST_WAN_TRAFFIC_H
#define SHOAL_TEST_WAN_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/rng.h"
#include "matrix.h"
#include "nat.h"

#define TRAFFIC_HELD_MAX ((size_t)256 << 20) /* bytes in flight, all links together */

struct traffic_count {
    uint64_t packets, bytes; /* offered */
    uint64_t delivered, delivered_bytes;
    uint64_t lost, full, cut, too_long; /* undelivered packets, by reason */
    uint64_t duplicated;                /* in flight twice: each has a fate of its own */
    uint64_t filtered;                  /* undelivered: dropped by the NAT of one of both nodes */
};

/* What is drawn for each packet, each from a random stream of its own. */
enum traffic_chance { TRAFFIC_LOSS, TRAFFIC_JITTER, TRAFFIC_LATE, TRAFFIC_TWICE, TRAFFIC_CHANCES };

/* A FIFO queue for a rate. */
struct traffic_queue {
    instant free; /* when all packets accepted so far have passed the rate */
};

struct traffic_link {
    struct matrix_link is;
    struct traffic_queue queue;
    struct rng chance[TRAFFIC_CHANCES];
    bool bad;     /* the state of loss_burst */
    instant last; /* the latest arrival so far, late packets aside */
    struct traffic_count count;
};

struct traffic_line {
    struct matrix_line is;
    struct traffic_queue up, down;
};

struct traffic_packet {
    instant at; /* of arrival at the line down, then of delivery */
    uint32_t from, to;
    bool passed; /* the line down */
    size_t bytes;
    uint8_t data[];
};

/* In the heap: what orders the packets stands beside the pointer, which saves cache misses. */
struct traffic_entry {
    instant at;
    uint64_t order; /* at a tie */
    struct traffic_packet *packet;
};

struct traffic {
    uint32_t nodes;
    struct traffic_link *links;  /* [nodes * nodes], from * nodes + to; of a node with itself: what
                                    routers answer it */
    struct traffic_line *lines;  /* [nodes] */
    struct nat *nats;            /* [nodes], of those whose line has one */
    struct traffic_entry *queue; /* a heap, the earliest first */
    size_t count, room, held;    /* held: bytes of all packets in it */
    uint64_t order;
};

/* Starts with matrix_plain for all pairs and lines without a limit. The seed decides which packets
 * are lost, late or doubled, and the ports of NATs; each link and each NAT has its own random
 * streams. */
void traffic_init(struct traffic *t, uint32_t nodes, uint64_t seed);
void traffic_fini(struct traffic *t);

struct traffic_link *traffic_link(struct traffic *t, uint32_t from, uint32_t to);

/* Applies a rule from now on. */
void traffic_rule(struct traffic *t, const struct matrix_rule *r);

/* Node `from` sends an IP packet at `now`; copies it. A NAT translates it in place. `to` may be
 * `from` where that has a NAT: then it is dropped. `now` never decreases. */
void traffic_offer(struct traffic *t, instant now, uint32_t from, uint32_t to, void *data,
                   size_t bytes);

/* Back to the network before any rule, from now on. Counts, packets and NATs' mappings stay: those
 * of a NAT of another kind end with the next packet. */
void traffic_reset(struct traffic *t);

/* When traffic_take has something to do: a packet is delivered or reaches a line down.
 * INSTANT_NEVER: none is in flight. */
instant traffic_due(const struct traffic *t);

/* The next packet delivered by `now`, counted; the caller frees it. NULL: none. `now` never
 * decreases. */
struct traffic_packet *traffic_take(struct traffic *t, instant now);

#endif
