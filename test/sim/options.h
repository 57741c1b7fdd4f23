/* options.h -- the options of one run as the command line has them. */
#ifndef SHOAL_SIM_OPTIONS_H
#define SHOAL_SIM_OPTIONS_H

#include <stddef.h>

#include "sim.h"

#define OPTIONS_TEXT_BYTES 400

/* "zig build sim -- --far 17 --nodes 5": the command that gives this run again, without what only
 * shows it. */
void options_repeat(const struct sim_options *o, char out[OPTIONS_TEXT_BYTES]);

#endif
