/* swarm.c -- `shoal swarm`: a whole swarm on this machine, watched in one terminal.
 *
 * Each worker is a process of its own, started as `shoal run` with a folder and a peer list, : this
 * program only starts them, reads their logs, displays them, and kills or adds workers on request.
 * It takes no part in the swarm; if it dies, the swarm continues. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/object.h"
#include "base/stop.h"
#include "bin/command.h"
#include "config/settings.h"
#include "fleet/claim.h"
#include "fleet/fleet.h"
#include "fleet/fleet_view.h"
#include "fleet/summary.h"
#include "node/device.h"
#include "node/preflight.h"

struct wishes {
    const char *experiment, *out, *device, *from;
    struct option_texts sets;
    uint64_t workers;
    uint64_t kill, join; /* epochs; 0: never */
    bool deterministic, fresh, json;
};

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    const struct option_row rows[] = {
        COMMAND_EXPERIMENT(&o->experiment),
        {"workers", 'n', .whole = &o->workers, .least = 1, .most = FLEET_MAX, .value = "N",
         .help = "how many workers", .missing = "say how many workers: -n 4"},
        {"out", .text = &o->out, .value = "DIR", .help = "workers' folders, logs and results",
         .otherwise = "out/NAME"},
        {"kill", .whole = &o->kill, .least = 1, .most = COMMAND_STEPS_MAX, .value = "EPOCH",
         .help = "SIGKILL one worker in the middle of the averaging round that leads to EPOCH"},
        {"join", .whole = &o->join, .least = 1, .most = COMMAND_STEPS_MAX, .value = "EPOCH",
         .help = "let a new worker with an empty folder join when EPOCH is reached"},
        {"deterministic", .flag = &o->deterministic,
         .help = "identities from the seed; with outer.count: steps the run ends in the same bits "
                 "each time"},
        {"device", .text = &o->device, .value = "DEVICE",
         .help = "cpu, cuda (all GPUs) or cuda:0,2 (those), instead of machine.device; several "
                 "GPUs go round, one to a worker"},
        COMMAND_SET(&o->sets),
        {"from", .text = &o->from, .value = "CHECKPOINT",
         .help = "start a new swarm with its parameters"},
        {"fresh", .flag = &o->fresh,
         .help =
             "start anew; what DIR holds but the workers' keys is moved into a folder before-1, "
             "before-2 and so on in it"},
        COMMAND_JSON(&o->json),
        {0}};
    struct options table = {
        .command = "shoal swarm",
        .about = "Starts workers (1 to 20) on this machine, watches them to the end, and writes "
                 "DIR/summary.json and DIR/report.html. The first Ctrl-C lets them leave politely, "
                 "a second one ends them at once.",
        .rows = rows};
    return command_options("swarm", &table, argc, argv, code);
}

/* An epoch beyond the end of the run would never be reached. */
static enum err check_epochs(const struct wishes *o, const struct experiment *x, struct why *w)
{
    const struct {
        const char *name;
        uint64_t epoch, most;
    } epochs[] = {{"kill", o->kill, experiment_epochs(x)},
                  /* So that it does part of the last. */
                  {"join", o->join, experiment_epochs(x) - 1}};
    for (size_t i = 0; i < 2; i++)
        if (epochs[i].epoch > epochs[i].most)
            return why(w, ERR_USAGE,
                       "--%s %llu: %s has %llu epochs (train.steps / outer.every): it must be %llu "
                       "at most",
                       epochs[i].name, (unsigned long long)epochs[i].epoch, o->experiment,
                       (unsigned long long)experiment_epochs(x),
                       (unsigned long long)epochs[i].most);
    return ERR_OK;
}

static enum err start(struct fleet *f, size_t i, const struct wishes *o, struct why *w)
{
    char gpu[16];
    const struct fleet_start how = {.experiment = o->experiment,
                                    .from = o->from,
                                    .device =
                                        devices_deal(f->experiment, i, gpu) ? gpu : o->device};
    return fleet_start(f, i, &how, w);
}

static void reap_all(struct fleet *f, struct fleet_view *v)
{
    for (size_t i = 0; i < f->count; i++) {
        const enum fleet_end end = fleet_reap(f, i);
        const struct fleet_worker *k = &f->workers[i];
        if (end == FLEET_UNSAVED)
            fleet_view_say(v, "worker %zu could not write its last checkpoint; see %s/output.txt",
                           i, k->dir);
        else if (end == FLEET_CRASHED && !k->killed && stop_wishes() < 2)
            fleet_view_say(v, "worker %zu ended badly; see %s/output.txt", i, k->dir);
    }
}

/* Kills a worker that, by its log, has committed to a group and not yet applied: the worst moment
 * for the others. */
static void do_harm(struct fleet *f, struct wishes *o, struct fleet_view *v)
{
    for (size_t i = f->count; o->kill && i-- > 0;) {
        struct fleet_worker *k = &f->workers[i];
        if (k->pid <= 0 || strcmp(k->watch.round_event, "committed") ||
            k->watch.round_epoch < o->kill)
            continue;
        kill(k->pid, SIGKILL);
        k->killed = true;
        fleet_view_say(v, "worker %zu is killed in the middle of epoch %llu, as --kill asks", i,
                       (unsigned long long)k->watch.round_epoch);
        o->kill = 0;
    }
}

static enum err let_join(struct fleet *f, struct wishes *o, struct fleet_view *v, struct why *w)
{
    if (!o->join || fleet_epoch(f) < o->join || !fleet_running(f)) return ERR_OK;
    o->join = 0;
    size_t i = f->count;
    enum err e = fleet_settle(f, o->deterministic, w);
    f->workers[i].joined_late = true;
    if (!e) fleet_view_say(v, "worker %zu starts with an empty folder, as --join asks", i);
    return e ? e : start(f, i, o, w);
}

/* The first request to stop lets the workers leave, the second kills them. */
static void pass_on(struct fleet *f, struct fleet_view *v, unsigned *passed_on)
{
    const unsigned wishes = stop_wishes();
    if (wishes <= *passed_on) return;
    fleet_signal(f, wishes > 1 ? SIGKILL : SIGTERM);
    if (wishes == 1)
        fleet_view_say(v, "the workers leave the swarm and save; once more to end them at once");
    *passed_on = wishes;
}

static enum err watch_all(struct fleet *f, struct wishes *o, struct why *w)
{
    struct fleet_view v;
    unsigned passed_on = 0;
    enum err e = ERR_OK;
    fleet_view_init(&v, f, o->json ? STDERR_FILENO : STDOUT_FILENO);
    while (fleet_running(f) && !e) {
        for (size_t i = 0; i < f->count; i++) watch_update(&f->workers[i].watch);
        do_harm(f, o, &v);
        reap_all(f, &v);
        e = let_join(f, o, &v, w);
        pass_on(f, &v, &passed_on);
        fleet_view_turn(&v, clock_now(), (double)clock_unix_ms() * 1e-3);
        nanosleep(&(struct timespec){.tv_nsec = o->kill ? 2000000 : 50000000}, NULL);
    }
    for (size_t i = 0; i < f->count; i++) watch_update(&f->workers[i].watch);
    fleet_view_end(&v);
    if (e) fleet_signal(f, SIGTERM);
    return e;
}

/* Checks for mistakes on which all workers would end at once, each reporting to its own file. */
static enum err check_corpus(struct experiment *x, struct why *w)
{
    struct corpus *c;
    enum err e = preflight_data("swarm", x, &c, w);
    if (!e) corpus_close(c);
    return e;
}

/* Prints summary.json in one line. */
static enum err print_summary(const struct fleet *f, struct why *w)
{
    char path[EXPERIMENT_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/summary.json", f->dir);
    json_t *summary = json_load_file(path, 0, NULL);
    if (!summary) return why(w, ERR_IO, "reading %s: it is not there, or not JSON", path);
    return object_print(summary, w);
}

/* Reads the experiment and checks it and the options, before anything is written. */
static enum err open_experiment(const struct wishes *o, struct experiment *x, struct why *w)
{
    const struct settings from = {.path = o->experiment,
                                  .sets = o->sets.items,
                                  .sets_count = o->sets.count,
                                  .device = o->device};
    enum err e = settings_read("swarm", &from, x, w);
    if (!e) e = check_epochs(o, x, w);
    if (!e) e = check_corpus(x, w);
    if (!e && x->swarm.access == ACCESS_TICKET)
        e = why(w, ERR_USAGE,
                "swarm.access: %s asks for tickets, which are of keys that shoal swarm has yet to "
                "make: leave swarm.access out of it for a swarm on this machine",
                o->experiment);
    if (!e && o->deterministic && x->outer.count != OUTER_COUNT_STEPS)
        e = why(
            w, ERR_USAGE,
            "--deterministic needs outer.count: steps in %s: with tokens, the clock decides how "
            "many steps a worker does",
            o->experiment);
    return e;
}

/* Everything from the folder to the start of the last worker. */
static enum err start_all(struct wishes *o, struct fleet *f, struct why *w)
{
    static char copy[FLEET_PATH_BYTES];
    if (o->out) snprintf(f->dir, sizeof f->dir, "%s", o->out);
    else snprintf(f->dir, sizeof f->dir, "out/%s", f->experiment->name);
    enum err e = file_make_dirs(f->dir, w);
    if (!e) e = claim_folder(f->dir, f->experiment, o->fresh, w);
    if (!e) e = fleet_keep_experiment(f, copy, w);
    if (!e) o->experiment = copy;
    for (size_t i = 0; i < o->workers && !e; i++) e = fleet_settle(f, o->deterministic, w);
    if (!e) e = fleet_write_peers(f, w);
    for (size_t i = 0; i < o->workers && !e; i++) e = start(f, i, o, w);
    return e;
}

/* Reports the result; an error unless the whole run was done with the same bits everywhere. */
static enum err conclude(const struct wishes *o, struct fleet *f, struct why *w)
{
    struct summary s;
    const uint64_t epochs = experiment_epochs(f->experiment);
    summary_of_logs(f, &s);
    enum err e = summary_of_disk(f, &s, w);
    if (!e) e = summary_write(f, &s, w);
    if (e) return e;
    if (stop_wishes() > 1)
        return why(w, ERR_STOPPED,
                   "ended at once; what was trained since the last checkpoints in %s is lost",
                   f->dir);
    if (o->json) e = print_summary(f, w);
    else
        printf("%llu %s, validation loss %.4f, replicas %s, %.2f MB sent; see %s/report.html\n",
               (unsigned long long)s.epochs, s.epochs == 1 ? "epoch" : "epochs", s.validation_loss,
               s.digests_equal ? "bit-identical" : "NOT identical", s.bytes_sent * 1e-6, f->dir);
    if (e) return e;
    const bool whole = s.epochs >= epochs;
    f->stopped = !whole && stop_wishes();
    if (!whole && !stop_wishes())
        return why(w, ERR_STOPPED,
                   "the run ended at epoch %llu of %llu; see %s/worker-*/output.txt",
                   (unsigned long long)s.epochs, (unsigned long long)epochs, f->dir);
    return s.digests_equal || stop_wishes()
               ? ERR_OK
               : why(w, ERR_FORMAT, "the workers' last checkpoints in %s differ", f->dir);
}

static enum err run(struct wishes *o, struct fleet *f, struct experiment *x, struct why *w)
{
    enum err e = open_experiment(o, x, w);
    if (e) return e;
    f->experiment = x;
    e = start_all(o, f, w);
    if (!e) e = watch_all(f, o, w);
    if (e) fleet_signal(f, SIGTERM);
    return e ? e : conclude(o, f, w);
}

int swarm_main(int argc, char **argv)
{
    struct why w = {0};
    struct wishes o = {0};
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    stop_watch(NULL, NULL); /* from now on watch_all handles signals */
    struct fleet *f = calloc(1, sizeof *f);
    struct experiment *x = calloc(1, sizeof *x);
    enum err e = f && x ? run(&o, f, x, &w) : why(&w, ERR_MEMORY, "no memory to watch a swarm");
    code = e ? command_failed("swarm", &w) : 0;
    if (f && f->stopped && !e) code = CODE_STOPPED;
    if (f && f->unsaved) code = CODE_UNSAVED;
    for (size_t i = 0; f && i < f->count; i++) watch_fini(&f->workers[i].watch);
    free(x);
    free(f);
    return stop_wishes() > 1 ? STOP_CODE_AT_ONCE : code;
}
