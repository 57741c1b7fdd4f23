#include "node/checkpoint_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "data/tokenizer.h"
#include "net/identity.h"
#include "node/device.h"

static enum err read_parameters(struct checkpoint_model *l, struct why *w)
{
    uint64_t count = l->head.parameters;
    float *host = malloc(count * sizeof *host);
    if (!host)
        return why(w, ERR_MEMORY, "no memory for %llu parameters", (unsigned long long)count);
    l->head.sections[l->head.of_swarm ? CHECKPOINT_ANCHOR : CHECKPOINT_PARAMETERS] = host;
    enum err e = checkpoint_read(l->path, count, &l->head, w);
    memset(l->head.sections, 0, sizeof l->head.sections);
    const struct backend *b = &l->backend;
    if (!e) e = b->alloc(b->self, count * sizeof *host, (void **)&l->parameters, w);
    if (!e) b->upload(b->self, l->parameters, host, count * sizeof *host);
    free(host);
    return e;
}

enum err checkpoint_model_open(struct checkpoint_model *l, const char *path, size_t sequences,
                               struct why *w)
{
    memset(l, 0, sizeof *l);
    enum err e = checkpoints_find(path, l->path, w);
    if (!e) e = checkpoint_peek(l->path, &l->head, w);
    if (!e && model_shape_parameters(&l->head.shape) != l->head.parameters)
        e = why(w, ERR_FORMAT, "%s: its shape and its number of parameters contradict each other",
                l->path);
    if (!e) e = pool_open(&l->pool, machine_processors(), 0, w);
    const struct device_options o = {
        .kind = DEVICE_AUTO, .precision = PRECISION_FP32, .shape = &l->head.shape};
    if (!e) e = device_open(&l->backend, &o, l->pool, w);
    l->backend_open = !e;
    if (!e) e = read_parameters(l, w);
    return e ? e
             : model_open(&l->model, &l->head.shape, &l->backend, sequences, MODEL_READ, NULL, NULL,
                          w);
}

void checkpoint_model_close(struct checkpoint_model *l)
{
    if (l->model) model_close(l->model);
    if (l->parameters)
        l->backend.free(l->backend.self, l->parameters, l->head.parameters * sizeof(float));
    if (l->backend_open) device_close(&l->backend);
    pool_close(l->pool);
    memset(l, 0, sizeof *l);
}

/* The first digits, enough to tell two hashes apart. */
static const char *short_hex(const uint8_t hash[CRYPTO_HASH_BYTES], char out[9])
{
    snprintf(out, 9, "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
    return out;
}

enum err checkpoint_model_check_tokenizer(const struct checkpoint *c, const char *checkpoint,
                                          const char *path, const uint8_t hash[CRYPTO_HASH_BYTES],
                                          struct why *w)
{
    static const uint8_t unknown[CRYPTO_HASH_BYTES];
    char here[9], there[9];
    if (!memcmp(c->tokenizer, unknown, sizeof unknown)) return ERR_OK;
    if (!memcmp(c->tokenizer, hash, sizeof unknown)) return ERR_OK;
    return why(w, ERR_USAGE,
               "%s is not the tokenizer that %s was trained with: its SHA-256 begins with %s, not "
               "%s; name the corpus that it was trained on (it was %s then) or a copy",
               path, checkpoint, short_hex(hash, here), short_hex(c->tokenizer, there), c->corpus);
}

enum err checkpoint_model_check_tokenizer_file(const struct checkpoint_model *l, const char *path,
                                               struct why *w)
{
    uint8_t *text, digest[CRYPTO_HASH_BYTES];
    size_t count;
    const struct crypto hash = identity_crypto(NULL);
    enum err e = file_read(path, TOKENIZER_BYTES_MAX, &text, &count, w);
    if (e) return e;
    crypto_hash(&hash, bytes_of(text, count), digest);
    free(text);
    return checkpoint_model_check_tokenizer(&l->head, l->path, path, digest, w);
}
