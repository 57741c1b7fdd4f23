/* node_hear.h -- what members say of rounds, on a link or through a relay. Part of node.c. */
#ifndef SHOAL_SWARM_NODE_HEAR_H
#define SHOAL_SWARM_NODE_HEAR_H

#include "node_parts.h"

/* A frame from member i of matchmaking, averaging, or about what it relays or got; any other is
 * passed over. False when it violates the protocol. */
bool node_hear_frame(struct node *n, int i, uint8_t type, struct bytes body);

/* Answers a request of member i about a round, with nothing where it is about none that is kept. */
void node_hear_request(struct node *n, int i, const struct event *e, struct bytes request);

#endif
