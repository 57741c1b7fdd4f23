/* tools.h -- what every command that trains needs, opened from an experiment: corpus, threads, devices. */
#ifndef SHOAL_BIN_TOOLS_H
#define SHOAL_BIN_TOOLS_H

#include "base/pool.h"
#include "bin/device.h"
#include "config/experiment.h"
#include "data/corpus.h"

struct tools {
    struct corpus *corpus;
    struct pool *pool;
    struct devices devices;
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
};

/* Opens all for the command of this name. ERR_USAGE when corpus and experiment do not fit together; what was opened is
 * closed by tools_close. */
enum err tools_open(struct tools *t, const char *command, struct experiment *x,
                    const struct crypto *hash, struct why *w);

/* Says on stderr where the disk, or a limit on files, has no room for the experiment's checkpoints of so many vectors. */
void tools_warn_disk(const struct experiment *x, size_t vectors);

void tools_close(struct tools *t);

#endif
