/* paths.h -- resolves the paths of an experiment: relative to the file's folder in a file, to the
 * working folder in `--set`. */
#ifndef SHOAL_CONFIG_PATHS_H
#define SHOAL_CONFIG_PATHS_H

#include "config/experiment_fields.h"

struct paths {
    char file[EXPERIMENT_PATH_BYTES];    /* absolute: the folder that the experiment's file is in */
    char working[EXPERIMENT_PATH_BYTES]; /* absolute: the working folder */
};

/* ERR_IO when the folders' names are too long. */
enum err paths_of(const char *file, struct paths *out, struct why *w);

/* Makes all relative paths of `x` absolute; one that becomes too long is reported as a mistake in
 * its key. */
void paths_resolve(struct experiment *x, const struct paths *from);

/* base/path without "." and with leading ".." resolved; `base` must be free of symbolic links. An
 * absolute path stays as it is. False when it is too long. */
bool paths_join(const char *base, const char *path, char out[EXPERIMENT_PATH_BYTES]);

/* The path from `folder` to `path`, both absolute and without "." and "..": "../corpora/mine".
 * False when it is too long. */
bool paths_relative(const char *folder, const char *path, char out[EXPERIMENT_PATH_BYTES]);

#endif
