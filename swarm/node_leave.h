/* node_leave.h -- leaving the swarm. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_LEAVE_H
#define SHOAL_SWARM_NODE_LEAVE_H

#include "node_parts.h"

/* The last epoch is done: wait for the other members. */
void node_done(struct node *n);

/* Tells all members that I leave. */
void node_goodbye(struct node *n);
/* Closes the links; the driver may stop. */
void node_finish(struct node *n);
/* The same at once, because the swarm refuses me; `said`: a peer's reason. */
void node_finish_refused(struct node *n, struct bytes said);

/* Has everybody reached the last epoch? */
bool node_everybody_done(const struct node *n);

#endif
