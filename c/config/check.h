/* check.h -- what single values cannot show: contradictions between keys, and what is not built
 * yet. */
#ifndef SHOAL_CONFIG_CHECK_H
#define SHOAL_CONFIG_CHECK_H

#include "config/experiment.h"

/* Keys that contradict each other: ERR_USAGE at the place of one of them, naming both. Nothing is
 * said of keys that are bad already. */
void check_contradictions(struct experiment *x);

/* What the format describes but this program cannot do: ERR_UNSUPPORTED. */
void check_built(struct experiment *x);

#endif
