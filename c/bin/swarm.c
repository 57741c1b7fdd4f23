/* swarm.c -- `shoal swarm`: a whole swarm on this machine, watched in one terminal.
 *
 * Each worker is a process of its own, started as `shoal run` with a folder and a peer list, and
 * left alone: this program only starts them, reads their logs, draws, and does the harm it was
 * asked to do. It takes no part in the swarm; if it dies, the swarm goes on. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/object.h"
#include "base/process.h"
#include "base/stop.h"
#include "fleet/claim.h"
#include "bin/command.h"
#include "node/device.h"
#include "fleet/fleet.h"
#include "fleet/fleet_view.h"
#include "node/preflight.h"
#include "config/settings.h"
#include "net/crypto.h"
#include "net/identity.h"

struct wishes {
    const char *experiment, *out, *device, *from;
    struct option_texts sets;
    uint64_t workers;
    uint64_t kill, join; /* epochs; 0: never */
    bool deterministic, fresh, json;
};

static double unix_now(void) { return (double)clock_unix_ms() * 1e-3; }

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

/* An epoch that the run never reaches would be waited for in vain. */
static enum err check_epochs(const struct wishes *o, const struct experiment *x, struct why *w)
{
    const struct {
        const char *name;
        uint64_t epoch, most;
    } epochs[] = {{"kill", o->kill, experiment_epochs(x)},
                  {"join", o->join, experiment_epochs(x) - 1}}; /* to do a part of the last */
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

/* A port nobody has now. Between this and the worker's own bind somebody else may take it; then
 * that worker says so and ends. */
static enum err free_port(uint16_t *out, struct why *w)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    bool bound = fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof a) &&
                 !getsockname(fd, (struct sockaddr *)&a, &n);
    enum err e =
        bound ? ERR_OK
              : why(w, ERR_NETWORK, "finding a free UDP port on loopback: %s", strerror(errno));
    if (fd >= 0) close(fd);
    *out = ntohs(a.sin_port);
    return e;
}

/* The identity of worker `i` of a run that must repeat: SHA-256("shoal worker" || seed u64 || i
 * u64) is its secret. */
static enum err create_repeatable(const char *path, uint64_t seed, uint64_t i,
                                  struct identity **out, struct why *w)
{
    uint8_t numbers[16], secret[CRYPTO_HASH_BYTES];
    struct writer to = writer_init(numbers, sizeof numbers);
    writer_u64(&to, seed);
    writer_u64(&to, i);
    struct crypto c = crypto_of(NULL);
    struct bytes parts[] = {bytes_of("shoal worker", 12), writer_bytes(&to)};
    c.hash(c.self, parts, 2, secret);
    return identity_create_from_seed(path, secret, out, w);
}

/* Gives worker `i` a folder, an identity and an address. */
static enum err settle(struct fleet *f, size_t i, const struct wishes *o, struct why *w)
{
    struct fleet_worker *k = &f->workers[i];
    if (snprintf(k->dir, sizeof k->dir, "%s/worker-%zu", f->dir, i) >= (int)sizeof k->dir)
        return why(w, ERR_USAGE, "--out %s is too long", f->dir);
    enum err e = file_make_dirs(k->dir, w);
    char key[EXPERIMENT_PATH_BYTES + 16], log[EXPERIMENT_PATH_BYTES + 16];
    snprintf(key, sizeof key, "%s/node.key", k->dir);
    snprintf(log, sizeof log, "%s/log.jsonl", k->dir);
    struct identity *id = NULL;
    if (!e && o->deterministic && !file_exists(key))
        e = create_repeatable(key, f->experiment->seed, i, &id, w);
    else if (!e) e = identity_open(key, true, &id, w);
    if (e) return e;
    identity_print(identity_id(id), k->id);
    identity_close(id);
    uint16_t port;
    e = free_port(&port, w);
    snprintf(k->address, sizeof k->address, "127.0.0.1:%u", port);
    watch_init(&k->watch, log);
    f->count = i + 1;
    return e;
}

static enum err write_peers(const struct fleet *f, struct why *w)
{
    char path[EXPERIMENT_PATH_BYTES + 16], text[(FLEET_MAX + 1) * 160];
    size_t used = 0;
    for (size_t i = 0; i < f->count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s@%s\n", f->workers[i].id,
                                 f->workers[i].address);
    snprintf(path, sizeof path, "%s/peers.txt", f->dir);
    struct bytes all = bytes_of(text, used);
    return file_write_atomic(path, &all, 1, 0644, w);
}

static enum err start(struct fleet *f, size_t i, const struct wishes *o, struct why *w)
{
    struct fleet_worker *k = &f->workers[i];
    char peers[EXPERIMENT_PATH_BYTES + 16], said[EXPERIMENT_PATH_BYTES + 16];
    snprintf(peers, sizeof peers, "%s/peers.txt", f->dir);
    snprintf(said, sizeof said, "%s/output.txt", k->dir);
    const char *argv[16] = {"shoal",    "run",      "--dir",   k->dir,
                            "--listen", k->address, "--peers", peers};
    size_t n = 8;
    if (o->from) argv[n++] = "--from", argv[n++] = o->from;
    char gpu[16];
    const char *device = devices_deal(f->experiment, i, gpu) ? gpu : o->device;
    if (device) argv[n++] = "--device", argv[n++] = device;
    argv[n++] = "--"; /* a name may begin with a dash */
    argv[n++] = o->experiment;
    enum err e = process_start(argv, said, &k->pid, w);
    if (e) {
        k->pid = 0;
        return why_while(w, e, "worker %zu", i);
    }
    k->began = unix_now();
    return ERR_OK;
}

static void reap(struct fleet *f, struct fleet_view *v)
{
    for (size_t i = 0; i < f->count; i++) {
        struct fleet_worker *k = &f->workers[i];
        int status;
        if (k->pid <= 0 || waitpid(k->pid, &status, WNOHANG) != k->pid) continue;
        k->pid = 0;
        k->ended = unix_now();
        const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        k->crashed = code != 0 && code != COMMAND_STOPPED && code != COMMAND_UNSAVED;
        if (code == COMMAND_UNSAVED) {
            f->unsaved = true;
            fleet_view_say(v, "worker %zu could not write its last checkpoint; see %s/output.txt",
                           i, k->dir);
        } else if (k->crashed && !k->killed && stop_wishes() < 2)
            fleet_view_say(v, "worker %zu ended badly; see %s/output.txt", i, k->dir);
    }
}

static size_t running(const struct fleet *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->count; i++) n += f->workers[i].pid > 0;
    return n;
}

static void signal_all(const struct fleet *f, int signal)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->workers[i].pid > 0) kill(f->workers[i].pid, signal);
}

static uint64_t epoch_of(const struct fleet *f)
{
    uint64_t epoch = 0;
    for (size_t i = 0; i < f->count; i++)
        if (f->workers[i].watch.epoch > epoch) epoch = f->workers[i].watch.epoch;
    return epoch;
}

/* Kills a worker whose log says it has committed to a group and not yet applied: the worst moment
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
    if (!o->join || epoch_of(f) < o->join || !running(f)) return ERR_OK;
    o->join = 0;
    size_t i = f->count;
    enum err e = settle(f, i, o, w);
    f->workers[i].joined_late = true;
    if (!e) fleet_view_say(v, "worker %zu starts with an empty folder, as --join asks", i);
    return e ? e : start(f, i, o, w);
}

/* All workers read this copy, a late joiner too: an edit of the original meanwhile must not make it
 * a stranger. */
static enum err keep_experiment(const struct fleet *f, struct wishes *o, struct why *w)
{
    static char copy[EXPERIMENT_PATH_BYTES + 32];
    char *text = NULL;
    size_t count = 0;
    FILE *to = open_memstream(&text, &count);
    if (!to) return why(w, ERR_MEMORY, "no memory to keep the experiment");
    experiment_print(f->experiment, to);
    bool failed = fclose(to) != 0;
    snprintf(copy, sizeof copy, "%s/experiment.yaml", f->dir);
    struct bytes all = bytes_of(text, count);
    enum err e = failed ? why(w, ERR_MEMORY, "no memory to keep the experiment")
                        : file_write_atomic(copy, &all, 1, 0644, w);
    free(text);
    o->experiment = copy;
    return e;
}

/* The first wish to stop lets the workers leave, the second ends them. */
static void pass_on(struct fleet *f, struct fleet_view *v, unsigned *passed_on)
{
    const unsigned wishes = stop_wishes();
    if (wishes <= *passed_on) return;
    signal_all(f, wishes > 1 ? SIGKILL : SIGTERM);
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
    while (running(f) && !e) {
        for (size_t i = 0; i < f->count; i++) watch_update(&f->workers[i].watch);
        do_harm(f, o, &v);
        reap(f, &v);
        e = let_join(f, o, &v, w);
        pass_on(f, &v, &passed_on);
        fleet_view_turn(&v, clock_now(), unix_now());
        nanosleep(&(struct timespec){.tv_nsec = o->kill ? 2000000 : 50000000}, NULL);
    }
    for (size_t i = 0; i < f->count; i++) watch_update(&f->workers[i].watch);
    fleet_view_end(&v);
    if (e) signal_all(f, SIGTERM);
    return e;
}

/* What all workers would end with at once, each into a file of its own. */
static enum err check_corpus(struct experiment *x, struct why *w)
{
    struct corpus *c;
    enum err e = preflight_data("swarm", x, &c, w);
    if (!e) corpus_close(c);
    return e;
}

/* As it stands in summary.json, in one line. */
static enum err print_summary(const struct fleet *f, struct why *w)
{
    char path[EXPERIMENT_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/summary.json", f->dir);
    json_t *summary = json_load_file(path, 0, NULL);
    if (!summary) return why(w, ERR_IO, "reading %s: it is not there, or not JSON", path);
    return object_print(summary, w);
}

static enum err run(struct wishes *o, struct fleet *f, struct experiment *x, struct why *w)
{
    struct settings from = {.path = o->experiment,
                            .sets = o->sets.items,
                            .sets_count = o->sets.count,
                            .device = o->device};
    enum err e = settings_read("swarm", &from, x, w);
    if (!e) e = check_epochs(o, x, w);
    if (!e) e = check_corpus(x, w);
    if (e) return e;
    if (o->deterministic && x->outer.count != OUTER_COUNT_STEPS)
        return why(
            w, ERR_USAGE,
            "--deterministic needs outer.count: steps in %s: with tokens, the clock decides how "
            "many steps a worker does",
            o->experiment);
    f->experiment = x;
    if (o->out) snprintf(f->dir, sizeof f->dir, "%s", o->out);
    else snprintf(f->dir, sizeof f->dir, "out/%s", x->name);
    e = file_make_dirs(f->dir, w);
    if (!e) e = claim_folder(f->dir, x, o->fresh, w);
    if (!e) e = keep_experiment(f, o, w);
    for (size_t i = 0; i < o->workers && !e; i++) e = settle(f, i, o, w);
    if (!e) e = write_peers(f, w);
    for (size_t i = 0; i < o->workers && !e; i++) e = start(f, i, o, w);
    if (!e) e = watch_all(f, o, w);
    if (e) {
        signal_all(f, SIGTERM);
        return e;
    }
    struct fleet_summary s;
    e = fleet_sum(f, &s, w);
    if (!e) e = fleet_report(f, &s, w);
    if (e) return e;
    if (stop_wishes() > 1)
        return why(w, ERR_STOPPED,
                   "ended at once; what was trained since the last checkpoints in %s is lost",
                   f->dir);
    bool whole = s.epochs >= experiment_epochs(x);
    if (o->json) {
        e = print_summary(f, w);
        if (e) return e;
    } else {
        printf("%llu %s, validation loss %.4f, replicas %s, %.2f MB sent; see %s/report.html\n",
               (unsigned long long)s.epochs, s.epochs == 1 ? "epoch" : "epochs", s.validation_loss,
               s.digests_equal ? "bit-identical" : "NOT identical", s.bytes_sent * 1e-6, f->dir);
    }
    f->stopped = !whole && stop_wishes();
    if (!whole && !stop_wishes())
        return why(w, ERR_STOPPED,
                   "the run ended at epoch %llu of %llu; see %s/worker-*/output.txt",
                   (unsigned long long)s.epochs, (unsigned long long)experiment_epochs(x), f->dir);
    return s.digests_equal || stop_wishes()
               ? ERR_OK
               : why(w, ERR_FORMAT, "the workers' last checkpoints in %s differ", f->dir);
}

int swarm_main(int argc, char **argv)
{
    struct why w = {0};
    struct wishes o = {0};
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    stop_watch(NULL, NULL); /* what follows is watch_all's to do */
    struct fleet *f = calloc(1, sizeof *f);
    struct experiment *x = calloc(1, sizeof *x);
    enum err e = f && x ? run(&o, f, x, &w) : why(&w, ERR_MEMORY, "no memory to watch a swarm");
    code = e ? command_failed("swarm", &w) : 0;
    if (f && f->stopped && !e) code = COMMAND_STOPPED;
    if (f && f->unsaved) code = COMMAND_UNSAVED;
    for (size_t i = 0; f && i < f->count; i++) watch_fini(&f->workers[i].watch);
    free(x);
    free(f);
    return stop_wishes() > 1 ? STOP_CODE_AT_ONCE : code;
}
