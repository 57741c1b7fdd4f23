/* wrong.h -- far worlds where something is wrong with a member, and no other must suffer from it.
 *
 *     copy      a copied machine: a second process with the key of a member that lives. It is told so
 *               and ends, before it has averaged with anybody
 *     replica   bits of replicas are flipped in memory. Digests show it; the node downloads the state
 *     server    a member answers downloads with other bits, or too few. It is asked nothing more
 *     number    parameters become infinite or NaN. That node starts again from its anchor, and the
 *               mean goes without it
 *     refusal   receivers' transports decline bulk now and then: it is sent and asked for again
 *     minimum   swarm.group.min is more than 2: with fewer members nobody averages, except alone
 *
 * Like far worlds these have no second history, but for `minimum`, where a process may die. */
#ifndef SHOAL_SIM_WRONG_H
#define SHOAL_SIM_WRONG_H

#include "scenario.h"

void wrong_of(uint64_t seed, uint32_t nodes, struct scenario *out, uint64_t needed[FAULT_COUNT]);

#endif
