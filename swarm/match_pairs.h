/* match_pairs.h -- pairs of members that cannot average together in this round. Every PROPOSE
 * carries them, so that all learn them. */
#ifndef SHOAL_SWARM_MATCH_PAIRS_H
#define SHOAL_SWARM_MATCH_PAIRS_H

#include <stdbool.h>

#include "base/bytes.h"
#include "peer.h"

#define MATCH_PAIRS_MAX  190 /* pairs among NODE_GROUP_MAX members */
#define MATCH_PAIR_BYTES 16

struct match_pairs {
    struct {
        sid first, second; /* first < second */
    } list[MATCH_PAIRS_MAX];
    uint32_t count;
};

/* In either order. */
bool match_pairs_has(const struct match_pairs *p, sid a, sid b);

/* Adds a pair, in either order; does nothing when it is already there, a equals b, or the list is
 * full. */
void match_pairs_add(struct match_pairs *p, sid a, sid b);

/* u16 count, then count x (first, second). match_pairs_take adds what follows the count, a multiple
 * of MATCH_PAIR_BYTES, to the list. */
void match_pairs_write(const struct match_pairs *p, struct writer *w);
void match_pairs_take(struct match_pairs *p, struct bytes list);

#endif
