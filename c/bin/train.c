/* train.c -- `shoal train`: one worker alone, the baseline: inner steps to the end, no peers, no
 * outer step.
 *
 * All it depends on lies in the checkpoint, so a run that is stopped at any step and goes on ends
 * in the same bits as one that never stopped, on the same machine. It reads what a node with an ID
 * of zeros would read. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/journal.h"
#include "base/machine.h"
#include "base/object.h"
#include "base/stop.h"
#include "base/terminal.h"
#include "bin/command.h"
#include "node/events.h"
#include "config/settings.h"
#include "node/start.h"
#include "node/tools.h"
#include "model/budget.h"
#include "model/checkpoints.h"
#include "model/trainer.h"
#include "net/crypto.h"

struct wishes {
    const char *experiment, *device, *dir, *from;
    struct option_texts sets;
    uint64_t steps; /* 0: all */
    bool fresh, json;
};

struct alone {
    struct experiment x;
    struct tools tools;
    struct trainer *trainer;
    struct trainer_state *state;
    struct journal *journal;
    struct start start;
    uint64_t step; /* global: how many are done */
    uint64_t
        saved; /* the step of the newest checkpoint, or of the seed's parameters, which need none */
    bool unsaved; /* the latest checkpoint could not be written */
    struct terminal terminal;
    instant shown; /* where it stands */
    int lock;
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

static struct checkpoint describe(struct alone *a)
{
    struct checkpoint c = {
        .shape = a->x.model,
        .parameters = trainer_layout(a->trainer)->parameters,
        .step = a->step,
        .adam_steps = a->state->steps,
        .position = a->state->position,
        .tokens = a->state->tokens,
        .micro_batch = trainer_micro_batch(a->trainer),
    };
    for (int v = 0; v < TRAINER_VECTORS; v++) c.sections[v] = trainer_host(a->trainer, v);
    tools_describe(&a->tools, &a->x, &c);
    return c;
}

static enum err save(struct alone *a, struct why *w)
{
    struct checkpoint c = describe(a);
    struct why failed = {0};
    instant began = clock_now();
    enum err e = trainer_pull(a->trainer, w);
    if (e) return e;
    e = checkpoints_save(a->x.checkpoint.dir, &c, a->x.checkpoint.keep, &failed);
    double ms = span_in_s(instant_since(clock_now(), began)) * 1e3;
    events_checkpoint(a->journal, EVENTS_ALONE, a->step, ms, e ? failed.text : NULL);
    a->unsaved = e;
    if (!e) a->saved = a->step;
    if (e) fprintf(stderr, "shoal train: %s\n", failed.text);
    return e && a->x.checkpoint.required ? why(w, e, "%s", failed.text) : ERR_OK;
}

static enum err restore(struct alone *a, struct why *w)
{
    bool found;
    char path[CHECKPOINTS_PATH_BYTES];
    const struct checkpoints_want want = {.ids = &a->tools.ids, .shared = &a->tools.shared};
    enum err e = checkpoints_newest(a->x.checkpoint.dir, &want, &found, path, w);
    if (e || !found) return e;
    struct checkpoint c = describe(a);
    e = checkpoint_read(path, c.parameters, &c, w);
    if (e) return e;
    trainer_push(a->trainer);
    a->step = a->saved = c.step;
    a->state->steps = c.adam_steps;
    a->state->position = c.position;
    a->state->tokens = c.tokens;
    printf("goes on from %s\n", path);
    return ERR_OK;
}

/* A folder with checkpoints of a swarm is not for a worker alone, which would write into it what
 * holds no anchor. */
static enum err check_folder(const struct alone *a, struct why *w)
{
    struct checkpoint c;
    const char *dir = a->x.checkpoint.dir;
    if (!file_exists(dir) || !checkpoints_peek(dir, true, &c)) return ERR_OK;
    return why(w, ERR_USAGE,
               "%s holds checkpoints of a swarm, up to epoch %llu: nothing was done; name another "
               "folder with --dir, and --from %s to begin with what the swarm learned",
               dir, (unsigned long long)c.epoch, dir);
}

/* Where things lie: under --dir when that is given, else where the experiment says. Locked. */
static enum err open_folder(struct alone *a, const char *dir, struct why *w)
{
    char lock[EXPERIMENT_PATH_BYTES + 8];
    struct experiment *x = &a->x;
    if (dir) {
        if (strlen(dir) > EXPERIMENT_PATH_BYTES - 32)
            return why(w, ERR_USAGE, "--dir %.64s... is too long", dir);
        snprintf(x->checkpoint.dir, sizeof x->checkpoint.dir, "%s/checkpoints", dir);
        if (x->metrics.log[0]) /* empty: none is wanted */
            snprintf(x->metrics.log, sizeof x->metrics.log, "%s/log.jsonl", dir);
    }
    enum err e = check_folder(a, w);
    if (!e) e = file_make_dirs(x->checkpoint.dir, w);
    snprintf(lock, sizeof lock, "%s/lock", x->checkpoint.dir);
    if (!e) e = file_lock(lock, &a->lock, w);
    if (e) return e;
    size_t left = checkpoints_tidy(x->checkpoint.dir);
    if (left) printf("removed %zu unfinished checkpoints of killed saves\n", left);
    return check_folder(a, w); /* under the lock */
}

/* --fresh: what is there is kept, out of the way. */
static enum err set_aside(const struct alone *a, struct why *w)
{
    size_t count;
    char aside[CHECKPOINTS_PATH_BYTES];
    enum err e = checkpoints_set_aside(a->x.checkpoint.dir, &count, aside, w);
    if (!e && count) printf("--fresh: %zu checkpoints are in %s now\n", count, aside);
    return e;
}

static enum err open_all(struct alone *a, const struct wishes *o, struct why *w)
{
    static const uint8_t nobody[CRYPTO_KEY_BYTES];
    struct crypto hash = crypto_of(NULL);
    struct settings s = {.path = o->experiment,
                         .sets = o->sets.items,
                         .sets_count = o->sets.count,
                         .device = o->device};
    enum err e = settings_read("train", &s, &a->x, w);
    if (!e) e = open_folder(a, o->dir, w);
    const int echo = o->json ? object_stdout() : -1;
    if (!e) e = journal_open(&a->journal, a->x.metrics.log, echo, w);
    const char *own = o->fresh ? NULL : a->x.checkpoint.dir;
    if (!e) e = start_open(&a->start, o->from, own, false, &hash, w);
    if (!e) e = tools_open(&a->tools, "train", &a->x, own, false, &hash, w);
    if (!e) e = start_check(&a->start, &a->x, &a->tools, w);
    if (!e && a->start.given) tools_name_run(&a->tools, &a->x, a->start.digest, &hash);
    if (!e)
        e = budget_check_host(&a->x, a->tools.devices.lanes, a->tools.devices.count, 0,
                              machine_memory_available(), w);
    if (!e) tools_warn_disk(&a->x, TRAINER_VECTORS);
    if (!e)
        e = trainer_open(&a->x, a->tools.devices.lanes, a->tools.devices.count, a->tools.corpus,
                         nobody, &a->trainer, w);
    if (e) return e;
    a->state = trainer_state(a->trainer);
    e = start_apply(&a->start, a->trainer, nobody, w);
    start_close(&a->start);
    if (e) return e;
    return o->fresh ? set_aside(a, w) : restore(a, w);
}

static void close_all(struct alone *a)
{
    if (a->trainer) trainer_close(a->trainer);
    tools_close(&a->tools);
    journal_close(a->journal);
    start_close(&a->start);
    if (a->lock >= 0) file_unlock(a->lock);
}

static enum err evaluate(struct alone *a, struct why *w)
{
    double loss;
    uint64_t tokens;
    instant began = clock_now();
    enum err e = trainer_evaluate(a->trainer, a->x.evaluate.tokens, &loss, &tokens, w);
    if (e) return e;
    double ms = span_in_s(instant_since(clock_now(), began)) * 1e3;
    events_evaluate(a->journal, EVENTS_ALONE, a->step, loss, tokens, ms);
    terminal_clear(&a->terminal);
    printf("step %llu: validation loss %.4f on %llu tokens\n", (unsigned long long)a->step, loss,
           (unsigned long long)tokens);
    fflush(stdout);
    return ERR_OK;
}

/* On a terminal where it stands, drawn in place at most ten times a second, elsewhere a line every
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

/* The sentence of a step that gave no number, and where the run can be taken up before it. */
static enum err not_finite(struct alone *a, struct why *w)
{
    char path[CHECKPOINTS_PATH_BYTES], reason[200];
    bool found = false;
    snprintf(reason, sizeof reason, "%s", w->text);
    journal_begin(a->journal, "not_finite");
    journal_u64(a->journal, "step", a->step + 1);
    journal_text(a->journal, "why", reason);
    journal_end(a->journal);
    const struct checkpoints_want want = {.ids = &a->tools.ids, .shared = &a->tools.shared};
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
        e = trainer_step(a->trainer, (double)a->step, &r, w);
        if (e == ERR_NUMBER) events_step_failed(a->journal, &step, w->text);
        if (e) break;
        double seconds = span_in_s(instant_since(clock_now(), began));
        a->step++;
        step.ms = seconds * 1e3;
        step.tokens_per_s = (double)r.tokens / fmax(seconds, 1e-6);
        events_step(a->journal, &step);
        show(a, last, &r, seconds);
        if (a->step % a->x.evaluate.every == 0 || a->step == a->x.train.steps) e = evaluate(a, w);
        if (!e && a->step % a->x.checkpoint.every == 0) e = save(a, w);
    }
    terminal_clear(&a->terminal);
    if (e == ERR_NUMBER) return not_finite(a, w);
    return e || a->saved == a->step ? e : save(a, w);
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
        a->lock = -1;
        terminal_init(&a->terminal, STDOUT_FILENO);
        a->shown = clock_now();
        e = open_all(a, &o, &w);
        uint64_t last = o.steps && o.steps < a->x.train.steps ? o.steps : a->x.train.steps;
        const bool done = !e && a->step >= last;
        if (done) printf("there is nothing to train, and nothing was written: ");
        if (!e) {
            events_start(a->journal, "train", &a->x, &a->tools,
                         trainer_layout(a->trainer)->parameters);
            journal_end(a->journal);
            e = train(a, last, &w);
            events_end(a->journal, EVENTS_ALONE, (double)a->step,
                       e                            ? w.text
                       : stop_wishes()              ? "it was asked to end"
                       : a->step < a->x.train.steps ? "it did the steps asked for"
                                                    : "the run is complete");
        }
        if (!e)
            printf("%llu of %llu steps done\n", (unsigned long long)a->step,
                   (unsigned long long)a->x.train.steps);
        stopped = stop_wishes() && a->step < last;
        unsaved = a->unsaved;
        close_all(a);
    }
    free(a);
    if (e) code = command_failed("train", &w);
    else if (stopped) code = COMMAND_STOPPED;
    return unsaved ? COMMAND_UNSAVED : code;
}
