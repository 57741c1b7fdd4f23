/* start.h -- what a run begins with when it is not the seed: the parameters of a checkpoint
 * (--from).
 *
 * That makes a new run, whose ID covers the parameters' digest: all who name the same checkpoint,
 * or another member's of the same epoch, are in it. Steps, moments and momentum begin at zero. A
 * run that is resumed knows its start from its own checkpoints. */
#ifndef SHOAL_NODE_START_H
#define SHOAL_NODE_START_H

#include "model/checkpoints.h"
#include "model/trainer.h"
#include "node/setup.h"

struct start {
    bool given; /* the run has a start */
    uint8_t digest[CRYPTO_DIGEST_BYTES];
    float *parameters; /* of --from; NULL: known from the run's own checkpoints, or none */
    struct checkpoint head;
    char path[CHECKPOINTS_PATH_BYTES];
};

/* Reads `from`, a checkpoint or a folder that holds some: the anchor of a swarm's, the parameters
 * of a worker's alone. Where it is NULL, the start is that of `newest`, the header of the
 * checkpoint that the run may go on from (NULL: none), if that has one. ERR_IO, ERR_FORMAT,
 * ERR_MEMORY. */
enum err start_open(struct start *s, const char *from, const struct checkpoint *newest,
                    const struct crypto *hash, struct why *w);

/* Is it for this model and tokenizer? ERR_USAGE with what differs. */
enum err start_check(const struct start *s, const struct experiment *x, const struct setup *t,
                     struct why *w);

/* Puts the parameters into a new trainer; a worker that goes on itself reads on where it stopped.
 * ERR_DEVICE. */
enum err start_apply(const struct start *s, struct trainer *t,
                     const uint8_t identity[CRYPTO_KEY_BYTES], struct why *w);

void start_close(struct start *s);

#endif
