/* node_round.h -- one round, from readiness to the outer step. Part of node.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_NODE_ROUND_H
#define SHOAL_SWARM_NODE_ROUND_H

#include "node_parts.h"

/* The tokens that one member's contribution counts for at most. */
uint64_t node_weight_max(const struct node_config *c);

/* Passes the members of my cell to matchmaking. */
void node_refresh_cell(struct node *n);

/* Must I stay out of this round, because I may have signed for it before a restart? */
bool node_sits_out(struct node *n);

/* Is enough trained, and may I look for a group? A member that has nearly replayed what it missed
 * would find the others gone again, so a round that is due waits for it as long as the latest
 * average took, a minute at most; training goes on meanwhile. */
bool node_round_due(struct node *n);
span node_near_patience(const struct node *n);
void node_begin_match(struct node *n);

/* No group, or no average: schedules the next attempt after a pause. */
void node_solo(struct node *n);

/* The group is committed: starts averaging and orders a snapshot from the trainer. */
void node_begin_reduce(struct node *n);
/* Handles EVENT_SNAPSHOT. */
void node_snapshot(struct node *n, const struct event *e);

/* The members agree: sends ORDER_APPLY; node_applied handles the trainer's answer. */
void node_order_apply(struct node *n);
/* The average failed. Where its root is certain all the same, the history that it leads to is the one
 * to follow. */
void node_note_certain(struct node *n);
void node_take_average(struct node *n, const struct event *e);

#endif
