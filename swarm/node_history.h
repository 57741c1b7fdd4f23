/* node_history.h -- states that are taken and given. Part of node.c, on the same struct. */
#ifndef SHOAL_SWARM_NODE_HISTORY_H
#define SHOAL_SWARM_NODE_HISTORY_H

#include "node_parts.h"

/* Tells matchmaking which state I hold now. */
void node_rest_match(struct node *n);

/* This is the state I hold from now on; `keep`: the one before is still served. */
void node_new_state(struct node *n, const struct lineage_state *s, bool keep);

/* The member whose state I must download, because I am behind, on the lighter side of a fork, or
 * damaged; NULL: none, or the pause after a failed download is not over. Notes a fork when it sees
 * one. */
const struct member *node_ahead(struct node *n);

/* Has a heavier history got beyond the round that I look for a group for? Then that group would
 * make a fork. */
bool node_overtaken(const struct node *n);

/* ---- a download ---- */

/* Begins with what a member says it holds; the trainer holds still. */
void node_download(struct node *n, const struct record_progress *r);
/* Names to the download all linked members that hold its target, with the digest that most have. */
void node_offer_servers(struct node *n);
/* All of it is here: ORDER_ADOPT, and what the trainer says to it. */
void node_order_adopt(struct node *n);
void node_take_download(struct node *n, const struct event *e);
/* It has failed, or there was nobody to ask. node_give_up_sync plans a pause before the next. */
bool node_sync_failed(const struct node *n);
void node_give_up_sync(struct node *n);

#endif
