/* node_life.h -- the node's states and transitions: the only part that changes `life`. Part of
 * node.c, on the same struct.
 *
 *     in             when                                           becomes
 *     JOIN           the peer list is heard, or time is over        TRAIN, or SYNC
 *     TRAIN          another member's state wins over mine          SYNC
 *                    enough is trained                              MATCH
 *                    a group is certified                           REDUCE
 *     MATCH          a group is certified                           REDUCE
 *                    no group was formed                            TRAIN, and a pause before MATCH
 *                    another's state wins, unless I have signed     SYNC
 *     REDUCE         the members agree                              APPLY
 *                    there is no average                            TRAIN, and a pause before MATCH
 *     APPLY          the trainer has done the outer step            TRAIN
 *     SYNC           all of the state is here                       ADOPT
 *                    it failed                                      TRAIN, or SYNC for a newer one
 *     ADOPT          the trainer holds it                           TRAIN
 *     DONE           everybody is done, or time is over             LEAVING
 *     LEAVING        the goodbye is out                             LEFT
 *
 *     DONE instead of TRAIN after the last epoch
 *     LEAVING when the user wants to leave; from REDUCE and APPLY when they are over, or 30 s later
 *     LEFT when a peer proves, before the first round, that another worker has my key */
#ifndef SHOAL_SWARM_NODE_LIFE_H
#define SHOAL_SWARM_NODE_LIFE_H

#include "node_parts.h"

/* Repeats the transitions that news, messages and time allow until nothing changes. Call it after
 * every event. */
void node_live(struct node *n);

/* The trainer has done the outer step, or holds the downloaded state. Ignored in states other than
 * APPLY and ADOPT. */
void node_applied(struct node *n, const struct event *e);
void node_adopted(struct node *n, const struct event *e);

/* The user wants to leave: takes effect when the round is over, or 30 s later. */
void node_leave(struct node *n);

/* A peer reports that another worker has my key, after that worker answered it; `said` is its
 * text. */
void node_copied(struct node *n, struct bytes said);

#endif
