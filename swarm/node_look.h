/* node_look.h -- what others are and do, as far as I know. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_LOOK_H
#define SHOAL_SWARM_NODE_LOOK_H

#include "node_parts.h"

/* A live member that has said how far it is; NULL: this one is not, or has not. */
const struct member *node_member(const struct node *n, int i);

/* TRAIN, MATCH or REDUCE. */
bool node_takes_part(enum peer_phase p);
bool node_same_lineage(const struct node *n, const struct record_progress *p);
/* Trains, or is about to: a member in JOIN that holds my state has nothing to fetch first. */
bool node_will_train(const struct node *n, const struct record_progress *r);
/* Does nobody else train? Of another history or not: two who train are not each alone. */
bool node_alone(const struct node *n);

/* What all participants have done of the present epoch. */
struct progress_sum node_work(const struct node *n);
/* Milliseconds until I am ready; UINT32_MAX: not known. */
uint32_t node_eta_ms(const struct node *n);

/* The epoch that enough participants have reached, me included (progress_epoch). */
uint64_t node_swarm_epoch(const struct node *n);

/* The linked live member with the heaviest history, if that is heavier than mine; else NULL. */
const struct member *node_heaviest(const struct node *n);

#endif
