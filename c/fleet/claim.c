#include "fleet/claim.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "config/shared.h"

#define PATH_BYTES (2 * EXPERIMENT_PATH_BYTES)

static enum err join(char out[PATH_BYTES], const char *dir, const char *name, struct why *w)
{
    if (snprintf(out, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES - 64) return ERR_OK;
    return why(w, ERR_USAGE, "the path %.64s... is too long", dir);
}

/* "worker-" and a number. */
static bool is_worker(const char *name)
{
    const char *digits = name + 7;
    return !strncmp(name, "worker-", 7) && *digits && !digits[strspn(digits, "0123456789")];
}

/* Calls `visit` for each worker's folder. */
static enum err each_worker(const char *dir,
                            enum err (*visit)(void *ctx, const char *path, const char *name,
                                              struct why *w),
                            void *ctx, struct why *w)
{
    DIR *d = opendir(dir);
    if (!d) return why(w, ERR_IO, "opening folder %s: %s", dir, strerror(errno));
    char path[PATH_BYTES];
    enum err e = ERR_OK;
    for (struct dirent *i; !e && (i = readdir(d));) {
        if (!is_worker(i->d_name)) continue;
        e = join(path, dir, i->d_name, w);
        if (!e) e = visit(ctx, path, i->d_name, w);
    }
    closedir(d);
    return e;
}

/* A worker survives when the swarm's program is killed. */
static enum err not_running(void *ctx, const char *path, const char *name, struct why *w)
{
    (void)ctx, (void)name;
    char lock[PATH_BYTES];
    int fd;
    enum err e = join(lock, path, "checkpoints/lock", w);
    if (e || !file_exists(lock)) return e;
    e = file_lock(lock, &fd, w);
    if (!e) file_unlock(fd);
    return e;
}

/* Is the run in this folder of the same experiment? Does not compare tokenizers; the workers do. */
static enum err same_run(const char *dir, const struct experiment *x, struct why *w)
{
    static const uint8_t tokenizer[CRYPTO_HASH_BYTES];
    char path[PATH_BYTES], story[SHARED_STORY_BYTES];
    struct shared here, there;
    enum err e = join(path, dir, "experiment.yaml", w);
    if (e || !file_exists(path)) return e;
    struct experiment *old = calloc(1, sizeof *old);
    if (!old) return why(w, ERR_MEMORY, "no memory for an experiment");
    bool readable = !experiment_read(path, old, NULL);
    shared_of(x, tokenizer, NULL, &here);
    if (readable) shared_of(old, tokenizer, NULL, &there);
    free(old);
    if (!readable ||
        !shared_compare(bytes_of(here.text, here.count), bytes_of(there.text, there.count), story))
        return ERR_OK; /* an experiment that cannot be read has never run */
    return why(
        w, ERR_USAGE,
        "%s holds a run of another experiment (here is the new one, there the one that ran): %s; "
        "name another folder with --out, or --fresh to have it moved aside",
        dir, story);
}

static enum err move(const char *dir, const char *name, const char *to, size_t *moved,
                     struct why *w)
{
    char from[PATH_BYTES], target[PATH_BYTES];
    enum err e = join(from, dir, name, w);
    if (!e) e = join(target, to, name, w);
    if (e || !file_exists(from)) return e;
    if (rename(from, target))
        return why(w, ERR_IO, "moving %s to %s: %s", from, target, strerror(errno));
    (*moved)++;
    return ERR_OK;
}

struct aside {
    char path[PATH_BYTES];
    size_t moved;
};

static enum err move_worker(void *ctx, const char *path, const char *name, struct why *w)
{
    static const char *const names[] = {"checkpoints", "log.jsonl", "output.txt"};
    struct aside *a = ctx;
    char to[PATH_BYTES];
    enum err e = join(to, a->path, name, w);
    if (!e) e = file_make_dirs(to, w);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !e; i++)
        e = move(path, names[i], to, &a->moved, w);
    return e;
}

static enum err count_worker(void *ctx, const char *path, const char *name, struct why *w)
{
    (void)path, (void)name, (void)w;
    ++*(size_t *)ctx;
    return ERR_OK;
}

static enum err set_aside(const char *dir, struct why *w)
{
    static const char *const names[] = {"experiment.yaml", "peers.txt", "summary.json",
                                        "report.html"};
    struct aside a = {0};
    size_t workers = 0;
    char name[32];
    enum err e = each_worker(dir, count_worker, &workers, w);
    if (e || !workers) return e;
    for (unsigned n = 1;; n++) {
        snprintf(name, sizeof name, "before-%u", n);
        e = join(a.path, dir, name, w);
        if (e) return e;
        if (!mkdir(a.path, 0777)) break;
        if (errno != EEXIST) return why(w, ERR_IO, "making folder %s: %s", a.path, strerror(errno));
    }
    e = each_worker(dir, move_worker, &a, w);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !e; i++)
        e = move(dir, names[i], a.path, &a.moved, w);
    if (!e)
        fprintf(stderr, "shoal swarm: --fresh: what %s held is in %s now, but for the keys\n", dir,
                a.path);
    return e;
}

enum err claim_folder(const char *dir, const struct experiment *x, bool fresh, struct why *w)
{
    char lock[PATH_BYTES];
    int fd;
    enum err e = join(lock, dir, "lock", w);
    if (!e) e = file_lock(lock, &fd, w);
    if (!e) e = each_worker(dir, not_running, NULL, w);
    if (e) return e;
    return fresh ? set_aside(dir, w) : same_run(dir, x, w);
}
