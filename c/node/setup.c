#include "node/setup.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/whole.h"
#include "data/tokenizer.h"
#include "model/checkpoints.h"
#include "model/trainer.h"
#include "node/device.h"
#include "node/preflight.h"

/* The tokenizer's bytes are part of the run's name: workers with different ones must not mix. */
static enum err hash_tokenizer(struct setup *t, const struct crypto *hash, struct why *w)
{
    uint8_t *text;
    size_t count;
    enum err e = file_read(t->corpus->tokenizer, TOKENIZER_BYTES_MAX, &text, &count, w);
    if (e) return e;
    crypto_hash(hash, bytes_of(text, count), t->tokenizer);
    free(text);
    return ERR_OK;
}

void setup_name_run(struct setup *t, const struct experiment *x,
                    const uint8_t start[CRYPTO_DIGEST_BYTES], const struct crypto *hash)
{
    shared_of(x, t->tokenizer, start, &t->shared);
    shared_ids_of(x, t->tokenizer, start, hash, &t->ids);
    memcpy(t->run_id, shared_run_id(&t->ids), sizeof t->run_id);
}

enum err setup_open(struct setup *t, const char *command, struct experiment *x,
                    const struct checkpoint *newest, const struct crypto *hash, struct why *w)
{
    memset(t, 0, sizeof *t);
    enum err e = preflight_data(command, x, &t->corpus, w);
    if (!e) e = hash_tokenizer(t, hash, w);
    if (!e) setup_name_run(t, x, NULL, hash);
    size_t threads = x->machine.threads ? x->machine.threads : machine_processors();
    if (!e) e = pool_open(&t->pool, threads, TRAINER_NICENESS, w);
    return e ? e : devices_open(&t->devices, x, newest, t->pool, w);
}

void setup_describe(const struct setup *t, const struct experiment *x, struct checkpoint *out)
{
    const struct backend *b = &t->devices.ranks[0];
    memcpy(out->run_id, t->run_id, sizeof out->run_id);
    memcpy(out->tokenizer, t->tokenizer, sizeof out->tokenizer);
    out->shared = t->shared;
    snprintf(out->corpus, sizeof out->corpus, "%s", x->data.corpus);
    out->precision = device_precision(b);
    if (b->host) snprintf(out->kernels, sizeof out->kernels, "%s", device_describe(b));
}

/* Bytes of existing checkpoints: they are deleted as new ones are written. */
static uint64_t checkpoints_in(const char *folder)
{
    uint64_t n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *f; d && (f = readdir(d));) {
        size_t count = strlen(f->d_name);
        n += count > 5 && !strcmp(f->d_name + count - 5, ".ckpt");
    }
    if (d) closedir(d);
    return n;
}

void setup_warn_disk(const struct experiment *x, size_t vectors)
{
    struct statvfs s;
    struct rlimit r;
    const char *dir = x->checkpoint.dir;
    /* A new one is written before the oldest is deleted (checkpoint.h). */
    uint64_t one =
        4096 + vectors * align_up(model_shape_parameters(&x->model) * sizeof(float), 4096);
    uint64_t wanted = x->checkpoint.keep + 1, have = checkpoints_in(dir);
    uint64_t more = max_u64(1, wanted - min_u64(wanted, have));
    if (!getrlimit(RLIMIT_FSIZE, &r) && r.rlim_cur < one)
        fprintf(stderr,
                "shoal: warning: a checkpoint takes %.1f MB and ulimit -f allows files of %.1f MB: "
                "nothing can be saved; raise it\n",
                (double)one * 1e-6, (double)r.rlim_cur * 1e-6);
    if (statvfs(dir, &s)) return;
    uint64_t room = (uint64_t)s.f_bavail * s.f_frsize;
    if (room < more * one)
        fprintf(stderr,
                "shoal: warning: %s has %.1f MB free, and %s: make room, or set checkpoint.dir or "
                "checkpoint.keep\n",
                dir, (double)room * 1e-6,
                room < one ? "a checkpoint does not fit" : "checkpoint.keep of them do not fit");
}

void setup_close(struct setup *t)
{
    devices_close(&t->devices);
    pool_close(t->pool);
    if (t->corpus) corpus_close(t->corpus);
    memset(t, 0, sizeof *t);
}
