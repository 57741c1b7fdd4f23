/* far.h -- worlds with slow links, for which the swarm is made.
 *
 * A round's bytes take from seconds to minutes on the slowest link, and the nodes do not know: all
 * are configured with the same guess, which is wrong by any factor. Uplink and downlink differ, and
 * everything sent to a node shares its downlink. Vectors are short here, so rates are
 * proportionally lower; frames and datagrams take no link time, since next to real vectors they are
 * negligible.
 *
 * No process dies and no node is cut off, so the swarm must never have two histories. */
#ifndef SHOAL_SIM_FAR_H
#define SHOAL_SIM_FAR_H

#include "scenario.h"

void far_of(uint64_t seed, uint32_t nodes, struct scenario *out, uint64_t needed[FAULT_COUNT]);

/* Pairs that never reach each other, although all reach all through one of `relays` (bit i: node
 * i). */
void far_holes(struct rng *r, struct scenario *s, uint32_t relays);

/* The same trainers, then the same links, for as many nodes as `s` has: for wrong.c and lies.c. */
void far_swarm(struct rng *r, struct scenario *s);

#endif
