/* lies_parts.h -- the lies of a round; lies.h describes all. Each returns how often the message is
 * sent, which may be changed. */
#ifndef SHOAL_SIM_LIES_PARTS_H
#define SHOAL_SIM_LIES_PARTS_H

#include "swarm/action.h"

struct world;
struct sim_node;

uint32_t lies_match(struct world *w, struct sim_node *n, struct action *a);
uint32_t lies_means(struct world *w, struct sim_node *n, struct action *a, const struct sink *out);
uint32_t lies_stall(struct world *w, struct sim_node *n, struct action *a);

#endif
