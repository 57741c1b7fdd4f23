/* checkpoints.h -- the folder that a run keeps its checkpoints in.
 *
 *     DIR/step-<12 digits>.ckpt   the digits are the global inner step
 *     DIR/before-<N>/             what --fresh moved out of the way
 *
 * Two checkpoints are of one kind when their run's ID is the same and both hold an anchor, or
 * neither. A run replaces and removes those of its own kind alone: what another run, or a swarm,
 * has written stays where it is. The writer holds the folder's lock (file_lock). */
#ifndef SHOAL_MODEL_CHECKPOINTS_H
#define SHOAL_MODEL_CHECKPOINTS_H

#include "model/checkpoint.h"

#define CHECKPOINTS_PATH_BYTES (EXPERIMENT_PATH_BYTES + 32)

/* Writes DIR/step-<step>.ckpt, then removes, of its kind, all but the newest `keep` >= 1, and those
 * of a later step: they are of a history that was given up (a damaged file, a lighter lineage). A
 * file of another kind with that name is renamed to <name>.kept-<N>. The folder must exist. ERR_IO:
 * the others are untouched. */
enum err checkpoints_save(const char *dir, const struct checkpoint *c, uint32_t keep,
                          struct why *w);

/* What a command can use. */
struct checkpoints_want {
    const struct shared_ids *ids; /* of this run; NULL: of any */
    const struct shared *shared;  /* its values, to say which keys differ; with `ids` */
    bool anchor;                  /* of a swarm, not of a worker alone */
};

/* The newest file in the folder that can be read whole and used, in `path`. Those that are skipped
 * are named on stderr, all of one reason in one line. ERR_FORMAT, with the newest one's
 * reason, when none of them can be used; `found` false and no error when there is none. */
enum err checkpoints_newest(const char *dir, const struct checkpoints_want *want, bool *found,
                            char path[CHECKPOINTS_PATH_BYTES], struct why *w);

/* The file itself, or the newest that can be read in the folder `path`, or in its folder
 * "checkpoints" (--dir). ERR_IO when there is none. */
enum err checkpoints_find(const char *path, char out[CHECKPOINTS_PATH_BYTES], struct why *w);

/* The newest one's header of those with an anchor, or of those without; false when there is
 * none. */
bool checkpoints_peek(const char *dir, bool of_swarm, struct checkpoint *out);

/* Moves all checkpoints into a new folder DIR/before-<N>, whose path goes to `aside`; *count: how
 * many, 0: nothing was done. ERR_IO, ERR_MEMORY. */
enum err checkpoints_set_aside(const char *dir, size_t *count, char aside[CHECKPOINTS_PATH_BYTES],
                               struct why *w);

/* Removes what killed saves left in the folder; returns how many files. */
size_t checkpoints_tidy(const char *dir);

#endif
