/* node_leave.h -- the end. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_LEAVE_H
#define SHOAL_SWARM_NODE_LEAVE_H

#include "node_parts.h"

/* The last epoch is behind me: the others are waited for. */
void node_done(struct node *n);

/* All are told that I leave. */
void node_goodbye(struct node *n);
/* The links end, and the driver may stop. */
void node_finish(struct node *n);
/* The same at once, because I may not take part: a peer says `said`. */
void node_finish_refused(struct node *n, struct bytes said);

/* Has everybody reached the last epoch? */
bool node_everybody_done(const struct node *n);

#endif
