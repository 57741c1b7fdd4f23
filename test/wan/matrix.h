/* matrix.h -- the network between the nodes, from a YAML file of rules.
 *
 *     nodes: 4                  # 1 to 64; they are numbered from 0
 *     seconds: 120              # time limit for everything, 1 to 86400; 600
 *     mtu: 1500                 # bytes of a packet, 1280 to 9000; 1500
 *     rules:                    # each sets its values for its pairs or lines; later ones win
 *       - {delay_ms: 50, rate_mbit: 100}                       # all pairs
 *       - {from: 0, to: [1, 2], both: true, delay_ms: 5}       # 0 to 1, 0 to 2 and back
 *       - {node: [1, 2], up_mbit: 30, down_mbit: 300}          # the lines of 1 and of 2
 *       - {node: 3, nat: port-restricted}                      # behind a router of its own
 *       - {from: 2, to: 3, cut: true}                          # one way: 3 still reaches 2
 *       - {at_s: 10, from: [0, 1], to: [2, 3], both: true, cut: true}
 *       - {at_s: 20, cut: false}                               # everything is healed
 *
 * Of any rule:
 *     at_s        when it takes effect, in seconds after the file was read; 0
 *
 * Of a rule for pairs, each direction of a pair for itself:
 *     from, to    a node or a list of nodes; all if omitted
 *     both        true: also the opposite direction
 *     delay_ms    one-way latency of a packet: half a round trip; 0
 *     jitter_ms   a packet is up to this much later, evenly distributed; 0
 *     in_order    true, the default: jitter keeps a pair's packets in order, none arrives before
 *                 those sent earlier; false: each has its own delay
 *     reorder     probability that a packet is late: packets sent after it overtake it, 0 to 1; 0
 *     reorder_ms  by how much such a packet is late; 10
 *     rate_mbit   million bits of IP packets per second, with headers; 0, the default: no limit
 *     queue_kib   KiB queued for the rate, further packets are dropped; 256
 *     loss        share of packets that are lost, 0 to 1; 0
 *     loss_burst  mean number of packets lost in a row, 1 to 10000: Gilbert's model, a good state
 *                 that loses nothing and a bad one that loses everything, each packet may change
 *                 the state. Longer where `loss` needs it. 0, the default: losses are independent
 *     duplicate   probability that a packet arrives twice, 0 to 1; 0
 *     mtu         longer packets are dropped, 576 to 9000 bytes; 9000: none is
 *     icmp        true: their sender is told so (ICMP Fragmentation Needed, ICMPv6 Packet Too Big)
 *                 after delay_ms, by a router halfway; false, the default: nobody says so
 *     cut         true: no packets pass; false
 *
 * Of a rule for lines; a node's line is shared by all its pairs. A packet passes the sender's line
 * up, then the pair, then the receiver's line down:
 *     node        a node or a list of nodes; all if omitted
 *     up_mbit     million bits of IP packets per second that the node sends; 0, the default: no
 *                 limit
 *     down_mbit   likewise what it receives
 *     line_kib    KiB queued for each of both, further packets are dropped; by default what passes
 *                 in 100 ms, and at least 64
 *     nat         full-cone, restricted, port-restricted or symmetric: the node is behind a router
 *                 with network address translation (nat.h), at the near end of its line, which
 *                 keeps its mappings when the file is read again; none, the default: it is not.
 *                 From the start: not with at_s
 *     nat_timeout_s
 *                 a mapping ends when nothing was sent through it for so long, 0.1 to 86400; 30 */
#ifndef SHOAL_TEST_WAN_MATRIX_H
#define SHOAL_TEST_WAN_MATRIX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/instant.h"
#include "nat.h"

#define MATRIX_NODES_MAX 64
#define MATRIX_RULES_MAX 1024

/* One direction between two nodes. */
struct matrix_link {
    double delay_ms, jitter_ms, reorder, reorder_ms;
    double rate_mbit, queue_kib;
    double loss, loss_burst;
    double duplicate;
    double mtu;
    bool in_order, icmp, cut;
};

/* Between a node and all others. */
struct matrix_line {
    double up_mbit, down_mbit;
    double line_kib;      /* 0: what passes in 100 ms, and at least 64 KiB */
    double nat_timeout_s; /* 0: 30 */
    enum nat_kind nat;
};

/* For pairs or for lines, never for both. */
struct matrix_rule {
    span at;           /* after the file was read */
    uint64_t from, to; /* bit sets of nodes */
    bool both;
    uint64_t node;  /* bit set of nodes */
    uint32_t named; /* the fields that it sets, a bit for each; matrix_apply knows which */
    struct matrix_link link;
    struct matrix_line line;
};

struct matrix {
    uint32_t nodes, mtu;
    span limit;
    uint32_t count; /* of rules, sorted by `at`; at equal times in the file's order */
    struct matrix_rule rules[MATRIX_RULES_MAX];
};

/* ERR_USAGE with path:line:column for what is wrong in the file. */
enum err matrix_read(const char *path, struct matrix *out, struct why *w);

/* Divides all rates by `by`, at least 1. So are the queues that a rule names: a full one takes as
 * long as before. But none of more than 32 KiB falls below that, some twenty packets. */
void matrix_scale(struct matrix *m, double by);

/* The bit set of the nodes behind NATs. */
uint64_t matrix_natted(const struct matrix *m);

/* The network between nodes before any rule; their lines are then all 0. */
struct matrix_link matrix_plain(void);

/* Does the rule apply to this direction, or to the line of this node? A node has no link to
 * itself. A rule that covers something may set nothing of it. */
bool matrix_covers(const struct matrix_rule *r, uint32_t from, uint32_t to);
bool matrix_covers_line(const struct matrix_rule *r, uint32_t node);

/* Applies the rule to `l`. */
void matrix_apply(const struct matrix_rule *r, struct matrix_link *l);
void matrix_apply_line(const struct matrix_rule *r, struct matrix_line *l);

#endif
