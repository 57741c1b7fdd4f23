/* match_set.h -- chooses which of the ready members average together: a deterministic function of
 * what is known, so everybody with the same knowledge chooses the same set. */
#ifndef SHOAL_SWARM_MATCH_SET_H
#define SHOAL_SWARM_MATCH_SET_H

#include "match_wire.h"

struct match_candidate {
    sid sid;
    int index;    /* its bit; -1: me */
    uint64_t key; /* internal to match_set */
};

/* The bits of the members I average with: the clique that contains me, built in an order that
 * changes each round, without members that more than half cannot reach. 0 when I am one of those.
 * `all` contains me once and is sorted in place; count <= NODE_GROUP_MAX. */
uint32_t match_set(const struct match_signer *s, uint64_t round, struct match_candidate *all,
                   uint32_t count, const struct match_pairs *blocked);

#endif
