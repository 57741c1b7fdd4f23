/* checkpoint_model.h -- loads a trained model from a checkpoint, for the commands that use it:
 * eval, generate, export. */
#ifndef SHOAL_NODE_CHECKPOINT_MODEL_H
#define SHOAL_NODE_CHECKPOINT_MODEL_H

#include "backend.h"
#include "base/pool.h"
#include "model/checkpoints.h"
#include "model/model.h"

struct checkpoint_model {
    char path[CHECKPOINTS_PATH_BYTES]; /* the file */
    struct checkpoint head;            /* without sections */
    struct pool *pool;
    struct backend backend;
    bool backend_open;
    struct model *model; /* for batches of `sequences`, without gradients */
    float *parameters;   /* in backend memory */
};

/* Opens a checkpoint file, or the newest one in a folder. From a swarm's checkpoint it takes the
 * anchor, which all replicas share; from that of `train` the parameters. On the best device, in
 * fp32. ERR_IO, ERR_FORMAT, ERR_MEMORY, ERR_DEVICE; call checkpoint_model_close in any case. */
enum err checkpoint_model_open(struct checkpoint_model *l, const char *path, size_t sequences,
                               struct why *w);
void checkpoint_model_close(struct checkpoint_model *l);

/* Is the tokenizer in the file `path`, with this SHA-256, the one that the checkpoint was trained
 * with? ERR_USAGE when it is not; a checkpoint of version 1 does not record it. */
enum err checkpoint_model_check_tokenizer(const struct checkpoint *c, const char *checkpoint,
                                          const char *path, const uint8_t hash[CRYPTO_HASH_BYTES],
                                          struct why *w);

/* The same, with the file hashed now. ERR_USAGE, ERR_IO, ERR_FORMAT. */
enum err checkpoint_model_check_tokenizer_file(const struct checkpoint_model *l, const char *path,
                                               struct why *w);

#endif
