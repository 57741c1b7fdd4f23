/* partial.h -- what a download has brought so far, in a file, so that a worker that is started again
 * goes on from there.
 *
 *     header    64 bytes: "SHOALPRT", version u32, zero u32, run_id 16, parameters u64, zeros
 *     records   one a chunk, 40 bytes: epoch u64, lineage 16, sum 16
 *     chunks    from the next multiple of 4096 on: anchor, then momentum of each, fp32
 *
 * Numbers are little endian. A record's sum is XXH3-128 of its chunk's number (u32), epoch, lineage,
 * and those of anchor and momentum: of a process that was killed while it wrote a chunk only that chunk is lost. A
 * record of zeros: no chunk. The file is neither synced nor complete; what a checkpoint holds is not
 * its business. */
#ifndef SHOAL_NODE_PARTIAL_H
#define SHOAL_NODE_PARTIAL_H

#include "config/experiment.h"
#include "outer/outer.h"
#include "swarm/action.h"

struct partial {
    char path[EXPERIMENT_PATH_BYTES + 16]; /* "partial" in the folder of the checkpoints */
    int fd;                                /* -1: nothing is kept */
    struct outer_layout layout;
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
    bool failed; /* it could not be written: this process keeps nothing more */
};

/* Opens the file in `folder`, of fewer than EXPERIMENT_PATH_BYTES, if it is there and of this run and
 * layout; a file that is not is removed. */
void partial_open(struct partial *p, const char *folder, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                  const struct outer_layout *l);

/* Removes the file that is in `folder`, of whatever run. */
void partial_remove(const char *folder);

/* Reads a chunk into `anchor` and `momentum`, outer_chunk_count elements each. False, their content
 * unspecified: it is not there, or not whole. */
bool partial_read(const struct partial *p, uint32_t chunk, struct kept_chunk *out, float *anchor,
                  float *momentum);

/* Writes a chunk; the file is made by the first. ERR_IO, once: then the file is removed, and later
 * calls do nothing. */
enum err partial_keep(struct partial *p, const struct kept_chunk *k, const float *anchor,
                      const float *momentum, struct why *w);

/* Removes the file. */
void partial_drop(struct partial *p);

/* Closes the file, and leaves it. */
void partial_close(struct partial *p);

#endif
