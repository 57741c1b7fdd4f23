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
 *     match     by its number a liar says another READY to each, signs no group, or neither and
 *               proposes with READYs of others that nobody made: rounds go on with all honest
 *     ready     it has trained any number of tokens, in steps of any length, and its line carries any
 *               rate: by what it thinks itself, so that all it says agrees
 *     means     by its number a liar sends another mean to each, says that a chunk has none, or
 *               offers means of chunks that others own: all others agree all the same
 *     stall     by its number a liar sends nothing and says that bytes move, that it holds another
 *               result each second, or that it does, and sends: rounds end
 *     flood     each message ten times, but bulk
 *     relay     some honest pairs never reach each other, and what liars relay to them they keep,
 *               change or repeat: the honest find other relays
 *     ticket    a swarm with tickets; by its number a liar shows one that has ended, that is another's,
 *               or that it has signed itself: it is in no group
 *
 * Everything else that a liar does is what an honest node does. */
#ifndef SHOAL_SIM_LIES_H
#define SHOAL_SIM_LIES_H

#include "scenario.h"

struct sim_node;

void lies_of(uint64_t seed, uint32_t nodes, struct scenario *out, uint64_t needed[FAULT_COUNT]);

/* Sends, instead of this action of a node's, what it says. */
void lies_tell(struct world *w, struct sim_node *n, struct action *a, const struct sink *out);

/* In a swarm with tickets, before its process starts: what it shows. */
void lies_ticket(struct world *w, struct sim_node *n);

/* Before the node takes the event: what it takes for true. */
void lies_think(struct world *w, struct sim_node *n, struct event *e);

/* Do several stall? Where they are owner and heir of a chunk, others may miss it, or the round: not
 * more. */
bool lies_stall_together(const struct world *w);

/* Does an owner send false means of its own chunks? Nobody else knows what they should be. */
bool lies_about_means(const struct world *w);

#endif
