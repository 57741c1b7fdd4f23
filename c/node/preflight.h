/* preflight.h -- what can be known to go wrong before a run begins; `run`, `train` and `plan` ask
 * the same. */
#ifndef SHOAL_NODE_PREFLIGHT_H
#define SHOAL_NODE_PREFLIGHT_H

#include "config/experiment.h"
#include "data/corpus.h"

/* Files and folders of the experiment are there, and its corpus, which is opened, fits it. All that
 * is wrong with files is printed in one go (settings.h). The caller closes *corpus; NULL after an
 * error. */
enum err preflight_data(const char *command, struct experiment *x, struct corpus **corpus,
                        struct why *w);

/* Each entry of swarm.peers, in files too, is ID@host:port. Nobody is contacted, no name is looked
 * up. */
enum err preflight_peers(const char *command, const struct experiment *x, struct why *w);

/* Bytes of one checkpoint, of all that a run keeps and the one being written, and what is free
 * where they go. */
struct preflight_disk {
    uint64_t checkpoint, all, free; /* free: 0 when the system does not tell */
};
struct preflight_disk preflight_disk_of(const struct experiment *x);

#endif
