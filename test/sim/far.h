/* far.h -- worlds in which the network is slow, as the swarm's is meant to be.
 *
 * A round's bytes take from seconds to minutes on the slowest link, and nobody was told: all are
 * configured with one guess that is wrong by any factor. Up and down differ, and what comes to a
 * node shares its downlink. Vectors are short here, so rates are lower by as much, and frames and
 * datagrams cost no time of a link: beside real vectors they are as good as nothing.
 *
 * No process dies and nobody is cut off, so the swarm must never have two histories. */
#ifndef SHOAL_SIM_FAR_H
#define SHOAL_SIM_FAR_H

#include "scenario.h"

void far_of(uint64_t seed, uint32_t nodes, struct scenario *out, uint64_t needed[FAULT_COUNT]);

#endif
