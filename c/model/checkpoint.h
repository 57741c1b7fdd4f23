/* checkpoint.h -- all that a worker needs to go on as if it had never stopped, in one file.
 *
 *     0      header, 4096 bytes, little-endian: the fields of struct checkpoint in the order of checkpoint.c's codec,
 *            the table of sections, and an XXH3-128 of the 4080 bytes before it
 *     4096   parameters, moment1, moment2, anchor, momentum: [parameters] fp32 each, each from a multiple of 4096;
 *            the table holds offset and XXH3-128 of each
 *
 * Written aside, synced and renamed (base/file.h): a crash leaves the old one or the new one. Reading compares every
 * checksum; a file that is truncated, damaged, of another version, run or shape is refused with the reason. A file's
 * name is step-<12 digits>.ckpt, the digits its global inner step. */
#ifndef SHOAL_MODEL_CHECKPOINT_H
#define SHOAL_MODEL_CHECKPOINT_H

#include "base/crypto.h"
#include "config/experiment.h"

#define CHECKPOINT_VERSION 1

enum checkpoint_section {
    CHECKPOINT_PARAMETERS,
    CHECKPOINT_MOMENT1,
    CHECKPOINT_MOMENT2,
    CHECKPOINT_ANCHOR,
    CHECKPOINT_MOMENTUM,
    CHECKPOINT_SECTIONS
};

struct checkpoint {
    struct model_shape shape;
    uint64_t parameters;
    uint8_t run_id[CRYPTO_DIGEST_BYTES]; /* experiment_run_id: another run's is refused */
    uint8_t identity[CRYPTO_KEY_BYTES];  /* whose data it read; zeros for a worker alone */
    uint64_t step;                       /* global inner steps: the file's name */
    uint64_t epoch, lineage_tokens;      /* of anchor and momentum */
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    uint64_t round_steps, round_tokens;    /* since the last outer step */
    uint64_t adam_steps, position, tokens; /* struct trainer_state */
    uint32_t micro_batch;                  /* what auto came to: bits depend on it */
    char corpus[EXPERIMENT_PATH_BYTES];    /* where its tokenizer was, for generate and export */
    /* [parameters] each; lent by the caller. NULL: not kept (written), not wanted (read). A worker alone has neither
     * anchor nor momentum. */
    float *sections[CHECKPOINT_SECTIONS];
};

/* Writes DIR/step-<step>.ckpt, then deletes all but the newest `keep` >= 1, and those of a later step: they are of a
 * history that was given up (a fresh start, a damaged file, a lighter lineage). The folder must exist. ERR_IO: the others
 * are untouched. `path`, when not NULL, gets the file's name (EXPERIMENT_PATH_BYTES + 32). */
enum err checkpoint_write(const char *dir, const struct checkpoint *c, uint32_t keep, char *path,
                          struct why *w);

/* Reads the header alone: all fields but `sections`, which is cleared. ERR_IO, ERR_FORMAT. */
enum err checkpoint_peek(const char *path, struct checkpoint *out, struct why *w);

/* Reads header and content: the sections that `out->sections` points to are filled, each [parameters] of the file,
 * which must be `parameters`; each is checked, wanted or not. ERR_FORMAT when one that is wanted is not there. */
enum err checkpoint_read(const char *path, uint64_t parameters, struct checkpoint *out,
                         struct why *w);

/* The newest file in the folder that can be read whole and is of this run (NULL: any), in `path`. One that cannot is
 * named on stderr with the reason, and the one before it is tried. ERR_IO when there is none: `found` false and no
 * error when the folder holds no checkpoint at all. */
enum err checkpoint_newest(const char *dir, const uint8_t run_id[CRYPTO_DIGEST_BYTES], bool *found,
                           char path[EXPERIMENT_PATH_BYTES + 32], struct why *w);

#endif
