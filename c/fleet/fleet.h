/* fleet.h -- a swarm on one machine as `shoal swarm` ran it: its workers, what befell them, what
 * came of it. */
#ifndef SHOAL_FLEET_FLEET_H
#define SHOAL_FLEET_FLEET_H

#include <sys/types.h>

#include "fleet/watch.h"
#include "config/experiment.h"

#define FLEET_MAX 20 /* one averaging group: what this version of the protocol forms */

struct fleet_worker {
    char dir[EXPERIMENT_PATH_BYTES];
    char address[64]; /* host:port */
    char id[65];
    pid_t pid;           /* 0: not running */
    double began, ended; /* unix seconds; ended 0 while it runs */
    bool crashed;        /* ended by a signal, or with a code of failure */
    bool killed;         /* by us, on purpose */
    bool joined_late;
    struct watch watch;
};

struct fleet {
    const struct experiment *experiment;
    char dir[EXPERIMENT_PATH_BYTES];
    struct fleet_worker workers[FLEET_MAX + 1]; /* one more for a joiner */
    size_t count;
    bool stopped; /* by a signal before the end */
    bool unsaved; /* a worker could not write its last checkpoint */
};

/* What summary.json says (README, "What the quickstart shows"). */
struct fleet_summary {
    uint64_t workers, epochs, inner_steps, tokens, joins, crashes;
    uint64_t join_epoch, join_bytes,
        join_servers;          /* of the state transfer to the latest joiner; bytes of all */
    double network_lag_p99_ms; /* the worst worker's event loop */
    double tokens_per_second, train_loss_first, train_loss_last;
    double validation_loss_first, validation_loss, unigram_entropy; /* nats per token */
    double bytes_sent, bytes_data_parallel, sync_share;
    double planned_share; /* of the tokens that the epochs called for, done and kept */
    bool digests_equal;
    char digest[65];
    char sample[2048];
};

/* Adds up the workers' logs; digests come from the checkpoints on disk. */
enum err fleet_sum(const struct fleet *f, struct fleet_summary *out, struct why *w);

/* Adds what the logs say of the plan, and writes DIR/summary.json and DIR/report.html. */
enum err fleet_report(const struct fleet *f, struct fleet_summary *s, struct why *w);

#endif
