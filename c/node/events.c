#include "node/events.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/object.h"
#include "base/version.h"

/* The experiment with all defaults filled in. */
static void put_settings(struct event_log *j, const struct experiment *x)
{
    char *text = NULL;
    size_t count;
    FILE *to = open_memstream(&text, &count);
    if (!to) return;
    experiment_print_json(x, to);
    fclose(to);
    event_log_json(j, "settings", text);
    free(text);
}

void events_start(struct event_log *j, const char *command, const struct experiment *x,
                  const struct setup *t, uint64_t parameters)
{
    event_log_begin(j, "start");
    event_log_u64(j, "schema", OBJECT_SCHEMA);
    event_log_text(j, "version", SHOAL_VERSION);
    event_log_text(j, "command", command);
    event_log_text(j, "experiment", x->name);
    event_log_hex(j, "run", t->run_id, sizeof t->run_id);
    event_log_u64(j, "parameters", parameters);
    event_log_u64(j, "batch_tokens", x->train.batch_tokens);
    event_log_u64(j, "steps", x->train.steps);
    event_log_u64(j, "every", x->outer.every);
    event_log_u64(j, "threads", pool_threads(t->pool));
    event_log_u64(j, "gpus", devices_gpus(&t->devices));
    event_log_text(j, "device", device_describe(&t->devices.ranks[0]));
    const char *choice = device_choice(&t->devices.ranks[0]);
    if (choice) event_log_text(j, "choice", choice);
    put_settings(j, x);
}

static void begin_step(struct event_log *j, const char *event, const struct events_step *s)
{
    event_log_begin(j, event);
    if (s->epoch != EVENTS_ALONE) event_log_u64(j, "epoch", s->epoch);
    event_log_f64(j, "step", s->step);
    event_log_f64(j, "loss", s->report->loss);
    event_log_f64(j, "lr", s->report->lr);
    event_log_f64(j, "gradient_norm", s->report->gradient_norm);
}

void events_step(struct event_log *j, const struct events_step *s)
{
    begin_step(j, "step", s);
    event_log_u64(j, "tokens", s->report->tokens);
    event_log_f64(j, "tokens_per_s", s->tokens_per_s);
    event_log_f64(j, "ms", s->ms);
    event_log_end(j);
}

void events_step_failed(struct event_log *j, const struct events_step *s, const char *why)
{
    begin_step(j, "step_failed", s);
    event_log_text(j, "why", why);
    event_log_end(j);
}

void events_evaluate(struct event_log *j, uint64_t epoch, uint64_t step, double loss,
                     uint64_t tokens, double ms)
{
    event_log_begin(j, "evaluate");
    if (epoch != EVENTS_ALONE) event_log_u64(j, "epoch", epoch);
    event_log_u64(j, "step", step);
    event_log_f64(j, "loss", loss);
    event_log_u64(j, "tokens", tokens);
    event_log_f64(j, "ms", ms);
    event_log_end(j);
}

void events_checkpoint(struct event_log *j, uint64_t epoch, uint64_t step, double ms,
                       const char *failed)
{
    event_log_begin(j, "checkpoint");
    if (epoch != EVENTS_ALONE) event_log_u64(j, "epoch", epoch);
    event_log_u64(j, "step", step);
    event_log_f64(j, "ms", ms);
    event_log_bool(j, "written", !failed);
    if (failed) event_log_text(j, "why", failed);
    event_log_end(j);
}

void events_end(struct event_log *j, uint64_t epoch, double step, const char *why)
{
    event_log_begin(j, "end");
    if (epoch != EVENTS_ALONE) event_log_u64(j, "epoch", epoch);
    event_log_f64(j, "step", step);
    event_log_text(j, "why", why);
    event_log_end(j);
}
