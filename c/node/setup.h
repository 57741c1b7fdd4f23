/* setup.h -- what every command that trains needs, opened from an experiment: corpus, threads,
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
    uint8_t tokenizer[CRYPTO_HASH_BYTES]; /* SHA-256 of its file */
    struct shared shared;                 /* what all members have alike */
    struct shared_ids ids;
    uint8_t run_id[CRYPTO_DIGEST_BYTES]; /* of the swarm */
};

/* Opens all for the command of this name. `newest`: header of the checkpoint that it may go on
 * from, or NULL: machine.kernels and train.precision that are auto are as there, for the same bits,
 * and x->train.precision says what was taken (devices_open). ERR_USAGE when corpus and experiment
 * do not fit together; other errors of preflight_data, pool_open and devices_open. setup_close in
 * any case. */
enum err setup_open(struct setup *t, const char *command, struct experiment *x,
                    const struct checkpoint *newest, const struct crypto *hash, struct why *w);

/* Fills in what a checkpoint says of them: run, tokenizer, corpus, precision, kernels. */
void setup_describe(const struct setup *t, const struct experiment *x, struct checkpoint *out);

/* Warns on stderr if the disk, or a limit on files, has no room for the experiment's checkpoints of
 * `vectors` fp32 vectors each. */
void setup_warn_disk(const struct experiment *x, size_t vectors);

/* Names the run anew: it begins with the parameters of this digest (start.h); NULL: with those of
 * the seed, as setup_open does it. */
void setup_name_run(struct setup *t, const struct experiment *x,
                    const uint8_t start[CRYPTO_DIGEST_BYTES], const struct crypto *hash);

void setup_close(struct setup *t);

#endif
