#include "node/worker.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/journal.h"
#include "base/machine.h"
#include "base/object.h"
#include "base/stop.h"
#include "node/driver.h"
#include "node/events.h"
#include "node/exchange.h"
#include "node/live.h"
#include "node/replica.h"
#include "node/start.h"
#include "node/tools.h"
#include "model/budget.h"
#include "model/checkpoints.h"
#include "model/trainer.h"
#include "net/crypto.h"
#include "net/identity.h"

struct worker {
    struct experiment *x;
    const struct worker_options *options;
    struct journal *journal;
    struct identity *identity;
    struct crypto sign, hash; /* the network's thread signs, the trainer's only hashes */
    struct tools tools;
    struct trainer *trainer;
    struct trainer_state *state; /* of the trainer */
    struct arena room;
    struct replica replica;
    struct exchange exchange;
    struct driver *driver;
    struct live *live;
    int lock;
    struct start start;
    struct saved {
        uint64_t step, position;
        uint8_t lineage[CRYPTO_DIGEST_BYTES];
    } saved;                     /* what the newest checkpoint holds */
    bool unsaved;                /* the latest one could not be written */
    struct round_progress round; /* since the last outer step */
    uint64_t epoch_evaluated;    /* epoch + 1 of the latest evaluation; 0: none */
    uint32_t restarts;           /* from the anchor, since a round of ours was averaged */
    instant rests_until;         /* no step before that */
    instant still_since;         /* training stands still for the swarm since; 0: it does not */
    bool training, finished;
    bool refused; /* another worker has this one's key: nothing of this process counts */
    char farewell[200];
};

static double ms_since(instant t) { return span_in_s(instant_since(clock_now(), t)) * 1e3; }

/* The step that the schedule counts: epoch x every + the share of the present epoch that is
 * done. */
static double schedule_step(struct worker *k)
{
    double every = (double)k->x->outer.every;
    double share = k->x->outer.count == OUTER_COUNT_STEPS ? (double)k->round.steps / every
                                                          : atomic_load(&k->exchange.share);
    return ((double)k->replica.state.epoch + fmin(share, 1)) * every;
}

static void tell(struct worker *k, struct event e)
{
    e.now = clock_now();
    exchange_tell(&k->exchange, &e);
}

static void drop_round(struct worker *k, const char *reason)
{
    if (k->round.steps) {
        journal_begin(k->journal, "dropped");
        journal_u64(k->journal, "steps", k->round.steps);
        journal_text(k->journal, "why", reason);
        journal_end(k->journal);
    }
    k->round.steps = k->round.tokens = 0;
}

/* A round of ours is averaged or given up after so many restarts in a row, half a minute after the
 * first. */
#define RESTARTS_MAX 6

static enum err give_up(struct worker *k, const char *reason, struct why *w)
{
    const struct experiment *x = k->x;
    return why(w, ERR_NUMBER,
               "%s, %u times in a row from the anchor of epoch %llu: these settings do not suit "
               "this model; lower train.optimizer.lr (%g) or raise train.schedule.warmup (%llu) "
               "in a new run",
               reason, k->restarts, (unsigned long long)k->replica.state.epoch,
               x->train.optimizer.lr, (unsigned long long)x->train.schedule.warmup);
}

/* A loss, gradient or parameter that is not finite: nothing of this round can be trusted, nor the
 * moments it left. The next try waits 1, 2, 4 ... s, in which the others may bring a better anchor.
 * ERR_NUMBER after too many. */
static enum err restart_from_anchor(struct worker *k, const char *what, struct why *w)
{
    char reason[200];
    unsigned rest_s = 1u << k->restarts++;
    snprintf(reason, sizeof reason, "%s", what); /* it may lie in `w` */
    journal_begin(k->journal, "not_finite");
    journal_u64(k->journal, "epoch", k->replica.state.epoch);
    journal_u64(k->journal, "in_a_row", k->restarts);
    journal_text(k->journal, "why", reason);
    journal_end(k->journal);
    if (k->restarts >= RESTARTS_MAX) return give_up(k, reason, w);
    fprintf(stderr,
            "shoal: %s: restarting from the anchor in %u s; this round goes without our "
            "contribution\n",
            reason, rest_s);
    k->rests_until = instant_after(clock_now(), span_ms(1000 * rest_s));
    drop_round(k, reason);
    replica_restart(&k->replica, k->state->parameters);
    trainer_parameters_changed(k->trainer);
    trainer_forget(k->trainer);
    tell(k, (struct event){.kind = EVENT_STEP, .round = k->round});
    return ERR_OK;
}

static enum err evaluate(struct worker *k, struct why *w)
{
    uint64_t tokens;
    double loss;
    instant began = clock_now();
    enum err e = trainer_evaluate(k->trainer, k->x->evaluate.tokens, &loss, &tokens, w);
    if (e) return e;
    double ms = ms_since(began);
    k->epoch_evaluated = k->replica.state.epoch + 1;
    events_evaluate(k->journal, k->replica.state.epoch, k->replica.state.epoch * k->x->outer.every,
                    loss, tokens, ms);
    return ERR_OK;
}

/* After an outer step: does a multiple of evaluate.every lie in it, or is it the last? */
static bool evaluation_due(const struct worker *k)
{
    uint64_t step = k->replica.state.epoch * k->x->outer.every;
    if (k->epoch_evaluated == k->replica.state.epoch + 1) return false;
    return k->replica.state.epoch >= experiment_epochs(k->x) ||
           step / k->x->evaluate.every != (step - k->x->outer.every) / k->x->evaluate.every;
}

static enum err save(struct worker *k, struct why *w);

/* checkpoint.every within a round; at its end the outer step is about to be saved. */
static bool checkpoint_due(const struct worker *k)
{
    const uint64_t every = k->x->checkpoint.every;
    return k->round.steps % every == 0 && k->round.steps % k->x->outer.every != 0;
}

static enum err inner_step(struct worker *k, struct why *w)
{
    struct trainer_report r;
    double at = schedule_step(k);
    struct events_step step = {.epoch = k->replica.state.epoch, .step = at, .report = &r};
    instant began = clock_now();
    if (began.ns < k->rests_until.ns) { /* orders are looked at between these naps */
        usleep(50000);
        return ERR_OK;
    }
    enum err e = trainer_step(k->trainer, at, &r, w);
    if (e == ERR_NUMBER) {
        events_step_failed(k->journal, &step, w->text);
        return restart_from_anchor(k, w->text, w);
    }
    if (e) return e;
    double ms = ms_since(began);
    k->round.steps++;
    k->round.tokens += r.tokens;
    k->round.loss = (float)r.loss;
    k->round.step_ms = (uint32_t)fmax(1, ms);
    /* Smoothed over about eight steps: the rate extrapolates our work between two records. */
    double rate = (double)r.tokens / fmax(ms, 1e-3) * 1e3;
    k->round.tokens_per_s =
        (uint32_t)(k->round.tokens_per_s ? 0.875 * k->round.tokens_per_s + 0.125 * rate : rate);
    step.tokens_per_s = k->round.tokens_per_s;
    step.ms = ms;
    events_step(k->journal, &step);
    tell(k, (struct event){.kind = EVENT_STEP, .round = k->round});
    return checkpoint_due(k) ? save(k, w) : ERR_OK;
}

/* With count: steps a worker stops at `every` and waits for the others; else it trains on while
 * they meet. */
static bool may_step(const struct worker *k)
{
    return k->training &&
           (k->x->outer.count != OUTER_COUNT_STEPS || k->round.steps < k->x->outer.every);
}

/* Orders. */

static enum err take_snapshot(struct worker *k, struct why *w)
{
    k->training = false;
    k->still_since = clock_now();
    bool good;
    enum err e = replica_snapshot(&k->replica, k->state->parameters, &good, w);
    if (e) return e;
    struct outer_layout *l = &k->replica.layout;
    size_t count = good ? outer_wire_offset(l, l->chunks) : 0;
    tell(k, (struct event){.kind = EVENT_SNAPSHOT, .wire = bytes_of(k->replica.wire, count)});
    return good ? ERR_OK : restart_from_anchor(k, "parameters are not finite", w);
}

static void journal_outer(struct worker *k)
{
    const struct lineage_state *s = &k->replica.state;
    journal_begin(k->journal, "outer");
    journal_u64(k->journal, "epoch", s->epoch);
    journal_u64(k->journal, "step", s->epoch * k->x->outer.every);
    journal_hex(k->journal, "digest", s->digest, sizeof s->digest);
    journal_hex(k->journal, "lineage", s->lineage, sizeof s->lineage);
    journal_f64(k->journal, "paused_ms", k->still_since.ns ? ms_since(k->still_since) : 0);
    journal_end(k->journal);
}

/* What follows a new epoch: tell the swarm first, so that nobody waits for our disk. */
static enum err new_epoch(struct worker *k, enum event_kind kind, struct why *w)
{
    k->round.steps = k->round.tokens = 0;
    tell(k, (struct event){.kind = kind, .state = k->replica.state});
    journal_outer(k);
    uint64_t step = k->replica.state.epoch * k->x->outer.every;
    bool last = k->replica.state.epoch >= experiment_epochs(k->x);
    enum err e = ERR_OK;
    if (evaluation_due(k)) e = evaluate(k, w);
    if (!e && (last || step / k->x->checkpoint.every !=
                           (step - k->x->outer.every) / k->x->checkpoint.every))
        e = save(k, w);
    k->training = !last;
    k->still_since.ns = 0;
    return e;
}

static enum err carry_out(struct worker *k, const struct order *o, struct why *w)
{
    enum err e;
    switch (o->kind) {
    case ORDER_TRAIN:
    case ORDER_RESUME:
        k->training = true;
        break;
    case ORDER_HOLD:
        k->training = false;
        break;
    case ORDER_SNAPSHOT:
        return take_snapshot(k, w);
    case ORDER_APPLY:
        if (k->round.steps) k->restarts = 0;
        e = replica_apply(&k->replica, o, k->state->parameters, w);
        trainer_parameters_changed(k->trainer);
        return e ? e : new_epoch(k, EVENT_APPLIED, w);
    case ORDER_ADOPT:
        drop_round(k, "the swarm's state was taken over");
        replica_adopt(&k->replica, o, k->state->parameters);
        trainer_parameters_changed(k->trainer);
        return new_epoch(k, EVENT_ADOPTED, w);
    case ORDER_FINISH:
        k->finished = true;
        k->refused = o->refused;
        snprintf(k->farewell, sizeof k->farewell, "%s", o->text);
        break;
    }
    return ERR_OK;
}

static enum err train(struct worker *k, struct why *w)
{
    enum err e = ERR_OK;
    while (!k->finished && !e) {
        struct order o;
        if (exchange_next(&k->exchange, !may_step(k), &o)) e = carry_out(k, &o, w);
        else e = inner_step(k, w);
    }
    return e;
}

/* Setting up. */

/* Where things lie: under --dir when that is given, else where the experiment says. */
static enum err choose_paths(struct worker *k, struct why *w)
{
    struct experiment *x = k->x;
    const char *dir = k->options->dir;
    if (dir) {
        enum err e = file_make_dirs(dir, w);
        if (e) return e;
        bool fits = snprintf(x->swarm.identity, sizeof x->swarm.identity, "%s/node.key", dir) <
                    EXPERIMENT_PATH_BYTES - 16;
        snprintf(x->checkpoint.dir, sizeof x->checkpoint.dir, "%s/checkpoints", dir);
        if (x->metrics.log[0]) /* empty: none is wanted */
            snprintf(x->metrics.log, sizeof x->metrics.log, "%s/log.jsonl", dir);
        if (!fits) return why(w, ERR_USAGE, "--dir %s is too long", dir);
    }
    enum err e = file_make_dirs(x->checkpoint.dir, w);
    char lock[EXPERIMENT_PATH_BYTES + 8];
    snprintf(lock, sizeof lock, "%s/lock", x->checkpoint.dir);
    if (!e) e = file_lock(lock, &k->lock, w);
    if (e) return e;
    size_t left = checkpoints_tidy(x->checkpoint.dir);
    if (left) printf("shoal: removed %zu unfinished checkpoints of killed saves\n", left);
    return ERR_OK;
}

/* max(unix milliseconds, last + 1), the last kept beside the key: a node that died and came back is
 * told from the one that it was, even if the clock went backwards. */
static enum err next_incarnation(const struct worker *k, uint64_t *out, struct why *w)
{
    char path[EXPERIMENT_PATH_BYTES + 16], text[32];
    snprintf(path, sizeof path, "%s.incarnation", k->x->swarm.identity);
    uint64_t last = 0;
    uint8_t *kept;
    size_t count;
    if (file_exists(path)) {
        enum err e = file_read(path, 64, &kept, &count, w);
        if (e) return e;
        last = strtoull((char *)kept, NULL, 10);
        free(kept);
    }
    uint64_t now = clock_unix_ms();
    *out = now > last ? now : last + 1;
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)*out);
    struct bytes all = bytes_of(text, (size_t)n);
    return file_write_atomic(path, &all, 1, 0600, w);
}

static void journal_start(struct worker *k)
{
    char id[IDENTITY_TEXT_BYTES], address[ADDRESS_TEXT_BYTES];
    struct address listen = driver_address(k->driver);
    events_start(k->journal, "run", k->x, &k->tools, k->replica.layout.parameters);
    journal_text(k->journal, "id", identity_print(identity_id(k->identity), id));
    journal_text(k->journal, "address", address_print(&listen, address));
    journal_u64(k->journal, "epoch", k->replica.state.epoch);
    journal_hex(k->journal, "lineage", k->replica.state.lineage, CRYPTO_DIGEST_BYTES);
    journal_end(k->journal);
    printf("shoal: %s@%s, epoch %llu of %llu, %llu parameters\n", id, address,
           (unsigned long long)k->replica.state.epoch, (unsigned long long)experiment_epochs(k->x),
           (unsigned long long)k->replica.layout.parameters);
    fflush(stdout);
}

/* Everything a run depends on, with pointers to where it lies. */
static struct checkpoint describe(struct worker *k)
{
    const struct lineage_state *r = &k->replica.state;
    struct checkpoint c = {
        .shape = k->x->model,
        .parameters = k->replica.layout.parameters,
        .step = r->epoch * k->x->outer.every + k->round.steps,
        .epoch = r->epoch,
        .lineage_tokens = r->lineage_tokens,
        .round_steps = k->round.steps,
        .round_tokens = k->round.tokens,
        .adam_steps = k->state->steps,
        .position = k->state->position,
        .tokens = k->state->tokens,
        .micro_batch = trainer_micro_batch(k->trainer),
        .sections = {[CHECKPOINT_ANCHOR] = (float *)r->anchor,
                     [CHECKPOINT_MOMENTUM] = (float *)r->momentum},
    };
    for (int v = 0; v < TRAINER_VECTORS; v++) c.sections[v] = trainer_host(k->trainer, v);
    memcpy(c.identity, identity_id(k->identity), sizeof c.identity);
    memcpy(c.lineage, r->lineage, sizeof c.lineage);
    tools_describe(&k->tools, k->x, &c);
    return c;
}

/* All that can have changed since a checkpoint was written. */
static struct saved saved_as(const struct checkpoint *c)
{
    struct saved s = {.step = c->step, .position = c->position};
    memcpy(s.lineage, c->lineage, sizeof s.lineage);
    return s;
}

/* A checkpoint that cannot be written ends this worker only when the experiment says so; it is loud
 * in either case. */
static enum err save(struct worker *k, struct why *w)
{
    instant began = clock_now();
    struct checkpoint c = describe(k);
    struct why failed = {0};
    enum err e = trainer_pull(k->trainer, w);
    if (e) return e;
    e = checkpoints_save(k->x->checkpoint.dir, &c, k->x->checkpoint.keep, &failed);
    double ms = ms_since(began);
    events_checkpoint(k->journal, c.epoch, c.step, ms, e ? failed.text : NULL);
    k->unsaved = e;
    if (!e) {
        k->saved = saved_as(&c);
        return ERR_OK;
    }
    fprintf(stderr, "shoal: %s\n", failed.text);
    return k->x->checkpoint.required ? why(w, e, "%s", failed.text) : ERR_OK;
}

/* At the end: what was written already need not be written again. */
static enum err save_last(struct worker *k, struct why *w)
{
    struct checkpoint c = describe(k);
    struct saved now = saved_as(&c);
    return memcmp(&now, &k->saved, sizeof now) ? save(k, w) : ERR_OK;
}

/* --fresh: what is there is kept, out of the way. */
static enum err set_aside(const struct worker *k, struct why *w)
{
    size_t count;
    char aside[CHECKPOINTS_PATH_BYTES];
    enum err e = checkpoints_set_aside(k->x->checkpoint.dir, &count, aside, w);
    if (!e && count) printf("shoal: --fresh: %zu checkpoints are in %s now\n", count, aside);
    return e;
}

/* Goes on from the newest checkpoint of this run, when there is one. */
static enum err restore(struct worker *k, struct why *w)
{
    bool found;
    char path[CHECKPOINTS_PATH_BYTES];
    if (k->options->fresh) return set_aside(k, w);
    const struct checkpoints_want want = {
        .ids = &k->tools.ids, .shared = &k->tools.shared, .anchor = true};
    enum err e = checkpoints_newest(k->x->checkpoint.dir, &want, &found, path, w);
    if (e || !found) return e;
    struct checkpoint c = describe(k);
    e = checkpoint_read(path, k->replica.layout.parameters, &c, w);
    if (e) return e;
    trainer_push(k->trainer);
    k->state->steps = c.adam_steps;
    k->state->position = c.position;
    k->state->tokens = c.tokens;
    k->round.steps = c.round_steps;
    k->round.tokens = c.round_tokens;
    replica_restored(&k->replica, c.epoch, c.lineage, c.lineage_tokens);
    k->saved = saved_as(&c);
    printf("shoal: goes on from %s\n", path);
    return ERR_OK;
}

static enum err open_replica(struct worker *k, struct why *w)
{
    uint64_t parameters = trainer_layout(k->trainer)->parameters;
    struct outer_rule rule = {.lr = (float)k->x->outer.optimizer.lr,
                              .momentum = (float)k->x->outer.optimizer.momentum,
                              .nesterov = k->x->outer.optimizer.nesterov};
    const struct backend *b = trainer_backend(k->trainer);
    enum err e = arena_open(&k->room, replica_bytes(parameters), w);
    if (!e && b->pin) b->pin(b->self, k->room.start, k->room.bytes);
    return e ? e
             : replica_init(&k->replica, &k->room, &rule, k->state->parameters, parameters,
                            k->tools.run_id, &k->hash, b, k->tools.pool, w);
}

/* All that `plan` counts, before any of it is taken. */
static enum err check_memory(struct worker *k, struct why *w)
{
    uint64_t parameters = model_shape_parameters(&k->x->model);
    return budget_check_host(k->x, k->tools.devices.lanes, k->tools.devices.count,
                             replica_bytes(parameters) + driver_swarm_bytes(parameters),
                             machine_memory_available(), w);
}

static enum err open_driver(struct worker *k, struct why *w)
{
    size_t count = k->x->swarm.peers_count + k->options->peers_count;
    const char **peers = calloc(count + 1, sizeof *peers);
    if (!peers) return why(w, ERR_MEMORY, "no memory for the peer list");
    for (size_t i = 0; i < count; i++)
        peers[i] = i < k->x->swarm.peers_count ? k->x->swarm.peers[i]
                                               : k->options->peers[i - k->x->swarm.peers_count];
    struct driver_config c = {.experiment = k->x,
                              .identity = k->identity,
                              .crypto = &k->sign,
                              .exchange = &k->exchange,
                              .replica = &k->replica,
                              .journal = k->journal,
                              .listen =
                                  k->options->listen ? k->options->listen : k->x->swarm.listen,
                              .peers = peers,
                              .peers_count = count,
                              .round = k->round};
    memcpy(c.run_id, k->tools.run_id, sizeof c.run_id);
    c.shared = bytes_of(k->tools.shared.text, k->tools.shared.count);
    enum err e = next_incarnation(k, &c.incarnation, w);
    if (!e) e = driver_open(&k->driver, &c, w);
    free(peers);
    return e;
}

static enum err open_all(struct worker *k, struct why *w)
{
    struct experiment *x = k->x;
    enum err e = choose_paths(k, w);
    int echo = k->options->json ? object_stdout() : -1;
    if (!e && !k->options->quiet && !k->options->json)
        e = live_open(&k->live, x->metrics.log, experiment_epochs(x), x->outer.every, &echo, w);
    if (!e) e = journal_open(&k->journal, x->metrics.log, echo, w);
    if (!e) e = identity_open(x->swarm.identity, true, &k->identity, w);
    if (e) return e;
    k->sign = crypto_of(k->identity);
    k->hash = crypto_of(NULL);
    const char *own = k->options->fresh ? NULL : x->checkpoint.dir;
    e = start_open(&k->start, k->options->from, own, true, &k->hash, w);
    if (!e) e = tools_open(&k->tools, "run", x, own, true, &k->hash, w);
    if (!e) e = start_check(&k->start, x, &k->tools, w);
    if (!e && k->start.given) tools_name_run(&k->tools, x, k->start.digest, &k->hash);
    if (!e) e = check_memory(k, w);
    if (!e) tools_warn_disk(x, CHECKPOINT_SECTIONS);
    if (!e)
        e = trainer_open(x, k->tools.devices.lanes, k->tools.devices.count, k->tools.corpus,
                         identity_id(k->identity), &k->trainer, w);
    if (e) return e;
    k->state = trainer_state(k->trainer);
    e = start_apply(&k->start, k->trainer, identity_id(k->identity), w);
    start_close(&k->start);
    if (!e) e = open_replica(k, w);
    if (!e) e = restore(k, w);
    return e ? e : open_driver(k, w);
}

static void close_all(struct worker *k)
{
    live_stop(k->live); /* what follows on stderr stands below it */
    driver_close(k->driver);
    if (k->trainer) trainer_close(k->trainer);
    tools_close(&k->tools);
    if (k->identity) identity_close(k->identity);
    journal_close(k->journal);
    live_close(k->live);
    arena_close(&k->room);
    start_close(&k->start);
    if (k->lock >= 0) file_unlock(k->lock);
}

/* The last words of a worker that ends in order. */
static enum err say_goodbye(struct worker *k, struct why *w)
{
    enum err e = k->refused ? ERR_OK : save_last(k, w);
    driver_close(k->driver); /* what it sent until now is in the log before "end" */
    k->driver = NULL;
    events_end(k->journal, k->replica.state.epoch, schedule_step(k), k->farewell);
    live_stop(k->live);
    if (k->refused)
        return why(w, ERR_NETWORK,
                   "%s; if this folder is a copy, delete %s: the next start makes a key of its own",
                   k->farewell, k->x->swarm.identity);
    printf("shoal: epoch %llu of %llu: %s\n", (unsigned long long)k->replica.state.epoch,
           (unsigned long long)experiment_epochs(k->x), k->farewell);
    return e;
}

enum err worker_run(struct experiment *x, const struct worker_options *o, struct worker_end *end,
                    struct why *w)
{
    *end = (struct worker_end){0};
    struct worker *k = calloc(1, sizeof *k);
    if (!k) return why(w, ERR_MEMORY, "no memory for a worker");
    k->x = x;
    k->options = o;
    k->lock = -1;
    exchange_init(&k->exchange);
    sigset_t set; /* they come in by the driver; threads made from here on inherit the block */
    stop_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    enum err e = open_all(k, w);
    if (!e) {
        pool_add_niceness(TRAINER_NICENESS); /* the network's thread comes first */
        journal_start(k);
        if (k->replica.state.epoch == 0 && k->round.steps == 0) e = evaluate(k, w);
        if (!e) e = train(k, w);
        end->stopped = !e && !k->refused && k->replica.state.epoch < experiment_epochs(x);
        if (!e) e = say_goodbye(k, w);
    }
    end->unsaved = k->unsaved;
    close_all(k);
    exchange_fini(&k->exchange);
    free(k);
    return e;
}
