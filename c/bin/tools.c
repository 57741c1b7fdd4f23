#include "bin/tools.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "bin/device.h"
#include "bin/settings.h"
#include "model/trainer.h"

#define TOKENIZER_BYTES_MAX ((size_t)256 << 20)

/* The tokenizer's bytes are part of what names the run: workers with different ones must not mix. */
static enum err name_run(struct tools *t, const struct experiment *x, const struct crypto *hash,
                         struct why *w)
{
    uint8_t *text, digest[CRYPTO_HASH_BYTES];
    size_t count;
    enum err e = file_read(t->corpus->tokenizer, TOKENIZER_BYTES_MAX, &text, &count, w);
    if (e) return e;
    crypto_hash(hash, bytes_of(text, count), digest);
    free(text);
    experiment_run_id(x, digest, hash, t->run_id);
    return ERR_OK;
}

enum err tools_open(struct tools *t, const char *command, struct experiment *x,
                    const struct crypto *hash, struct why *w)
{
    memset(t, 0, sizeof *t);
    enum err e = settings_check_files(command, x, w);
    if (!e) e = corpus_open(x->data.corpus, &t->corpus, w);
    if (!e) e = name_run(t, x, hash, w);
    size_t threads = x->machine.threads ? x->machine.threads : machine_processors();
    if (!e) e = pool_open(&t->pool, threads, TRAINER_NICENESS, w);
    return e ? e : devices_open(&t->devices, x, t->pool, w);
}

void tools_close(struct tools *t)
{
    devices_close(&t->devices);
    pool_close(t->pool);
    if (t->corpus) corpus_close(t->corpus);
    memset(t, 0, sizeof *t);
}
