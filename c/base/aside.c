#include "base/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define LOCK_NAME "lock"

enum err aside_init(struct aside *a, const char *out, const char *what, bool (*ours)(const char *),
                    struct why *w)
{
    size_t n = strlen(out);
    a->ours = ours;
    a->lock = -1;
    while (n > 1 && out[n - 1] == '/') n--;
    const char *last = memrchr(out, '/', n);
    last = last ? last + 1 : out;
    size_t length = (size_t)(out + n - last);
    if (length == 0 || (length <= 2 && !strncmp(last, "..", length)))
        return why(w, ERR_USAGE, "'%s' cannot be %s: name a new one", out, what);
    if (snprintf(a->out, sizeof a->out, "%.*s", (int)n, out) >= PATH_MAX - 8)
        return why(w, ERR_USAGE, "the path of %s is too long", what);
    snprintf(a->part, sizeof a->part, "%.*s.part", PATH_MAX - 8, a->out);
    snprintf(a->old, sizeof a->old, "%.*s.old", PATH_MAX - 8, a->out);
    return ERR_OK;
}

static bool folder_empty(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d) return errno == ENOENT;
    size_t n = 0;
    while (readdir(d)) n++;
    closedir(d);
    return n <= 2; /* . and .. */
}

bool aside_free(const struct aside *a) { return !file_exists(a->out) || folder_empty(a->out); }

/* A temporary file of file_write_atomic for one of our files also counts as ours. */
static bool known(const struct aside *a, const char *name)
{
    char whole[NAME_MAX + 1];
    const char *tail = strstr(name, ".tmp-");
    if (!strcmp(name, LOCK_NAME) || a->ours(name)) return true;
    if (!tail) return false;
    snprintf(whole, sizeof whole, "%.*s", (int)(tail - name), name);
    return a->ours(whole);
}

bool aside_foreign(const struct aside *a, char name[NAME_MAX + 1])
{
    DIR *d = opendir(a->out);
    bool found = d == NULL; /* not a folder, or not readable */
    name[0] = 0;
    if (!d) snprintf(name, NAME_MAX + 1, "what cannot be listed (%s)", strerror(errno));
    for (struct dirent *x; !found && (x = readdir(d));) {
        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, "..") || known(a, x->d_name)) continue;
        snprintf(name, NAME_MAX + 1, "%s", x->d_name);
        found = true;
    }
    if (d) closedir(d);
    return found;
}

/* Deletes our files in `dir`, and the lock unless it is kept. False when there are other
 * entries. */
static bool clear_folder(const struct aside *a, const char *dir, bool keep_lock)
{
    DIR *d = opendir(dir);
    if (!d) return errno == ENOENT;
    bool only_ours = true;
    for (struct dirent *x; (x = readdir(d));) {
        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, "..")) continue;
        if (keep_lock && !strcmp(x->d_name, LOCK_NAME)) continue;
        if (!known(a, x->d_name) || unlinkat(dirfd(d), x->d_name, 0)) only_ours = false;
    }
    closedir(d);
    return only_ours;
}

enum err aside_open(struct aside *a, struct why *w)
{
    char path[PATH_MAX + sizeof LOCK_NAME];
    snprintf(path, sizeof path, "%s/%s", a->part, LOCK_NAME);
    enum err e = file_make_dirs(a->part, w);
    if (!e) e = file_lock(path, &a->lock, w);
    if (e) return e;
    if (!clear_folder(a, a->part, true)) {
        unlink(path);
        file_unlock(a->lock);
        a->lock = -1;
        return why(w, ERR_IO, "%s holds files that are not ours: move them or name another folder",
                   a->part);
    }
    return ERR_OK;
}

static enum err rename_folder(const char *from, const char *to, struct why *w)
{
    return rename(from, to) ? why(w, ERR_IO, "renaming %s to %s: %s", from, to, strerror(errno))
                            : ERR_OK;
}

/* Renames OUT to OUT.old, and OUT.part to OUT. */
static enum err swap(const struct aside *a, struct why *w)
{
    if (clear_folder(a, a->old, false)) rmdir(a->old); /* left by a process killed right here */
    if (folder_empty(a->out)) return rename_folder(a->part, a->out, w);
    enum err e = rename_folder(a->out, a->old, w);
    if (e) return e;
    e = rename_folder(a->part, a->out, w);
    /* If that failed, restore the old one; if that fails too, the first error is the more useful
     * one. */
    if (e && rename(a->old, a->out)) return e;
    return e;
}

/* The lock moves with the folder, so that no process takes OUT.part for a leftover before the
 * rename. */
enum err aside_keep(struct aside *a, struct why *w)
{
    char lock[PATH_MAX + sizeof LOCK_NAME];
    enum err e = swap(a, w);
    if (e) return e;
    snprintf(lock, sizeof lock, "%s/%s", a->out, LOCK_NAME);
    unlink(lock);
    file_unlock(a->lock);
    a->lock = -1;
    if (clear_folder(a, a->old, false) && (!rmdir(a->old) || errno == ENOENT)) return ERR_OK;
    return why(w, ERR_IO, "%s is in place, but what it replaced, %s, could not be removed whole",
               a->out, a->old);
}

void aside_drop(struct aside *a)
{
    if (a->lock < 0) return;
    if (clear_folder(a, a->part, false)) rmdir(a->part);
    file_unlock(a->lock);
    a->lock = -1;
}
