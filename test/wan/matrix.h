/* matrix.h -- which network stands between the nodes: a YAML file of rules, read and checked.
 *
 *     nodes: 4                  # 1 to 64; they are numbered from 0
 *     seconds: 120              # everything ends after this time at the latest, 1 to 86400; 600
 *     mtu: 1500                 # bytes of a packet, 1280 to 9000; 1500
 *     rules:                    # each sets what it names for the pairs it names; later ones win
 *       - {delay_ms: 50, rate_mbit: 100}                       # all pairs
 *       - {from: 0, to: [1, 2], both: true, delay_ms: 5}       # 0 to 1, 0 to 2 and back
 *       - {from: 2, to: 3, cut: true}                          # one way: 3 still reaches 2
 *       - {at_s: 10, from: [0, 1], to: [2, 3], both: true, cut: true}
 *       - {at_s: 20, cut: false}                               # all is healed
 *
 * Of a rule:
 *     from, to    a node or a list of nodes; all of them when left out
 *     both        true: the way back too
 *     at_s        seconds after the file was read at which it takes effect; 0
 *     delay_ms    how long a packet is under way, one way: half a round trip; 0
 *     rate_mbit   million bits of IP packets a second, headers included; 0, the default: no limit
 *     queue_kib   KiB that wait for the rate, what comes on top is dropped; 256
 *     loss        share of packets lost by chance, 0 to 1; 0
 *     cut         true: nothing passes any more; false */
#ifndef SHOAL_TEST_WAN_MATRIX_H
#define SHOAL_TEST_WAN_MATRIX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/instant.h"

#define MATRIX_NODES_MAX 64
#define MATRIX_RULES_MAX 1024

/* One direction between two nodes. */
struct matrix_link {
    double delay_ms, rate_mbit, queue_kib, loss;
    bool cut;
};

enum { MATRIX_DELAY = 1, MATRIX_RATE = 2, MATRIX_QUEUE = 4, MATRIX_LOSS = 8, MATRIX_CUT = 16 };

struct matrix_rule {
    span at;           /* after the file was read */
    uint64_t from, to; /* bit sets of nodes */
    bool both;
    unsigned named; /* MATRIX_..., those that it sets */
    struct matrix_link link;
};

struct matrix {
    uint32_t nodes, mtu;
    span limit;
    uint32_t count; /* of rules, by `at`; those of one moment in the file's order */
    struct matrix_rule rules[MATRIX_RULES_MAX];
};

/* ERR_USAGE with path:line:column for what is wrong in the file. */
enum err matrix_read(const char *path, struct matrix *out, struct why *w);

/* What stands between nodes before any rule. */
struct matrix_link matrix_plain(void);

/* Does the rule say something about this direction? No node has a link to itself. */
bool matrix_covers(const struct matrix_rule *r, uint32_t from, uint32_t to);

/* Sets in `l` what the rule names. */
void matrix_apply(const struct matrix_rule *r, struct matrix_link *l);

#endif
