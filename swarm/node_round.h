/* node_round.h -- from readiness to the outer step. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_ROUND_H
#define SHOAL_SWARM_NODE_ROUND_H

#include "node_parts.h"

/* Tells matchmaking who is in my cell. */
void node_refresh_cell(struct node *n);

/* A round that I may have signed for before a restart may still be under way: I join none. */
bool node_sits_out(struct node *n);

/* Is enough trained, and may I look for a group? */
bool node_round_due(struct node *n);
void node_begin_match(struct node *n);

/* No group came about, or no average: a pause before the next attempt. */
void node_solo(struct node *n);

/* The group is committed: the average begins, and the trainer is asked for its snapshot. */
void node_begin_reduce(struct node *n);
/* EVENT_SNAPSHOT. */
void node_snapshot(struct node *n, const struct event *e);

/* The members agree: ORDER_APPLY, and what the trainer says to it. */
void node_order_apply(struct node *n);
void node_take_average(struct node *n, const struct event *e);

#endif
