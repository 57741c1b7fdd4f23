/* checkpoints.h -- the folder of a run's checkpoints.
 *
 *     DIR/step-<12 digits>.ckpt   the digits are the global inner step
 *     DIR/before-<N>/             moved there by --fresh
 *
 * Two checkpoints are of the same kind when they have the same run ID and both, or neither, hold an
 * anchor. A run replaces and removes only those of its own kind; those of another run, or of a
 * swarm, stay. The writer holds the folder's lock (file_lock). */
#ifndef SHOAL_MODEL_CHECKPOINTS_H
#define SHOAL_MODEL_CHECKPOINTS_H

#include "model/checkpoint.h"

#define CHECKPOINTS_PATH_BYTES (EXPERIMENT_PATH_BYTES + 32)

/* Writes DIR/step-<step>.ckpt, then removes those of its kind except the newest `keep` >= 1, and
 * those of a later step, which belong to an abandoned history (a damaged file, a lighter lineage).
 * A file of another kind with that name is renamed to <name>.kept-<N>. The folder must exist.
 * ERR_IO: the other files are untouched. */
enum err checkpoints_save(const char *dir, const struct checkpoint *c, uint32_t keep,
                          struct why *w);

/* The checkpoints that a command can use. */
struct checkpoints_want {
    const struct shared_ids *ids; /* of this run; NULL: any run */
    const struct shared *shared;  /* its values, to report which keys differ; with `ids` */
    bool anchor;                  /* of a swarm, not of `train` */
};

/* Writes the path of the newest usable and undamaged file in the folder to `path`. Skipped files
 * are named on stderr, one line per reason. ERR_FORMAT, with the newest one's reason, when none of
 * them is usable; no error and `found` false when there are no files. */
enum err checkpoints_newest(const char *dir, const struct checkpoints_want *want, bool *found,
                            char path[CHECKPOINTS_PATH_BYTES], struct why *w);

/* `path` itself if it is a file, otherwise the newest readable one in the folder `path`, or in its
 * subfolder "checkpoints" (--dir). ERR_IO when there is none. */
enum err checkpoints_find(const char *path, char out[CHECKPOINTS_PATH_BYTES], struct why *w);

/* The header of the newest checkpoint with an anchor, or without one; false when there is none. */
bool checkpoints_peek(const char *dir, bool of_swarm, struct checkpoint *out);

/* Moves all checkpoints into a new folder DIR/before-<N>, whose path goes to `aside`; *count:
 * number moved, 0: nothing was done. ERR_IO, ERR_MEMORY. */
enum err checkpoints_set_aside(const char *dir, size_t *count, char aside[CHECKPOINTS_PATH_BYTES],
                               struct why *w);

/* Removes the temporary files of killed saves; returns their number. */
size_t checkpoints_tidy(const char *dir);

#endif
