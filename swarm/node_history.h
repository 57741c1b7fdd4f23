/* node_history.h -- downloading, adopting and serving states. Part of node.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_NODE_HISTORY_H
#define SHOAL_SWARM_NODE_HISTORY_H

#include "node_parts.h"

/* Tells matchmaking which state I hold. */
void node_rest_match(struct node *n);

/* Makes this the state I hold; `keep`: the previous one is still served. */
void node_new_state(struct node *n, const struct lineage_state *s, bool keep);

/* The member whose state I must download, because I am behind, on the side of a fork that gives
 * way, or damaged. NULL: none, or still pausing after a failed download. Notes a fork when it detects
 * one. */
const struct member *node_ahead(struct node *n);

/* The same while I look for a group, if that history has passed its round: the group would create a
 * fork. */
const struct member *node_overtaking(struct node *n);

/* ---- a download ---- */

/* Begins a download of the state that a member says it holds; pauses the trainer. */
void node_download(struct node *n, const struct record_progress *r);
/* While it runs: goes on to a heavier state that somebody has by now, and node_offer_servers. */
void node_follow(struct node *n);
/* Passes to the download all linked members that hold its target, with the digest that most of them
 * announce. */
void node_offer_servers(struct node *n);
/* The download is complete: sends ORDER_ADOPT; node_applied handles the trainer's answer. */
void node_order_adopt(struct node *n);
void node_take_download(struct node *n, const struct event *e);
/* The download failed, or no member could serve it. node_give_up_sync schedules the pause before
 * the next one. */
bool node_sync_failed(const struct node *n);
void node_give_up_sync(struct node *n);

#endif
