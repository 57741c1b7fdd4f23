/* worker.h -- one member of a swarm: trains, talks to peers, averages.
 *
 *     trainer's thread (the caller's)   inner steps, snapshot, outer step, checkpoints, evaluation
 *     network's thread                  the QUIC endpoint and the swarm's state machine (driver.h)
 *
 * The event log (metrics.log) has a line for everything that happens, each with `t` (unix seconds) and `event`:
 *
 *     start      id, address, parameters, batch_tokens, threads, epoch, lineage
 *     step       epoch, step (global, as the schedule counts), loss, lr, gradient_norm, tokens_per_s, ms
 *     outer      epoch, step, digest (SHA-256 of anchor and momentum), lineage, paused_ms (training stood still)
 *     dropped    steps, why: steps whose result was not kept
 *     evaluate   epoch, step, loss, tokens, ms
 *     checkpoint epoch, step, ms
 *     net        each second: sent, received (bytes of UDP payload), peers (with a link), lag_p50_ms, lag_p99_ms, lag_max_ms
 *     dial_failed, link_down   id, address, code (net/link.h), why, by_peer: a peer that could not be reached, or was lost
 *     resolved   id, name, address: what a name of the peer list stands for now
 *     unresolved id, name, failures (in a row), why
 *     end        epoch, why
 *
 * and the swarm's notes under their own names (SPEC.md, "Notes"): ready, committed, applied, solo, joined, suspect... */
#ifndef SHOAL_BIN_WORKER_H
#define SHOAL_BIN_WORKER_H

#include "config/experiment.h"

struct worker_options {
    const char
        *dir; /* holds identity, checkpoints and log instead of the experiment's paths; or NULL */
    const char *listen;       /* instead of the experiment's; or NULL */
    const char *const *peers; /* more entries of a peer list: files or ID@host:port */
    size_t peers_count;
    const char *device; /* instead of machine.device; or NULL */
    bool fresh;         /* do not go on from a checkpoint */
};

/* How it ended. */
struct worker_end {
    bool stopped; /* a signal asked it to leave before the end of the run */
    bool
        unsaved; /* the last checkpoint could not be written: what was learned since the one before is lost */
};

/* Runs a worker to the end of the run, or until a signal (stop.h) asks it to leave. `end` is filled in after an error
 * too. */
enum err worker_run(struct experiment *x, const struct worker_options *o, struct worker_end *end,
                    struct why *w);

#endif
