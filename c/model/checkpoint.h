/* checkpoint.h -- everything that a worker needs to continue as if it had never stopped, in one
 * file (checkpoints.h: the folder).
 *
 *     0      header, 4096 bytes, little-endian: the fields of struct checkpoint in the order of
 *            checkpoint.c's codec, the table of sections, and an XXH3-128 of the preceding 4080
 *            bytes
 *     4096   parameters, moment1, moment2, anchor, momentum: [parameters] fp32 each, each starting
 *            at a multiple of 4096; the table holds offset and XXH3-128 of each
 *
 * Version 2 added the tokenizer's hash and the shared values (shared.h) to version 1, version 3 the
 * kernels and the precision; all are read. The rest of the header is zeros.
 *
 * Written to a temporary file, synced and renamed (base/file.h): a crash leaves the old one or the
 * new one. Reading compares every checksum; a file that is truncated, damaged, of a later version
 * or of another shape is refused with the reason. */
#ifndef SHOAL_MODEL_CHECKPOINT_H
#define SHOAL_MODEL_CHECKPOINT_H

#include "base/crypto.h"
#include "config/shared.h"

#define CHECKPOINT_VERSION       3
#define CHECKPOINT_KERNELS_BYTES 24
#define CHECKPOINT_SUM_BYTES     16

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
    uint8_t run_id[CRYPTO_DIGEST_BYTES]; /* shared_run_id */
    uint8_t identity[CRYPTO_KEY_BYTES];  /* the worker whose text it reads; zeros for `train` */
    uint64_t step;                       /* global inner steps; part of the file's name */
    uint64_t epoch, lineage_tokens;      /* of anchor and momentum */
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    uint64_t round_steps, round_tokens;    /* since the last outer step */
    uint64_t adam_steps, position, tokens; /* struct trainer_state */
    uint32_t micro_batch;                  /* the value used, also for auto: bits depend on it */
    char corpus[EXPERIMENT_PATH_BYTES];    /* where its tokenizer was, for generate and export */
    uint8_t tokenizer[CRYPTO_HASH_BYTES];  /* SHA-256 of its tokenizer.json; zeros: not known */
    /* The values that identify the run; count 0: not known. */
    struct shared shared;
    /* Kernels of the CPU that computed it (cpu_describe): bits depend on them. Empty: a GPU, or not
     * known. */
    char kernels[CHECKPOINT_KERNELS_BYTES];
    enum precision precision; /* of the inner steps, PRECISION_AUTO: not known */
    bool of_swarm;            /* read: the file holds anchor and momentum */
    /* [parameters] each; lent by the caller. NULL: not stored (writing), not wanted (reading).
     * `train` has neither anchor nor momentum. */
    float *sections[CHECKPOINT_SECTIONS];
};

/* XXH3-128 in canonical form: the checksum of a file's parts, also of those of partial.h. */
void checkpoint_sum(const void *data, size_t count, uint8_t out[CHECKPOINT_SUM_BYTES]);

/* Writes the file. ERR_IO: an existing file is untouched. */
enum err checkpoint_write(const char *path, const struct checkpoint *c, struct why *w);

/* Reads only the header: all fields but `sections`, which is cleared. ERR_IO, ERR_FORMAT. */
enum err checkpoint_peek(const char *path, struct checkpoint *out, struct why *w);

/* Reads header and content: fills the sections that `out->sections` points to, each [parameters];
 * the file must have that number. All sections are verified, wanted or not. ERR_FORMAT when a
 * wanted one is missing. */
enum err checkpoint_read(const char *path, uint64_t parameters, struct checkpoint *out,
                         struct why *w);

#endif
