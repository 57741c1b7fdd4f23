/* lies.h -- far worlds in which members say what is not so, under their own keys, and no other must
 * suffer from it. Fewer than a third of the members lie, to the end.
 * Of history only once they have one: who has none yet cannot tell which of two is right.
 *
 *     history   PROGRESS claims outer steps, tokens and a lineage that nobody has: nobody downloads
 *     work      PROGRESS claims tokens, rates and times of any size: rounds go on with all in them
 *     digest    PROGRESS claims another state: nobody takes its own for damaged
 *     phase     PROGRESS claims that it joins, downloads, is near, matches, averages, is done
 *     accuse    SUSPECTs of all others, in every message: nobody is taken for dead
 *     address   PEER with addresses where somebody else answers, or nobody: its links stay
 *
 *     relay     some honest pairs never reach each other, and what liars relay to them they keep,
 *               change or repeat: the honest find other relays
 *
 * Everything else that a liar does is what an honest node does. */
#ifndef SHOAL_SIM_LIES_H
#define SHOAL_SIM_LIES_H

#include "scenario.h"

struct sim_node;

void lies_of(uint64_t seed, uint32_t nodes, struct scenario *out, uint64_t needed[FAULT_COUNT]);

/* Changes the node's own records in a message that it is about to send, and signs them again; or what
 * it relays. The changed message lasts until the next call. Returns how often it is sent. */
uint32_t lies_tell(struct world *w, struct sim_node *n, struct action *a);

#endif
