/* node_say.h -- outgoing actions, and my progress record. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_SAY_H
#define SHOAL_SWARM_NODE_SAY_H

#include "node_parts.h"

/* A sink for parts whose actions name only a peer: it fills in the link. Actions to a peer without
 * a link are dropped; their sender repeats them when there is one. Valid as long as n->out. */
struct sink node_inner(struct node *n);

/* Passes a note to the driver. */
void node_note(struct node *n, struct note note);
void node_order(struct node *n, const struct order *o);
/* Starts or pauses the trainer; sends an order only on a change. */
void node_train(struct node *n, bool on);

/* The phase that the progress record announces in the present state. */
enum peer_phase node_phase(const struct node *n);
/* Signs and publishes my progress. */
void node_publish(struct node *n);
/* Publishes at the next tick, but at least 0.5 s after the previous record. */
void node_publish_soon(struct node *n);

#endif
