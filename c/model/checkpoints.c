#include "model/checkpoints.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/leftover.h"

#define NAME_FORMAT "step-%012llu.ckpt"
#define NAME_BYTES  32 /* of any such name: a step has at most 20 digits */

typedef unsigned long long big; /* for %llu */

static bool is_checkpoint(const char *name)
{
    big step;
    char again[64];
    if (sscanf(name, "step-%llu.ckpt", &step) != 1) return false;
    snprintf(again, sizeof again, NAME_FORMAT, step);
    return !strcmp(name, again);
}

struct names {
    char (*all)[NAME_BYTES];
    size_t count, room;
};

static int newest_first(const void *a, const void *b) { return strcmp(b, a); }

static bool add_name(struct names *n, const char *name)
{
    if (n->count == n->room) {
        size_t room = n->room ? 2 * n->room : 16;
        void *more = realloc(n->all, room * sizeof *n->all);
        if (!more) return false;
        n->all = more;
        n->room = room;
    }
    snprintf(n->all[n->count++], NAME_BYTES, "%s", name);
    return true;
}

/* Names of all checkpoints in a folder, newest first; the caller frees `all`. */
static enum err list(const char *dir, struct names *out, struct why *w)
{
    *out = (struct names){0};
    DIR *d = opendir(dir);
    if (!d) return why(w, ERR_IO, "opening folder %s: %s", dir, strerror(errno));
    bool whole = true;
    for (struct dirent *e; whole && (e = readdir(d));)
        if (is_checkpoint(e->d_name)) whole = add_name(out, e->d_name);
    closedir(d);
    if (!whole) {
        free(out->all);
        return why(w, ERR_MEMORY, "no memory to list %s", dir);
    }
    if (out->count) qsort(out->all, out->count, sizeof *out->all, newest_first);
    return ERR_OK;
}

static enum err path_in(const char *dir, const char *name, char out[CHECKPOINTS_PATH_BYTES],
                        struct why *w)
{
    if (snprintf(out, CHECKPOINTS_PATH_BYTES, "%s/%s", dir, name) < CHECKPOINTS_PATH_BYTES)
        return ERR_OK;
    return why(w, ERR_USAGE, "the path %.64s... is too long", dir);
}

/* Saving. */

/* Is the file at `path` of the kind of c? A file with an unreadable header is not. */
static bool same_kind(const char *path, const struct checkpoint *c)
{
    struct checkpoint there = {0};
    if (checkpoint_peek(path, &there, NULL)) return false;
    bool of_swarm = c->sections[CHECKPOINT_ANCHOR] && c->sections[CHECKPOINT_MOMENTUM];
    return there.of_swarm == of_swarm && !memcmp(there.run_id, c->run_id, sizeof c->run_id);
}

static bool readable(const char *path)
{
    struct checkpoint there = {0};
    return !checkpoint_peek(path, &there, NULL);
}

/* Renames a file of another kind that has this name. */
static enum err make_way(const char *path, const struct checkpoint *c, struct why *w)
{
    char kept[CHECKPOINTS_PATH_BYTES + 16];
    if (!file_exists(path) || same_kind(path, c) || !readable(path)) return ERR_OK;
    for (unsigned n = 1; n < 1000; n++) {
        snprintf(kept, sizeof kept, "%s.kept-%u", path, n);
        if (file_exists(kept)) continue;
        if (rename(path, kept))
            return why(w, ERR_IO, "renaming %s to %s: %s", path, kept, strerror(errno));
        fprintf(stderr, "shoal: %s was of another run: it is %s now\n", path, kept);
        return ERR_OK;
    }
    return why(w, ERR_IO, "%s is of another run and in the way", path);
}

static void keep_newest(const char *dir, const char *written, const struct checkpoint *c,
                        uint32_t keep)
{
    struct names names;
    uint32_t kept = 0;
    char path[CHECKPOINTS_PATH_BYTES];
    if (list(dir, &names, NULL)) return;
    for (size_t i = 0; i < names.count; i++) {
        if (path_in(dir, names.all[i], path, NULL)) continue;
        const int order = strcmp(path, written);
        if (order && !same_kind(path, c)) continue;
        if (order > 0 || kept++ >= keep) unlink(path);
    }
    free(names.all);
}

enum err checkpoints_save(const char *dir, const struct checkpoint *c, uint32_t keep, struct why *w)
{
    char name[64], path[CHECKPOINTS_PATH_BYTES];
    snprintf(name, sizeof name, NAME_FORMAT, (big)c->step);
    enum err e = path_in(dir, name, path, w);
    if (!e) e = make_way(path, c, w);
    if (!e) e = checkpoint_write(path, c, w);
    if (!e) keep_newest(dir, path, c, keep);
    return e;
}

/* Choosing. */

enum fault { FAULT_NONE, FAULT_BROKEN, FAULT_ALONE, FAULT_RUN, FAULTS };

static enum fault judge(const char *path, const struct checkpoints_want *want, struct why *w)
{
    struct checkpoint c = {0};
    char story[SHARED_STORY_BYTES];
    if (checkpoint_read(path, 0, &c, w)) return FAULT_BROKEN;
    if (want && want->ids && !shared_is_run(want->ids, c.run_id)) {
        shared_compare(bytes_of(want->shared->text, want->shared->count),
                       bytes_of(c.shared.text, c.shared.count), story);
        why(w, ERR_FORMAT,
            "checkpoint %s is of another run (here is the experiment, there the "
            "checkpoint): %s",
            path, story);
        return FAULT_RUN;
    }
    if (want && want->anchor && !c.of_swarm) {
        why(w, ERR_FORMAT, "checkpoint %s was written by a worker alone: it holds no anchor", path);
        return FAULT_ALONE;
    }
    return FAULT_NONE;
}

/* What the user can do when no file of the folder is usable. */
static const char *advice(enum fault f)
{
    switch (f) {
    case FAULT_ALONE:
        return "; name another folder, or --from and this one to start a swarm from it";
    case FAULT_RUN:
        return "; name another folder, or --from and this one to start a new run from it";
    default:
        return "";
    }
}

static void report(const struct why *stories, const size_t *counts)
{
    for (int f = 0; f < FAULTS; f++) {
        if (counts[f] == 0) continue;
        fprintf(stderr, "shoal: %s", stories[f].text);
        if (counts[f] > 1) fprintf(stderr, " (and %zu more like it)", counts[f] - 1);
        fputs("; taking the one before\n", stderr);
    }
}

enum err checkpoints_newest(const char *dir, const struct checkpoints_want *want, bool *found,
                            char path[CHECKPOINTS_PATH_BYTES], struct why *w)
{
    struct names names;
    struct why stories[FAULTS], now;
    size_t counts[FAULTS] = {0};
    enum fault first = FAULT_NONE;
    *found = false;
    enum err e = list(dir, &names, w);
    if (e) return e;
    for (size_t i = 0; i < names.count && !*found && !e; i++) {
        e = path_in(dir, names.all[i], path, w);
        if (e) break;
        enum fault f = judge(path, want, &now);
        *found = f == FAULT_NONE;
        if (!*found && counts[f]++ == 0) stories[f] = now;
        if (!first) first = f;
    }
    if (*found) report(stories, counts);
    else if (!e && names.count) {
        const size_t others = names.count - 1;
        char more[64] = "";
        if (others) snprintf(more, sizeof more, " (nor can the %zu before it be used)", others);
        e = why(w, stories[first].err, "%s%s%s", stories[first].text, more, advice(first));
    }
    free(names.all);
    return e;
}

enum err checkpoints_find(const char *path, char out[CHECKPOINTS_PATH_BYTES], struct why *w)
{
    struct stat s;
    bool found = false;
    char inner[CHECKPOINTS_PATH_BYTES];
    if (stat(path, &s)) return why(w, ERR_IO, "opening %s: %s", path, strerror(errno));
    if (!S_ISDIR(s.st_mode)) {
        if (snprintf(out, CHECKPOINTS_PATH_BYTES, "%s", path) < CHECKPOINTS_PATH_BYTES)
            return ERR_OK;
        return why(w, ERR_USAGE, "the path %.64s... is too long", path);
    }
    enum err e = checkpoints_newest(path, NULL, &found, out, w);
    if (e || found) return e;
    e = path_in(path, "checkpoints", inner, w);
    if (!e && file_exists(inner)) e = checkpoints_newest(inner, NULL, &found, out, w);
    return e || found ? e : why(w, ERR_IO, "there is no checkpoint in %s", path);
}

bool checkpoints_peek(const char *dir, bool of_swarm, struct checkpoint *out)
{
    struct names names;
    bool found = false;
    char path[CHECKPOINTS_PATH_BYTES];
    if (list(dir, &names, NULL)) return false;
    for (size_t i = 0; i < names.count && !found; i++)
        found = !path_in(dir, names.all[i], path, NULL) && !checkpoint_peek(path, out, NULL) &&
                out->of_swarm == of_swarm;
    free(names.all);
    return found;
}

/* Moving aside. */

enum err checkpoints_set_aside(const char *dir, size_t *count, char aside[CHECKPOINTS_PATH_BYTES],
                               struct why *w)
{
    struct names names;
    char from[CHECKPOINTS_PATH_BYTES], to[CHECKPOINTS_PATH_BYTES], name[32];
    *count = 0;
    enum err e = list(dir, &names, w);
    if (e || !names.count) return e;
    int made = -1;
    for (unsigned n = 1; n < 100000 && made && !e; n++) {
        snprintf(name, sizeof name, "before-%u", n);
        e = path_in(dir, name, aside, w);
        made = e ? -1 : mkdir(aside, 0777);
        if (made && errno != EEXIST) break;
    }
    if (!e && made) e = why(w, ERR_IO, "making folder %s: %s", aside, strerror(errno));
    for (size_t i = 0; i < names.count && !e; i++) {
        e = path_in(dir, names.all[i], from, w);
        if (!e) e = path_in(aside, names.all[i], to, w);
        if (!e && rename(from, to))
            e = why(w, ERR_IO, "moving %s to %s: %s", from, to, strerror(errno));
        *count += !e;
    }
    free(names.all);
    return e;
}

size_t checkpoints_tidy(const char *dir) { return leftover_remove(dir, is_checkpoint); }
