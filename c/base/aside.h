/* aside.h -- a folder that is written whole or not at all.
 *
 *     aside_open: OUT.part, locked and empty --files--> aside_keep: it replaces OUT
 *                                                `----> aside_drop: it is removed, OUT is as it was
 *
 * A process that is killed in between leaves OUT.part (or, for an instant, OUT.old); the next
 * aside_open of the same OUT removes both, under the lock. Only files that `ours` knows are ever
 * deleted. */
#ifndef SHOAL_BASE_ASIDE_H
#define SHOAL_BASE_ASIDE_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"

struct aside {
    char out[PATH_MAX], part[PATH_MAX], old[PATH_MAX]; /* no trailing slashes */
    /* May a folder of this kind hold a file of this name? The lock and .tmp- are known already. */
    bool (*ours)(const char *name);
    int lock; /* descriptor; -1: nothing is open */
};

/* Sets the paths and touches nothing; what = "the corpus folder", for the words. ERR_USAGE for a
 * path that cannot be a folder's, such as "", "/" or "..". */
enum err aside_init(struct aside *a, const char *out, const char *what, bool (*ours)(const char *),
                    struct why *w);

/* Whether OUT is missing or holds nothing. */
bool aside_free(const struct aside *a);

/* Whether OUT holds something that no folder of this kind does, and its name. */
bool aside_foreign(const struct aside *a, char name[NAME_MAX + 1]);

/* Makes OUT.part, ours alone, and clears what a process that was killed left. ERR_STOPPED when
 * another process holds it, ERR_IO when it contains files that are not ours. */
enum err aside_open(struct aside *a, struct why *w);

/* OUT.part becomes OUT, and what OUT held is deleted: the caller has made sure that it may be.
 * ERR_IO; then OUT is put back as it was, or the new OUT is in place and OUT.old, what it replaced,
 * could not be removed. */
enum err aside_keep(struct aside *a, struct why *w);

/* Removes OUT.part if it is open; does nothing after aside_keep. */
void aside_drop(struct aside *a);

#endif
