/* check.h -- checks beyond single values: contradictions between keys, features that are not built
 * yet, and files. */
#ifndef SHOAL_CONFIG_CHECK_H
#define SHOAL_CONFIG_CHECK_H

#include "config/experiment_fields.h"

/* Keys that contradict each other: ERR_USAGE at the place of one of them, naming both. Keys already
 * known to be bad are skipped. */
void check_contradictions(struct experiment *x);

/* Features that the format describes but this program does not support: ERR_UNSUPPORTED. */
void check_built(struct experiment *x);

/* Checks against the file system, separate from experiment_read so that a file can be checked on
 * another machine: the corpus and listed peer files exist, and outputs would not overwrite
 * something else. ERR_USAGE with file:line:column; all mistakes are in x->mistakes. */
enum err experiment_check_files(struct experiment *x, struct why *w);

#endif
