/* node_leave.h -- the end. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_LEAVE_H
#define SHOAL_SWARM_NODE_LEAVE_H

#include "node_parts.h"

/* The user wants out: when the round is over. */
void node_leave(struct node *n);
void node_goodbye(struct node *n);
void node_finish(struct node *n);

/* A peer says that another worker has my key, and proved it by asking that one; `said` is its
 * sentence. */
void node_copied(struct node *n, struct bytes said);

/* Has everybody reached the last epoch? */
bool node_everybody_done(const struct node *n);

#endif
