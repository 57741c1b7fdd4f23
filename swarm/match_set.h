/* match_set.h -- which of those who are ready average together: everybody who knows the same of
 * them chooses alike. */
#ifndef SHOAL_SWARM_MATCH_SET_H
#define SHOAL_SWARM_MATCH_SET_H

#include "match_wire.h"

struct match_candidate {
    sid sid;
    int index;    /* its bit; -1: me */
    uint64_t key; /* match_set's own */
};

/* The bits of those I average with: the clique that holds me, filled in an order that is another
 * one each round, without those whom more than half cannot reach; 0 when I am one of
 * these. `all` holds me once, and is sorted in place; count <= NODE_GROUP_MAX. */
uint32_t match_set(const struct match_signer *s, uint64_t round, struct match_candidate *all,
                   uint32_t count, const struct match_pairs *blocked);

#endif
