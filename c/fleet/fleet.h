/* fleet.h -- a swarm on one machine: its worker processes and their states.
 *
 *     fleet_settle --> fleet_write_peers --> fleet_start --> fleet_reap ... until none runs
 *
 * Each worker is a process of its own, `shoal run` with a folder and a peer list, and survives this
 * process; its state is known only from its log (watch.h). */
#ifndef SHOAL_FLEET_FLEET_H
#define SHOAL_FLEET_FLEET_H

#include <sys/types.h>

#include "config/experiment.h"
#include "fleet/watch.h"

#define FLEET_PATH_BYTES (EXPERIMENT_PATH_BYTES + 32) /* of a path in a worker's folder */

#define FLEET_MAX 20 /* one averaging group, the most that this version of the protocol supports */

struct fleet_worker {
    char dir[EXPERIMENT_PATH_BYTES];
    char address[64]; /* host:port */
    char id[65];
    pid_t pid;           /* 0: not running */
    double began, ended; /* unix seconds; ended 0 while it runs */
    bool crashed;        /* ended by a signal, or with a failure code */
    bool killed;         /* deliberately, by us */
    bool joined_late;
    struct watch watch;
};

struct fleet {
    const struct experiment *experiment;
    char dir[EXPERIMENT_PATH_BYTES];
    struct fleet_worker workers[FLEET_MAX + 1]; /* one more for a late joiner */
    size_t count;
    bool stopped; /* by a signal, before the end */
    bool unsaved; /* a worker could not write its last checkpoint */
};

/* Gives one more worker a folder, an identity and an address. `repeatable`: derives a new identity
 * from the experiment's seed. ERR_USAGE when the folder's name is too long, ERR_IO, ERR_NETWORK
 * without a free port, errors of identity_open. */
enum err fleet_settle(struct fleet *f, bool repeatable, struct why *w);

/* Writes DIR/peers.txt, from which all workers learn of one another: the workers settled so far.
 * ERR_IO. */
enum err fleet_write_peers(const struct fleet *f, struct why *w);

/* Writes DIR/experiment.yaml, which all workers read, including a late joiner: editing the original
 * meanwhile must not change the joiner's run. Returns its path in `copy`. ERR_MEMORY, ERR_IO. */
enum err fleet_keep_experiment(const struct fleet *f, char copy[FLEET_PATH_BYTES], struct why *w);

/* How a worker is started. */
struct fleet_start {
    const char *experiment; /* its file */
    const char *from;       /* --from, or NULL */
    const char *device;     /* --device, or NULL: the experiment's */
};

/* Starts worker `i`, which is settled, as a process of its own; its output goes to
 * DIR/worker-<i>/output.txt. ERR_IO. */
enum err fleet_start(struct fleet *f, size_t i, const struct fleet_start *how, struct why *w);

enum fleet_end { FLEET_RUNS, FLEET_ENDED, FLEET_UNSAVED, FLEET_CRASHED };

/* Has worker `i` ended since the last call? FLEET_RUNS: no, or already returned. FLEET_UNSAVED: it
 * ended normally, but could not write its last checkpoint. */
enum fleet_end fleet_reap(struct fleet *f, size_t i);

size_t fleet_running(const struct fleet *f);
void fleet_signal(const struct fleet *f, int signal); /* to all running workers */
uint64_t fleet_epoch(const struct fleet *f);          /* the latest in any worker's log */

#endif
