/* node_relay.h -- what comes and goes through relays (relay.h), for the other parts of the node.
 * Part of node.c. */
#ifndef SHOAL_SWARM_NODE_RELAY_H
#define SHOAL_SWARM_NODE_RELAY_H

#include "node_parts.h"

/* A RELAY that has come from member i in this form. False when it violates the protocol. */
bool node_on_relay(struct node *n, int i, enum relay_form form, const struct event *e);

/* The result of a parcel or request with RELAY_TICKET. */
void node_relay_result(struct node *n, const struct event *e);

/* Looks for relays, and hands on what has failed. */
void node_relay_tick(struct node *n);

/* Sends my latest PROGRESS to those who are reached through others. */
void node_relay_progress(struct node *n);

#endif
