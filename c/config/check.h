/* check.h -- what single values cannot show: contradictions between keys, what is not built yet,
 * and what the file system has to say. */
#ifndef SHOAL_CONFIG_CHECK_H
#define SHOAL_CONFIG_CHECK_H

#include "config/experiment_fields.h"

/* Keys that contradict each other: ERR_USAGE at the place of one of them, naming both. Keys that
 * are bad already are left out. */
void check_contradictions(struct experiment *x);

/* What the format describes but this program cannot do: ERR_UNSUPPORTED. */
void check_built(struct experiment *x);

/* What the file system has to say, apart from experiment_read so that a file can be judged on
 * another machine: the corpus and listed peer files exist, and what will be written is not in the
 * way of something else. ERR_USAGE with file:line:column; all that is wrong is in x->mistakes. */
enum err experiment_check_files(struct experiment *x, struct why *w);

#endif
