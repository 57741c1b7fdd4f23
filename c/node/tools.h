/* tools.h -- what every command that trains needs, opened from an experiment: corpus, threads,
 * devices. */
#ifndef SHOAL_NODE_TOOLS_H
#define SHOAL_NODE_TOOLS_H

#include "base/pool.h"
#include "node/device.h"
#include "config/shared.h"
#include "data/corpus.h"
#include "model/checkpoint.h"

struct tools {
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
 * do not fit together; what was opened is closed by tools_close. */
enum err tools_open(struct tools *t, const char *command, struct experiment *x,
                    const struct checkpoint *newest, const struct crypto *hash, struct why *w);

/* What a checkpoint says of them. */
void tools_describe(const struct tools *t, const struct experiment *x, struct checkpoint *out);

/* Says on stderr where the disk, or a limit on files, has no room for the experiment's checkpoints
 * of so many vectors. */
void tools_warn_disk(const struct experiment *x, size_t vectors);

/* Names the run anew: it begins with the parameters of this digest (start.h); NULL: with those of
 * the seed, as tools_open does it. */
void tools_name_run(struct tools *t, const struct experiment *x,
                    const uint8_t start[CRYPTO_DIGEST_BYTES], const struct crypto *hash);

void tools_close(struct tools *t);

#endif
