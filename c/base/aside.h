/* aside.h -- writes a folder completely or not at all.
 *
 *     aside_open: OUT.part, locked and empty --files--> aside_keep: it replaces OUT
 *                                                `----> aside_drop: it is removed, OUT is unchanged
 *
 * A process that is killed in between leaves OUT.part (or, for an instant, OUT.old); the next
 * aside_open of the same OUT removes both, under the lock. Only files recognized by `ours` are ever
 * deleted. */
#ifndef SHOAL_BASE_ASIDE_H
#define SHOAL_BASE_ASIDE_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"

struct aside {
    char out[PATH_MAX], part[PATH_MAX], old[PATH_MAX]; /* no trailing slashes */
    /* May a folder of this kind contain a file of this name? The lock and .tmp- files are handled
     * already. */
    bool (*ours)(const char *name);
    int lock; /* descriptor; -1: not open */
};

/* Sets the paths and touches nothing; what = "the corpus folder", for messages. ERR_USAGE for an
 * unsuitable path such as "", "/" or "..". */
enum err aside_init(struct aside *a, const char *out, const char *what, bool (*ours)(const char *),
                    struct why *w);

/* Is OUT missing or empty? */
bool aside_free(const struct aside *a);

/* Does OUT contain something that does not belong in a folder of this kind? Returns its name. */
bool aside_foreign(const struct aside *a, char name[NAME_MAX + 1]);

/* Creates and locks OUT.part, and removes what a killed process left. ERR_STOPPED when another
 * process holds it, ERR_IO when it contains files that are not ours. */
enum err aside_open(struct aside *a, struct why *w);

/* Renames OUT.part to OUT and deletes OUT's previous contents: the caller has checked that they may
 * be deleted. ERR_IO; then OUT is restored, or the new OUT is in place and the replaced OUT.old
 * could not be removed. */
enum err aside_keep(struct aside *a, struct why *w);

/* Removes OUT.part if it is open; does nothing after aside_keep. */
void aside_drop(struct aside *a);

#endif
