/* trial.h -- one world in a process of its own, so that a crash or an endless loop ends only that
 * one. */
#ifndef SHOAL_SIM_TRIAL_H
#define SHOAL_SIM_TRIAL_H

#include <stdio.h>
#include <sys/types.h>

#include "sim.h"

#define TRIAL_LIMIT_S 300 /* processor time: catches endless loops */

struct trial {
    pid_t child; /* 0: none runs */
    int pipe;
    FILE *stories; /* what the child writes to stderr, when it is not to be seen; otherwise NULL */
    uint64_t seed;
};

enum trial_end {
    TRIAL_WHOLE,
    TRIAL_DIED,    /* the report says so in `violation`, and has nothing else */
    TRIAL_NO_PAGE, /* the report is whole; the page of --html could not be written */
};

/* Starts it. `mute`: its stderr is not shown. Ends the program if there can be no process. */
void trial_start(struct trial *t, const struct sim_options *o, bool mute, uint32_t limit_s);

/* Waits for its end. */
enum trial_end trial_end(struct trial *t, struct sim_report *out);

#endif
