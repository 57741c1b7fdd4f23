/* events.h -- the events of the log that `shoal run` and `shoal train` both write (docs/events.md
 * has all of them). */
#ifndef SHOAL_NODE_EVENTS_H
#define SHOAL_NODE_EVENTS_H

#include "base/event_log.h"
#include "config/experiment.h"
#include "model/trainer.h"
#include "node/setup.h"

/* The log may be NULL in all of these: then nothing is written. `ms` is how long it took; losses
 * are nats per token. */

#define EVENTS_ALONE UINT64_MAX /* instead of an epoch: nobody averages, there are none */

/* Begins the event "start", the first of each process, with what both know; event_log_end is the
 * caller's, after what it knows alone. `command`: "run" or "train". */
void events_start(struct event_log *j, const char *command, const struct experiment *x,
                  const struct setup *t, uint64_t parameters);

struct events_step {
    uint64_t epoch; /* outer steps done, or EVENTS_ALONE */
    double step;    /* global, as the schedule counts */
    const struct trainer_report *report;
    double tokens_per_s, ms; /* of this step */
};

void events_step(struct event_log *j, const struct events_step *s);

/* The event "step_failed": loss, gradient or parameters are not finite. */
void events_step_failed(struct event_log *j, const struct events_step *s, const char *why);

/* `tokens`: how many the loss is the mean of. */
void events_evaluate(struct event_log *j, uint64_t epoch, uint64_t step, double loss,
                     uint64_t tokens, double ms);

/* `failed`: why it could not be written, or NULL. */
void events_checkpoint(struct event_log *j, uint64_t epoch, uint64_t step, double ms,
                       const char *failed);

/* The event "end", the last of a process that ends in order. */
void events_end(struct event_log *j, uint64_t epoch, double step, const char *why);

#endif
