#include "node/events.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/object.h"
#include "base/version.h"

/* The experiment with all defaults filled in. */
static void put_settings(struct journal *j, const struct experiment *x)
{
    char *text = NULL;
    size_t count;
    FILE *to = open_memstream(&text, &count);
    if (!to) return;
    experiment_print_json(x, to);
    fclose(to);
    journal_json(j, "settings", text);
    free(text);
}

void events_start(struct journal *j, const char *command, const struct experiment *x,
                  const struct setup *t, uint64_t parameters)
{
    journal_begin(j, "start");
    journal_u64(j, "schema", OBJECT_SCHEMA);
    journal_text(j, "version", SHOAL_VERSION);
    journal_text(j, "command", command);
    journal_text(j, "experiment", x->name);
    journal_hex(j, "run", t->run_id, sizeof t->run_id);
    journal_u64(j, "parameters", parameters);
    journal_u64(j, "batch_tokens", x->train.batch_tokens);
    journal_u64(j, "steps", x->train.steps);
    journal_u64(j, "every", x->outer.every);
    journal_u64(j, "threads", pool_threads(t->pool));
    journal_u64(j, "gpus", devices_gpus(&t->devices));
    journal_text(j, "device", device_describe(&t->devices.lanes[0]));
    const char *choice = device_choice(&t->devices.lanes[0]);
    if (choice) journal_text(j, "choice", choice);
    put_settings(j, x);
}

static void begin_step(struct journal *j, const char *event, const struct events_step *s)
{
    journal_begin(j, event);
    if (s->epoch != EVENTS_ALONE) journal_u64(j, "epoch", s->epoch);
    journal_f64(j, "step", s->step);
    journal_f64(j, "loss", s->report->loss);
    journal_f64(j, "lr", s->report->lr);
    journal_f64(j, "gradient_norm", s->report->gradient_norm);
}

void events_step(struct journal *j, const struct events_step *s)
{
    begin_step(j, "step", s);
    journal_u64(j, "tokens", s->report->tokens);
    journal_f64(j, "tokens_per_s", s->tokens_per_s);
    journal_f64(j, "ms", s->ms);
    journal_end(j);
}

void events_step_failed(struct journal *j, const struct events_step *s, const char *why)
{
    begin_step(j, "step_failed", s);
    journal_text(j, "why", why);
    journal_end(j);
}

void events_evaluate(struct journal *j, uint64_t epoch, uint64_t step, double loss, uint64_t tokens,
                     double ms)
{
    journal_begin(j, "evaluate");
    if (epoch != EVENTS_ALONE) journal_u64(j, "epoch", epoch);
    journal_u64(j, "step", step);
    journal_f64(j, "loss", loss);
    journal_u64(j, "tokens", tokens);
    journal_f64(j, "ms", ms);
    journal_end(j);
}

void events_checkpoint(struct journal *j, uint64_t epoch, uint64_t step, double ms,
                       const char *failed)
{
    journal_begin(j, "checkpoint");
    if (epoch != EVENTS_ALONE) journal_u64(j, "epoch", epoch);
    journal_u64(j, "step", step);
    journal_f64(j, "ms", ms);
    journal_bool(j, "written", !failed);
    if (failed) journal_text(j, "why", failed);
    journal_end(j);
}

void events_end(struct journal *j, uint64_t epoch, double step, const char *why)
{
    journal_begin(j, "end");
    if (epoch != EVENTS_ALONE) journal_u64(j, "epoch", epoch);
    journal_f64(j, "step", step);
    journal_text(j, "why", why);
    journal_end(j);
}
