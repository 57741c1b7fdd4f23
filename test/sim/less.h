/* less.h -- a seed's world with something left out, to look at a failure with less around it.
 *
 * What stays has the same times, speeds and sizes as in the whole world. The random numbers of
 * network and timing are drawn in another order, so a rare failure may need another --salt. */
#ifndef SHOAL_SIM_LESS_H
#define SHOAL_SIM_LESS_H

#include <stdio.h>

#include "scenario.h"

bool less_any(const struct sim_less *l);

/* The scenario of these options, ordinary or far, without what they leave out; with anything left
 * out nothing is needed. */
void less_scenario(const struct sim_options *o, struct scenario *out, uint64_t needed[FAULT_COUNT]);

/* Is there what they leave out? Otherwise prints a sentence. */
bool less_valid(const struct sim_options *o);

/* The planned faults and nodes that are left, a line each, by their numbers. */
void less_print(const struct sim_options *o, FILE *to);

#endif
