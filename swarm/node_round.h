/* node_round.h -- from readiness to the outer step. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_ROUND_H
#define SHOAL_SWARM_NODE_ROUND_H

#include "node_parts.h"

/* Tells matchmaking who is in my cell. */
void node_refresh_cell(struct node *n);

/* A round of my former life may still be under way, in which I may have signed. */
bool node_sits_out(struct node *n);

/* Looks for a group, if enough is trained. */
void node_try_round(struct node *n);

/* No group came about: training goes on. */
void node_solo(struct node *n);

/* The group is committed. */
void node_begin_reduce(struct node *n);
void node_snapshot(struct node *n, const struct event *e);
/* Looks how the average stands. */
void node_run_reduce(struct node *n);
void node_applied(struct node *n, const struct event *e);

#endif
