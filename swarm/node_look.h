/* node_look.h -- what others are and do, as far as I know. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_LOOK_H
#define SHOAL_SWARM_NODE_LOOK_H

#include "node_parts.h"

/* A live member that has said how far it is; NULL: this one is not, or has not. */
const struct member *node_member(const struct node *n, int i);

/* TRAIN, MATCH or REDUCE. */
bool node_takes_part(enum peer_phase p);
bool node_same_lineage(const struct node *n, const struct record_progress *p);
/* Trains, or is about to: who starts from the state that I hold has nothing to fetch first. */
bool node_will_train(const struct node *n, const struct record_progress *r);
/* Does nobody else train? Of another history or not: two who train are not each alone. */
bool node_alone(const struct node *n);

/* What all participants have done of the present epoch. */
struct progress_sum node_work(const struct node *n);
/* Until I shall be ready. */
uint32_t node_eta_ms(const struct node *n);

uint64_t node_swarm_epoch(const struct node *n);

/* The heaviest history that a live member holds to whom there is a link, and that is heavier than
 * mine; NULL when mine is. */
const struct member *node_heaviest(const struct node *n);

#endif
