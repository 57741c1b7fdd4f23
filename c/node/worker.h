/* worker.h -- one member of a swarm: trains, talks to peers, averages.
 *
 *     trainer's thread (the caller's)   inner steps, snapshot, outer step, checkpoints, evaluation
 *     network's thread                  the QUIC endpoint and the swarm's state machine (driver.h)
 *
 * Everything that happens is in the event log (metrics.log), which docs/events.md describes. */
#ifndef SHOAL_NODE_WORKER_H
#define SHOAL_NODE_WORKER_H

#include "config/experiment.h"

struct worker_options {
    /* identity, checkpoints and log are here instead of the experiment's paths; or NULL */
    const char *dir;
    const char *listen;       /* instead of the experiment's; or NULL */
    const char *const *peers; /* more entries of a peer list: files or ID@host:port */
    size_t peers_count;
    const char *device; /* instead of machine.device; or NULL */
    bool fresh;         /* move existing checkpoints aside and start over */
    const char *from;   /* start with the parameters of this checkpoint (start.h); or NULL */
    bool quiet;         /* show nothing between the first line and the last (live.h) */
    bool json;          /* print log events as they occur (object_stdout) */
};

/* How the worker ended. */
struct worker_end {
    bool stopped; /* a signal asked it to leave before the end of the run */
    bool unsaved; /* the last checkpoint could not be written: later progress is lost */
};

/* Runs a worker to the end of the run, or until a signal (stop.h) asks it to leave. `end` is filled
 * in after an error too. */
enum err worker_run(struct experiment *x, const struct worker_options *o, struct worker_end *end,
                    struct why *w);

#endif
