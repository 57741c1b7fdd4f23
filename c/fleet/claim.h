/* claim.h -- the folder of `shoal swarm`, claimed before anything in it is changed.
 *
 *     DIR/lock                                  held as long as a swarm watches it
 *     DIR/experiment.yaml, peers.txt            what the workers read
 *     DIR/worker-<i>/node.key, checkpoints, log.jsonl, output.txt
 *     DIR/summary.json, report.html             results
 *     DIR/before-<N>/                           moved there by --fresh: all except the keys */
#ifndef SHOAL_FLEET_CLAIM_H
#define SHOAL_FLEET_CLAIM_H

#include "config/experiment.h"

/* Claims the existing folder for a swarm of this experiment; the lock ends with the process.
 * ERR_STOPPED when a swarm or a worker of one still runs in it, ERR_USAGE when it holds another
 * experiment's run and `fresh` is false; nothing is changed then. With `fresh` its contents are
 * moved to before-<N>. ERR_IO, ERR_MEMORY. */
enum err claim_folder(const char *dir, const struct experiment *x, bool fresh, struct why *w);

#endif
