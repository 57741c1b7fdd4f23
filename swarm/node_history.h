/* node_history.h -- states that are taken and given. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_HISTORY_H
#define SHOAL_SWARM_NODE_HISTORY_H

#include "node_parts.h"

/* Matchmaking starts from the state that I hold. */
void node_rest_match(struct node *n);

/* Trains on, or is done. */
void node_to_train(struct node *n);

/* This is the state I hold from now on; `keep`: the one before is still served. */
void node_new_state(struct node *n, const struct lineage_state *s, bool keep);

/* Begins to download what this member holds. */
void node_start_sync(struct node *n, const struct record_progress *r);
/* Names to the download all who hold its target, with the bits that count. */
void node_offer_servers(struct node *n);
/* Looks how the download stands. */
void node_run_sync(struct node *n);
void node_adopted(struct node *n, const struct event *e);

/* Am I behind, on the lighter side of a fork, or damaged? Starts the download if so. */
bool node_catch_up(struct node *n);

/* Has a heavier history got beyond the round that I look for a group for? Then that group would
 * make a fork. */
bool node_overtaken(const struct node *n);

#endif
