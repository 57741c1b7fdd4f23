/* shared.h -- the values that all members of a swarm must share, as text: it identifies a run, is
 * stored in checkpoints, and is exchanged between peers, so that "another experiment" can list the
 * keys that differ.
 *
 *     experiment.seed: 7
 *     model.layers: 12
 *     ...                   one line for each shared key, in the order of schema.h
 *     tokenizer: 5f1c...    SHA-256 of tokenizer.json, 64 digits
 *     start: 9a03...        32 digits; only if started from a checkpoint's parameters
 *
 * Numbers have the fewest digits that read back to the same value; each line ends in a newline. Two
 * experiments have the same text exactly when they may train together. */
#ifndef SHOAL_CONFIG_SHARED_H
#define SHOAL_CONFIG_SHARED_H

#include "config/experiment.h"

#define SHARED_BYTES_MAX   2048 /* of the text; shared_test.c checks the longest one */
#define SHARED_STORY_BYTES 512

struct shared {
    size_t count;
    char text[SHARED_BYTES_MAX];
};

/* The values of `x`. `start` is the digest of the parameters that the run started from (SPEC.md,
 * "The run"); NULL: those of the seed. */
void shared_of(const struct experiment *x, const uint8_t tokenizer[CRYPTO_HASH_BYTES],
               const uint8_t start[CRYPTO_DIGEST_BYTES], struct shared *out);

/* The digest of the parameters that the run of this text started from; false when those were the
 * seed's. */
bool shared_start(const struct shared *s, uint8_t out[CRYPTO_DIGEST_BYTES]);

/* Describes the difference as part of a sentence, at most SHARED_STORY_BYTES with its zero:
 *
 *     train.optimizer.lr is 0.002 here and 0.003 there, train.steps is 60 here and 90 there,
 *     and 2 keys more
 *
 * A key that one side lacks is equal where the other has the default. Both sides may be any bytes
 * (a peer sent them): only printable ASCII is shown. The text is "which keys differ is not known"
 * when a side is empty, longer than SHARED_BYTES_MAX or malformed. Returns the number of differing
 * keys; 0 when there are none or it is not known. */
size_t shared_compare(struct bytes here, struct bytes there, char out[SHARED_STORY_BYTES]);

/* The IDs of the run: in its checkpoints, and as the name of its swarm.
 *
 * Layout 1 (run_id.c) is of fixed bytes. Layout 2 is the digest of "shoal run 2\n" and of the text
 * without the keys that have their default: so a key added in a later version does not rename runs
 * that do not set it. Therefore the default of a shared key must never change. */
struct shared_ids {
    uint8_t layout1[CRYPTO_DIGEST_BYTES], layout2[CRYPTO_DIGEST_BYTES];
    bool
        describable1; /* layout 1 covers everything: no newer key is set, no start, access is open */
};
void shared_ids_of(const struct experiment *x, const uint8_t tokenizer[CRYPTO_HASH_BYTES],
                   const uint8_t start[CRYPTO_DIGEST_BYTES], const struct crypto *c,
                   struct shared_ids *out);

/* The one that names the swarm: layout 1 where that covers the run, so that runs and members of
 * shoal 0.1 keep their IDs; otherwise layout 2. */
const uint8_t *shared_run_id(const struct shared_ids *ids);

/* Is this the ID of that run, in any layout? */
bool shared_is_run(const struct shared_ids *ids, const uint8_t run_id[CRYPTO_DIGEST_BYTES]);

#endif
