/* loaded.h -- a trained model out of a checkpoint, for commands that use it: eval, generate, export. */
#ifndef SHOAL_BIN_LOADED_H
#define SHOAL_BIN_LOADED_H

#include "backend.h"
#include "base/pool.h"
#include "model/checkpoint.h"
#include "model/model.h"

struct loaded {
    char path[EXPERIMENT_PATH_BYTES + 32]; /* the file */
    struct checkpoint head;                /* without sections */
    struct pool *pool;
    struct backend backend;
    bool backend_open;
    struct model *model; /* for `sequences` at once, without gradients */
    float *parameters;   /* in backend memory */
};

/* Opens a checkpoint file, or the newest in a folder. Of a swarm's checkpoint the anchor is taken: what all replicas
 * hold alike; of a worker's alone its parameters. Closed by loaded_close, after an error too. */
enum err loaded_open(struct loaded *l, const char *path, size_t sequences, struct why *w);
void loaded_close(struct loaded *l);

#endif
