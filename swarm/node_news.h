/* node_news.h -- tells the other machines what membership has found out. Part of node.c. */
#ifndef SHOAL_SWARM_NODE_NEWS_H
#define SHOAL_SWARM_NODE_NEWS_H

#include "node_parts.h"

void node_read_news(struct node *n);

#endif
