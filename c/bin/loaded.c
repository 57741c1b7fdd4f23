#include "bin/loaded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/machine.h"
#include "bin/device.h"

static enum err find(struct loaded *l, const char *path, struct why *w)
{
    struct stat s;
    bool found = true;
    if (!stat(path, &s) && S_ISDIR(s.st_mode)) {
        enum err e = checkpoint_newest(path, NULL, &found, l->path, w);
        return e || found ? e : why(w, ERR_IO, "there is no checkpoint in %s", path);
    }
    if (snprintf(l->path, sizeof l->path, "%s", path) >= (int)sizeof l->path)
        return why(w, ERR_USAGE, "the path %.64s... is too long", path);
    return ERR_OK;
}

static enum err read_parameters(struct loaded *l, struct why *w)
{
    static const uint8_t alone[CRYPTO_KEY_BYTES];
    uint64_t count = l->head.parameters;
    float *host = malloc(count * sizeof *host);
    if (!host)
        return why(w, ERR_MEMORY, "no memory for %llu parameters", (unsigned long long)count);
    bool of_swarm = memcmp(l->head.identity, alone, sizeof alone) != 0;
    l->head.sections[of_swarm ? CHECKPOINT_ANCHOR : CHECKPOINT_PARAMETERS] = host;
    enum err e = checkpoint_read(l->path, count, &l->head, w);
    memset(l->head.sections, 0, sizeof l->head.sections);
    const struct backend *b = &l->backend;
    if (!e) e = b->take(b->self, count * sizeof *host, (void **)&l->parameters, w);
    if (!e) b->upload(b->self, l->parameters, host, count * sizeof *host);
    free(host);
    return e;
}

enum err loaded_open(struct loaded *l, const char *path, size_t sequences, struct why *w)
{
    memset(l, 0, sizeof *l);
    enum err e = find(l, path, w);
    if (!e) e = checkpoint_peek(l->path, &l->head, w);
    if (!e && model_shape_parameters(&l->head.shape) != l->head.parameters)
        e = why(w, ERR_FORMAT, "%s: its shape and its number of parameters contradict each other",
                l->path);
    if (!e) e = pool_open(&l->pool, machine_processors(), 0, w);
    const struct device_options o = {.kind = DEVICE_AUTO, .precision = PRECISION_FP32};
    if (!e) e = device_open(&l->backend, &o, l->pool, w);
    l->backend_open = !e;
    if (!e) e = read_parameters(l, w);
    return e ? e
             : model_open(&l->model, &l->head.shape, &l->backend, sequences, MODEL_READ, NULL, NULL,
                          w);
}

void loaded_close(struct loaded *l)
{
    if (l->model) model_close(l->model);
    if (l->parameters)
        l->backend.give(l->backend.self, l->parameters, l->head.parameters * sizeof(float));
    if (l->backend_open) device_close(&l->backend);
    pool_close(l->pool);
    memset(l, 0, sizeof *l);
}
