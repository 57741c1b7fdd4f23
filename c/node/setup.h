/* setup.h -- opens what every training command needs from an experiment: corpus, threads,
 * devices. */
#ifndef SHOAL_NODE_SETUP_H
#define SHOAL_NODE_SETUP_H

#include "base/pool.h"
#include "config/shared.h"
#include "data/corpus.h"
#include "model/checkpoint.h"
#include "node/device.h"

struct setup {
    struct corpus *corpus;
    struct pool *pool;
    struct devices devices;
    uint8_t tokenizer[CRYPTO_HASH_BYTES]; /* SHA-256 of the tokenizer's file */
    struct shared shared;                 /* settings that all members share */
    struct shared_ids ids;
    uint8_t run_id[CRYPTO_DIGEST_BYTES]; /* of the swarm */
};

/* Opens all for this command. `newest`: header of the checkpoint to resume from, or NULL:
 * machine.kernels and train.precision that are auto are taken from it, for the same bits, and
 * x->train.precision is set to the chosen one (devices_open). ERR_USAGE when corpus and experiment
 * do not fit together; other errors of preflight_data, pool_open and devices_open. Call setup_close
 * in any case. */
enum err setup_open(struct setup *t, const char *command, struct experiment *x,
                    const struct checkpoint *newest, const struct crypto *hash, struct why *w);

/* Fills in what a checkpoint records of them: run, tokenizer, corpus, precision, kernels. */
void setup_describe(const struct setup *t, const struct experiment *x, struct checkpoint *out);

/* Warns on stderr if the disk, or a limit on files, has no room for the experiment's checkpoints of
 * `vectors` fp32 vectors each. */
void setup_warn_disk(const struct experiment *x, size_t vectors);

/* Computes the run's name again, for a run that starts with the parameters of this digest
 * (start.h); NULL: with those of the seed, as setup_open does. */
void setup_name_run(struct setup *t, const struct experiment *x,
                    const uint8_t start[CRYPTO_DIGEST_BYTES], const struct crypto *hash);

void setup_close(struct setup *t);

#endif
