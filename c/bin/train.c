/* train.c -- `shoal train`: a single worker, the baseline: inner steps to the end, no peers, no
 * outer step.
 *
 * Everything it depends on is in the checkpoint, so a run that is stopped at any step and resumed
 * ends in the same bits as one that never stopped, on the same machine. It reads the text of a node
 * with an ID of zeros. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/event_log.h"
#include "base/object.h"
#include "base/stop.h"
#include "base/terminal.h"
#include "bin/command.h"
#include "config/settings.h"
#include "node/events.h"
#include "node/session.h"

struct wishes {
    const char *experiment, *device, *dir, *from;
    struct option_texts sets;
    uint64_t steps; /* 0: all */
    bool fresh, json;
};

struct alone {
    struct experiment x;
    struct session session;
    uint64_t step; /* global number of steps done */
    struct terminal terminal;
    instant shown; /* when progress was last shown */
};

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    const struct option_row rows[] = {
        COMMAND_EXPERIMENT(&o->experiment),
        {"steps", .whole = &o->steps, .least = 1, .most = COMMAND_STEPS_MAX, .value = "N",
         .help = "stop after global step N (and save)", .otherwise = "train.steps"},
        COMMAND_DEVICE(&o->device),
        COMMAND_SET(&o->sets),
        {"dir", .text = &o->dir, .value = "DIR",
         .help = "keep checkpoints and log under DIR, instead of where the experiment says"},
        {"from", .text = &o->from, .value = "CHECKPOINT",
         .help = "start a new run with its parameters, a swarm's or not: the way to change the "
                 "learning rate, or to train on"},
        COMMAND_FRESH(&o->fresh),
        COMMAND_JSON(&o->json),
        {0}};
    struct options table = {
        .command = "shoal train",
        .about = "Trains one worker alone, to compare a swarm with. Goes on from its newest "
                 "checkpoint. The first Ctrl-C saves and ends after the present step, a second one "
                 "ends at once.",
        .rows = rows};
    return command_options("train", &table, argc, argv, code);
}

static enum err resume(struct alone *a, struct why *w)
{
    bool found;
    struct checkpoint c = session_describe(&a->session, a->step);
    enum err e = session_resume(&a->session, &c, &found, w);
    if (found) a->step = c.step;
    return e;
}

static enum err save(struct alone *a, struct why *w)
{
    const struct checkpoint c = session_describe(&a->session, a->step);
    return session_save(&a->session, &c, w);
}

static enum err save_last(struct alone *a, struct why *w)
{
    const struct checkpoint c = session_describe(&a->session, a->step);
    return session_save_last(&a->session, &c, w);
}

static enum err open_all(struct alone *a, const struct wishes *o, struct why *w)
{
    static const uint8_t nobody[CRYPTO_KEY_BYTES];
    const struct settings from = {.path = o->experiment,
                                  .sets = o->sets.items,
                                  .sets_count = o->sets.count,
                                  .device = o->device};
    struct session *s = &a->session;
    enum err e = settings_read("train", &from, &a->x, w);
    if (!e) e = session_claim(s, w);
    const int echo = o->json ? object_stdout() : -1;
    if (!e) e = event_log_open(&s->log, a->x.metrics.log, echo, w);
    if (!e) e = session_open(s, nobody, 0, TRAINER_VECTORS, w);
    return e ? e : resume(a, w);
}

static enum err evaluate(struct alone *a, struct why *w)
{
    double loss;
    uint64_t tokens;
    enum err e = session_evaluate(&a->session, EVENTS_ALONE, a->step, &loss, &tokens, w);
    if (e) return e;
    terminal_clear(&a->terminal);
    printf("step %llu: validation loss %.4f on %llu tokens\n", (unsigned long long)a->step, loss,
           (unsigned long long)tokens);
    fflush(stdout);
    return ERR_OK;
}

/* Shows progress: on a terminal redrawn in place at most ten times a second, elsewhere a line every
 * ten seconds. */
static void show(struct alone *a, uint64_t last, const struct trainer_report *r, double seconds)
{
    char fields[4][64], left[32];
    const char *list[4] = {fields[0], fields[1], fields[2], fields[3]};
    struct terminal_picture p = {.count = 0};
    size_t columns, rows;
    const instant now = clock_now();
    const span gap = a->terminal.live ? span_ms(100) : span_s(10);
    if (instant_since(now, a->shown).ns < gap.ns) return;
    a->shown = now;
    snprintf(fields[0], 64, "step %llu of %llu", (unsigned long long)a->step,
             (unsigned long long)last);
    snprintf(fields[1], 64, "loss %.4f", r->loss);
    snprintf(fields[2], 64, "%.0f tokens/s", seconds > 0 ? (double)r->tokens / seconds : 0);
    snprintf(fields[3], 64, "%s left", amount_time((double)(last - a->step) * seconds, left));
    terminal_size(&a->terminal, &columns, &rows);
    terminal_flow(&p, list, 4, a->terminal.live ? columns - 1 : TERMINAL_LINE_BYTES);
    if (a->terminal.live) terminal_draw(&a->terminal, &p);
    else terminal_say(&a->terminal, p.lines[0]);
}

/* The error for a step that was not finite, with the checkpoint to resume from. */
static enum err not_finite(struct alone *a, struct why *w)
{
    char path[CHECKPOINTS_PATH_BYTES], reason[200];
    bool found = false;
    snprintf(reason, sizeof reason, "%s", w->text);
    event_log_begin(a->session.log, "not_finite");
    event_log_u64(a->session.log, "step", a->step + 1);
    event_log_text(a->session.log, "why", reason);
    event_log_end(a->session.log);
    const struct checkpoints_want want = {.ids = &a->session.setup.ids,
                                          .shared = &a->session.setup.shared};
    if (checkpoints_newest(a->x.checkpoint.dir, &want, &found, path, NULL)) found = false;
    return why(w, ERR_NUMBER,
               "step %llu: %s: lower train.optimizer.lr (%g) or raise train.schedule.warmup "
               "(%llu); %s%s",
               (unsigned long long)a->step + 1, reason, a->x.train.optimizer.lr,
               (unsigned long long)a->x.train.schedule.warmup,
               found ? "the newest checkpoint before it is " : "there is no checkpoint before it",
               found ? path : "");
}

static enum err train(struct alone *a, uint64_t last, struct why *w)
{
    enum err e = a->step == 0 ? evaluate(a, w) : ERR_OK;
    while (!e && a->step < last && !stop_wishes()) {
        struct trainer_report r;
        struct events_step step = {
            .epoch = EVENTS_ALONE, .step = (double)(a->step + 1), .report = &r};
        instant began = clock_now();
        e = trainer_step(a->session.trainer, (double)a->step, &r, w);
        if (e == ERR_NUMBER) events_step_failed(a->session.log, &step, w->text);
        if (e) break;
        double seconds = span_in_s(instant_since(clock_now(), began));
        a->step++;
        step.ms = seconds * 1e3;
        step.tokens_per_s = (double)r.tokens / fmax(seconds, 1e-6);
        events_step(a->session.log, &step);
        show(a, last, &r, seconds);
        if (a->step % a->x.evaluate.every == 0 || a->step == a->x.train.steps) e = evaluate(a, w);
        if (!e && a->step % a->x.checkpoint.every == 0) e = save(a, w);
    }
    terminal_clear(&a->terminal);
    if (e == ERR_NUMBER) return not_finite(a, w);
    return e ? e : save_last(a, w);
}

/* Trains to step `last`, and logs the first and last event. */
static enum err train_to(struct alone *a, uint64_t last, struct why *w)
{
    struct event_log *j = a->session.log;
    if (a->step >= last) printf("there is nothing to train, and nothing was written: ");
    events_start(j, "train", &a->x, &a->session.setup,
                 trainer_layout(a->session.trainer)->parameters);
    event_log_end(j);
    enum err e = train(a, last, w);
    events_end(j, EVENTS_ALONE, (double)a->step,
               e                            ? w->text
               : stop_wishes()              ? "it was asked to end"
               : a->step < a->x.train.steps ? "it did the steps asked for"
                                            : "the run is complete");
    if (!e)
        printf("%llu of %llu steps done\n", (unsigned long long)a->step,
               (unsigned long long)a->x.train.steps);
    return e;
}

int train_main(int argc, char **argv)
{
    struct why w = {0};
    struct wishes o = {0};
    bool stopped = false, unsaved = false;
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    struct alone *a = calloc(1, sizeof *a);
    enum err e = a ? ERR_OK : why(&w, ERR_MEMORY, "no memory to train");
    if (!e) {
        stop_watch("\nshoal: saving after this step; once more to end at once\n",
                   "\nshoal: ended at once; what was trained since the last checkpoint is lost\n");
        const struct session_config c = {
            .command = "train", .dir = o.dir, .from = o.from, .fresh = o.fresh};
        session_init(&a->session, &a->x, &c);
        terminal_init(&a->terminal, STDOUT_FILENO);
        a->shown = clock_now();
        e = open_all(a, &o, &w);
        const uint64_t last = o.steps && o.steps < a->x.train.steps ? o.steps : a->x.train.steps;
        if (!e) e = train_to(a, last, &w);
        stopped = stop_wishes() && a->step < last;
        unsaved = a->session.unsaved;
        session_close(&a->session);
    }
    free(a);
    if (e) code = command_failed("train", &w);
    else if (stopped) code = CODE_STOPPED;
    return unsaved ? CODE_UNSAVED : code;
}
