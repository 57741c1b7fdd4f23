/* events.h -- the log events that `shoal run` and `shoal train` have in common (docs/events.md has
 * all of them). */
#ifndef SHOAL_NODE_EVENTS_H
#define SHOAL_NODE_EVENTS_H

#include "base/event_log.h"
#include "config/experiment.h"
#include "model/trainer.h"
#include "node/setup.h"

/* The log may be NULL everywhere: then nothing is written. `ms`: duration; losses are nats per
 * token. */

#define EVENTS_ALONE UINT64_MAX /* instead of an epoch: without a swarm there are none */

/* Begins the event "start", the first of each process, with the fields common to both commands; the
 * caller adds its own and calls event_log_end. `command`: "run" or "train". */
void events_start(struct event_log *j, const char *command, const struct experiment *x,
                  const struct setup *t, uint64_t parameters);

struct events_step {
    uint64_t epoch; /* outer steps done, or EVENTS_ALONE */
    double step;    /* global, as counted by the learning rate schedule */
    const struct trainer_report *report;
    double tokens_per_s, ms; /* of this step */
};

void events_step(struct event_log *j, const struct events_step *s);

/* The event "step_failed": loss, gradient or parameters are not finite. */
void events_step_failed(struct event_log *j, const struct events_step *s, const char *why);

/* `tokens`: number that the loss is averaged over. */
void events_evaluate(struct event_log *j, uint64_t epoch, uint64_t step, double loss,
                     uint64_t tokens, double ms);

/* `failed`: why it could not be written, or NULL. */
void events_checkpoint(struct event_log *j, uint64_t epoch, uint64_t step, double ms,
                       const char *failed);

/* The event "end", the last of a process that ends normally. */
void events_end(struct event_log *j, uint64_t epoch, double step, const char *why);

#endif
