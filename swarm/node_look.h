/* node_look.h -- what is known of the other members. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_LOOK_H
#define SHOAL_SWARM_NODE_LOOK_H

#include "node_parts.h"

/* Member i if it is live and has announced its progress, otherwise NULL. */
const struct member *node_member(const struct node *n, int i);

/* TRAIN, MATCH or REDUCE. */
bool node_takes_part(enum peer_phase p);
bool node_same_lineage(const struct node *n, const struct record_progress *p);
/* Trains, or is about to: a member in JOIN whose state is mine, or heavier, needs no download first.
 * Whoever restarted with an older checkpoint than it must not go on without it. */
bool node_will_train(const struct node *n, const struct record_progress *r);
/* It downloads a state, and averaged with me in one of the latest rounds: it will be back, and
 * counts as one who trains. Otherwise those who are quick would go on without the slow. */
bool node_will_return(const struct node *n, const struct member *p);
/* Members that are about to reach my history, as far as I know. */
size_t node_stragglers(const struct node *n);
/* Has a linked member nearly replayed what it missed? */
bool node_any_near(const struct node *n);
/* Does nobody else train, on any history? Two nodes training on different histories are not
 * alone. */
bool node_alone(const struct node *n);

/* Work of all participants in the present epoch. */
struct progress_sum node_work(const struct node *n);
/* Milliseconds until I am ready; UINT32_MAX: not known. */
uint32_t node_eta_ms(const struct node *n);

/* The epoch that enough participants have reached, me included (progress_epoch). */
uint64_t node_swarm_epoch(const struct node *n);

/* How this member can be spoken to, by a link or through another member. */
struct reduce_path node_path(const struct node *n, int member);

#endif
