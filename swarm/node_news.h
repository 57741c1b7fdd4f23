/* node_news.h -- tells the other machines what membership has found out. Part of node.c. */
#ifndef SHOAL_SWARM_NODE_NEWS_H
#define SHOAL_SWARM_NODE_NEWS_H

#include "node_parts.h"

void node_read_news(struct node *n);

/* A frame of matchmaking from a member. False when it violates the protocol. */
bool node_match_frame(struct node *n, const struct member *p, uint8_t type, struct bytes body);

#endif
