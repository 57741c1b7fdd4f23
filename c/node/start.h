/* start.h -- starting a run from the parameters of a checkpoint (--from) instead of the seed.
 *
 * That is a new run, whose ID covers the parameters' digest: all who name the same checkpoint, or
 * another member's of the same epoch, are in it. Steps, moments and momentum start at zero. A
 * resumed run knows its start from its own checkpoints. */
#ifndef SHOAL_NODE_START_H
#define SHOAL_NODE_START_H

#include "model/checkpoints.h"
#include "model/trainer.h"
#include "node/setup.h"

struct start {
    bool given; /* the run has a start */
    uint8_t digest[CRYPTO_DIGEST_BYTES];
    /* Of --from; NULL: the start is known from the run's own checkpoints, or there is none. */
    float *parameters;
    struct checkpoint head;
    char path[CHECKPOINTS_PATH_BYTES];
};

/* Reads `from`, a checkpoint or a folder of checkpoints: the anchor of a swarm's, the parameters of
 * one by `train`. If it is NULL, the start is that recorded in `newest`, the header of the
 * checkpoint to resume from (NULL: none). ERR_IO, ERR_FORMAT, ERR_MEMORY. */
enum err start_open(struct start *s, const char *from, const struct checkpoint *newest,
                    const struct crypto *hash, struct why *w);

/* Does it fit this model and tokenizer? ERR_USAGE with what differs. */
enum err start_check(const struct start *s, const struct experiment *x, const struct setup *t,
                     struct why *w);

/* Copies the parameters into a new trainer; if it was written by this same worker, reading of the
 * corpus continues where it stopped. ERR_DEVICE. */
enum err start_apply(const struct start *s, struct trainer *t,
                     const uint8_t identity[CRYPTO_KEY_BYTES], struct why *w);

void start_close(struct start *s);

#endif
