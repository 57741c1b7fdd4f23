/* preflight.h -- checks before a run begins, shared by `run`, `train` and `plan`. */
#ifndef SHOAL_NODE_PREFLIGHT_H
#define SHOAL_NODE_PREFLIGHT_H

#include "config/experiment.h"
#include "data/corpus.h"

/* Checks that the experiment's files and folders exist, and opens its corpus, which must fit it.
 * Prints all mistakes about files at once (settings.h). The caller closes *corpus; NULL after an
 * error. */
enum err preflight_data(const char *command, struct experiment *x, struct corpus **corpus,
                        struct why *w);

/* Checks that each entry of swarm.peers, including those in files, is ID@host:port. Contacts nobody
 * and looks up no name. */
enum err preflight_peers(const char *command, const struct experiment *x, struct why *w);

/* Bytes of one checkpoint; of the rounds that a worker of a swarm keeps (past.h); of all checkpoints
 * that a run keeps, the one being written and those rounds; and of free space in their folder. */
struct preflight_disk {
    uint64_t checkpoint, past, all, free; /* free: 0 when the system does not tell */
};
struct preflight_disk preflight_disk_of(const struct experiment *x);

#endif
