/* paths.h -- where the paths of an experiment start: in a file from the file's folder, in `--set`
 * from the working folder. */
#ifndef SHOAL_CONFIG_PATHS_H
#define SHOAL_CONFIG_PATHS_H

#include "config/experiment_fields.h"

struct paths {
    char file[EXPERIMENT_PATH_BYTES];    /* absolute: the folder that the experiment's file is in */
    char working[EXPERIMENT_PATH_BYTES]; /* absolute: the working folder */
};

/* ERR_IO when the folders have no name that fits. */
enum err paths_of(const char *file, struct paths *out, struct why *w);

/* Makes all relative paths of `x` absolute; one that gets too long is a mistake of its key. */
void paths_resolve(struct experiment *x, const struct paths *from);

/* base/path without "." and without ".." at its start, which `base`, a folder without symbolic
 * links, makes up for. An absolute path stays as it is. False when it is too long. */
bool paths_join(const char *base, const char *path, char out[EXPERIMENT_PATH_BYTES]);

/* How `path` is called from `folder`, both absolute and without "." and "..": "../corpora/mine".
 * False when it is too long. */
bool paths_relative(const char *folder, const char *path, char out[EXPERIMENT_PATH_BYTES]);

#endif
