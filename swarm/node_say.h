/* node_say.h -- actions out, and what others see of me. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_SAY_H
#define SHOAL_SWARM_NODE_SAY_H

#include "node_parts.h"

/* For the parts whose actions name a peer: fills in the link. What has no link is dropped: its
 * sender repeats it when there is one. Valid as long as n->out. */
struct sink node_inner(struct node *n);

/* To the driver. */
void node_note(struct node *n, struct note note);
void node_order(struct node *n, const struct order *o);
/* Lets the trainer train, or pauses it; an order goes out only when that changes. */
void node_train(struct node *n, bool on);

/* The phase that others see while the node is in its present state. */
enum peer_phase node_phase(const struct node *n);
/* Signs how far I am, for all. */
void node_publish(struct node *n);
/* With the next tick, but at least 0.5 s after the record before. */
void node_publish_soon(struct node *n);

#endif
