/* arguments.h -- the options of one run, to and from the command line.
 *
 *     --far  --wrong  --lies  --nodes N  --salt N  --trace  --html FILE
 *     --without 3,5    planned faults that do not happen     (the rest is sim_less, less.h)
 *     --absent 2,4     nodes that never start
 *     --no-loss  --no-duplicates  --no-reordering  --no-damage
 *     --calm 120       seconds after which the calm may begin */
#ifndef SHOAL_SIM_ARGUMENTS_H
#define SHOAL_SIM_ARGUMENTS_H

#include <stddef.h>

#include "sim.h"

#define ARGUMENTS_TEXT_BYTES 600

/* A whole number at the start of `s`; `*end`: what follows it. */
bool arguments_number(const char *s, char **end, uint64_t *out);

/* Takes the option at argv[i], if it is one of these. Returns how many arguments it took; 0: it is
 * another; -1: its value is wrong, which a sentence on stderr has said. */
int arguments_take(struct sim_options *o, int argc, char **argv, int i);

/* "zig build sim -- --far 17 --nodes 5": the command that gives this run again, without what only
 * shows it. */
void arguments_repeat(const struct sim_options *o, char out[ARGUMENTS_TEXT_BYTES]);

#endif
