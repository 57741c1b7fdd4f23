/* check.h -- what single values cannot show: contradictions between keys, and what is not built yet. */
#ifndef SHOAL_CONFIG_CHECK_H
#define SHOAL_CONFIG_CHECK_H

#include "config/experiment.h"

/* Keys that contradict each other: ERR_USAGE at the place of one of them, naming both. */
enum err check_contradictions(const struct experiment *x, struct why *w);

/* What the format describes but this program cannot do: ERR_UNSUPPORTED. */
enum err check_built(const struct experiment *x, struct why *w);

#endif
