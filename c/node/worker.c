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
#include "base/event_log.h"
#include "base/file.h"
#include "base/object.h"
#include "base/stop.h"
#include "net/identity.h"
#include "node/driver.h"
#include "node/events.h"
#include "node/exchange.h"
#include "node/live.h"
#include "node/partial.h"
#include "node/replica.h"
#include "node/secret.h"
#include "node/session.h"

struct worker {
    struct experiment *x;
    const struct worker_options *options;
    struct session session;
    struct bytes secret; /* of a closed swarm */
    struct pass pass;    /* of a swarm with tickets; the driver's thread uses it */
    struct identity *identity;
    struct crypto sign; /* used by the network's thread; the session's can only hash */
    struct arena room;
    struct replica replica;
    struct exchange exchange;
    struct driver *driver;
    struct live *live;
    struct round_progress round; /* since the last outer step */
    uint64_t epoch_evaluated;    /* epoch + 1 of the latest evaluation; 0: none */
    uint32_t restarts;           /* restarts from the anchor since our latest averaged round */
    instant rests_until;         /* no step before then */
    instant still_since;         /* since when training is paused for the swarm; 0: not paused */
    bool training, finished;
    bool refused; /* another worker has this one's key: nothing of this process counts */
    char farewell[200];
};

static double ms_since(instant t) { return span_in_s(instant_since(clock_now(), t)) * 1e3; }

/* The step for the learning rate schedule: (epoch + completed share of the present epoch) x
 * every. */
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
        event_log_begin(k->session.log, "dropped");
        event_log_u64(k->session.log, "steps", k->round.steps);
        event_log_text(k->session.log, "why", reason);
        event_log_end(k->session.log);
    }
    k->round.steps = k->round.tokens = 0;
}

/* The worker ends after this many consecutive restarts without an averaged round; the last follows
 * the first by half a minute. */
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

/* A loss, gradient or parameter is not finite: nothing of this round can be trusted, including the
 * optimizer's moments. The next try waits 1, 2, 4 ... s, in which others may provide a better
 * anchor. ERR_NUMBER after too many. */
static enum err restart_from_anchor(struct worker *k, const char *what, struct why *w)
{
    char reason[200];
    unsigned rest_s = 1u << k->restarts++;
    snprintf(reason, sizeof reason, "%s", what); /* it may point into `w` */
    event_log_begin(k->session.log, "not_finite");
    event_log_u64(k->session.log, "epoch", k->replica.state.epoch);
    event_log_u64(k->session.log, "in_a_row", k->restarts);
    event_log_text(k->session.log, "why", reason);
    event_log_end(k->session.log);
    if (k->restarts >= RESTARTS_MAX) return give_up(k, reason, w);
    fprintf(stderr,
            "shoal: %s: restarting from the anchor in %u s; this round goes without our "
            "contribution\n",
            reason, rest_s);
    k->rests_until = instant_after(clock_now(), span_ms(1000 * rest_s));
    drop_round(k, reason);
    replica_restart(&k->replica, k->session.state->parameters);
    trainer_parameters_changed(k->session.trainer);
    trainer_forget(k->session.trainer);
    tell(k, (struct event){.kind = EVENT_STEP, .round = k->round});
    return ERR_OK;
}

static enum err evaluate(struct worker *k, struct why *w)
{
    uint64_t tokens;
    double loss;
    const uint64_t epoch = k->replica.state.epoch;
    enum err e = session_evaluate(&k->session, epoch, epoch * k->x->outer.every, &loss, &tokens, w);
    if (!e) k->epoch_evaluated = epoch + 1;
    return e;
}

/* After an outer step: did it pass a multiple of evaluate.every, or was it the last? */
static bool evaluation_due(const struct worker *k)
{
    uint64_t step = k->replica.state.epoch * k->x->outer.every;
    if (k->epoch_evaluated == k->replica.state.epoch + 1) return false;
    return k->replica.state.epoch >= experiment_epochs(k->x) ||
           step / k->x->evaluate.every != (step - k->x->outer.every) / k->x->evaluate.every;
}

static enum err save(struct worker *k, struct why *w);

/* checkpoint.every within a round; at its end the outer step will be saved anyway. */
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
    if (began.ns < k->rests_until.ns) { /* orders are checked between these naps */
        usleep(50000);
        return ERR_OK;
    }
    enum err e = trainer_step(k->session.trainer, at, &r, w);
    if (e == ERR_NUMBER) {
        events_step_failed(k->session.log, &step, w->text);
        return restart_from_anchor(k, w->text, w);
    }
    if (e) return e;
    double ms = ms_since(began);
    k->round.steps++;
    k->round.tokens += r.tokens;
    k->round.loss = (float)r.loss;
    k->round.step_ms = (uint32_t)fmax(1, ms);
    /* Smoothed over about eight steps: others extrapolate our work between two records from this
     * rate. */
    double rate = (double)r.tokens / fmax(ms, 1e-3) * 1e3;
    k->round.tokens_per_s =
        (uint32_t)(k->round.tokens_per_s ? 0.875 * k->round.tokens_per_s + 0.125 * rate : rate);
    step.tokens_per_s = k->round.tokens_per_s;
    step.ms = ms;
    events_step(k->session.log, &step);
    tell(k, (struct event){.kind = EVENT_STEP, .round = k->round});
    return checkpoint_due(k) ? save(k, w) : ERR_OK;
}

/* With count: steps a worker stops at `every` and waits for the others; otherwise it continues
 * training while a group forms. */
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
    enum err e = replica_snapshot(&k->replica, k->session.state->parameters, &good, w);
    if (e) return e;
    struct outer_layout *l = &k->replica.layout;
    size_t count = good ? outer_wire_offset(l, l->chunks) : 0;
    tell(k, (struct event){.kind = EVENT_SNAPSHOT, .wire = bytes_of(k->replica.wire, count)});
    return good ? ERR_OK : restart_from_anchor(k, "parameters are not finite", w);
}

static void event_log_outer(struct worker *k)
{
    const struct lineage_state *s = &k->replica.state;
    event_log_begin(k->session.log, "outer");
    event_log_u64(k->session.log, "epoch", s->epoch);
    event_log_u64(k->session.log, "step", s->epoch * k->x->outer.every);
    event_log_hex(k->session.log, "digest", s->digest, sizeof s->digest);
    event_log_hex(k->session.log, "lineage", s->lineage, sizeof s->lineage);
    event_log_f64(k->session.log, "paused_ms", k->still_since.ns ? ms_since(k->still_since) : 0);
    event_log_end(k->session.log);
}

/* What follows a new epoch: tell the swarm first, so that our disk delays nobody. `must_save`: a
 * checkpoint is written in any case. */
static enum err new_epoch(struct worker *k, enum event_kind kind, bool must_save, struct why *w)
{
    tell(k, (struct event){.kind = kind, .state = k->replica.state});
    event_log_outer(k);
    uint64_t step = k->replica.state.epoch * k->x->outer.every;
    bool last = k->replica.state.epoch >= experiment_epochs(k->x);
    enum err e = ERR_OK;
    if (evaluation_due(k)) e = evaluate(k, w);
    if (!e &&
        (last || must_save ||
         step / k->x->checkpoint.every != (step - k->x->outer.every) / k->x->checkpoint.every))
        e = save(k, w);
    k->training = !last;
    k->still_since.ns = 0;
    return e;
}

static enum err adopt(struct worker *k, const struct order *o, struct why *w)
{
    bool keeps;
    enum err e = replica_adopt(&k->replica, o, k->session.state->parameters, &keeps, w);
    trainer_parameters_changed(k->session.trainer);
    if (e) return e;
    if (!o->carries) drop_round(k, "the swarm's state was taken over");
    else if (!keeps) k->round.steps = k->round.tokens = 0;
    return new_epoch(k, EVENT_ADOPTED, !o->carries, w); /* it may have taken hours to come */
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
        e = replica_apply(&k->replica, o, k->session.state->parameters, w);
        trainer_parameters_changed(k->session.trainer);
        k->round.steps = k->round.tokens = 0;
        return e ? e : new_epoch(k, EVENT_APPLIED, false, w);
    case ORDER_ADOPT:
        return adopt(k, o, w);
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

/* max(unix milliseconds, last + 1), the last one saved next to the key: distinguishes a restarted
 * node from its previous life, even if the clock went backwards. */
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

static void log_start(struct worker *k)
{
    char id[IDENTITY_TEXT_BYTES], address[ADDRESS_TEXT_BYTES];
    struct address listen = driver_address(k->driver);
    events_start(k->session.log, "run", k->x, &k->session.setup, k->replica.layout.parameters);
    event_log_text(k->session.log, "id", identity_print(identity_id(k->identity), id));
    event_log_text(k->session.log, "address", address_print(&listen, address));
    event_log_u64(k->session.log, "epoch", k->replica.state.epoch);
    event_log_hex(k->session.log, "lineage", k->replica.state.lineage, CRYPTO_DIGEST_BYTES);
    event_log_end(k->session.log);
    printf("shoal: %s@%s, epoch %llu of %llu, %llu parameters\n", id, address,
           (unsigned long long)k->replica.state.epoch, (unsigned long long)experiment_epochs(k->x),
           (unsigned long long)k->replica.layout.parameters);
    fflush(stdout);
}

/* Everything a run depends on, with pointers to its vectors. */
static struct checkpoint describe(struct worker *k)
{
    const struct lineage_state *r = &k->replica.state;
    struct checkpoint c =
        session_describe(&k->session, r->epoch * k->x->outer.every + k->round.steps);
    c.epoch = r->epoch;
    c.lineage_tokens = r->lineage_tokens;
    c.round_steps = k->round.steps;
    c.round_tokens = k->round.tokens;
    c.sections[CHECKPOINT_ANCHOR] = (float *)r->anchor;
    c.sections[CHECKPOINT_MOMENTUM] = (float *)r->momentum;
    memcpy(c.identity, identity_id(k->identity), sizeof c.identity);
    memcpy(c.lineage, r->lineage, sizeof c.lineage);
    return c;
}

static enum err save(struct worker *k, struct why *w)
{
    const struct checkpoint c = describe(k);
    return session_save(&k->session, &c, w);
}

static enum err save_last(struct worker *k, struct why *w)
{
    const struct checkpoint c = describe(k);
    return session_save_last(&k->session, &c, w);
}

static enum err resume(struct worker *k, struct why *w)
{
    bool found;
    struct checkpoint c = describe(k);
    enum err e = session_resume(&k->session, &c, &found, w);
    if (e || !found) return e;
    k->round.steps = c.round_steps;
    k->round.tokens = c.round_tokens;
    replica_restored(&k->replica, c.epoch, c.lineage, c.lineage_tokens);
    return ERR_OK;
}

static enum err open_replica(struct worker *k, struct why *w)
{
    uint64_t parameters = trainer_layout(k->session.trainer)->parameters;
    struct outer_rule rule = {.lr = (float)k->x->outer.optimizer.lr,
                              .momentum = (float)k->x->outer.optimizer.momentum,
                              .nesterov = k->x->outer.optimizer.nesterov};
    const struct backend *b = trainer_backend(k->session.trainer);
    enum err e = arena_open(&k->room, replica_bytes(parameters), w);
    if (!e && b->pin) b->pin(b->self, k->room.start, k->room.bytes);
    if (!e)
        e = replica_init(&k->replica, &k->room, &rule, k->session.state->parameters, parameters,
                         k->session.setup.run_id, &k->session.hash, b, k->session.setup.pool, w);
    arena_seal(&k->room);
    return e;
}

/* Bytes of host memory for what the session does not include. */
static uint64_t bytes_besides(const struct worker *k)
{
    uint64_t parameters = model_shape_parameters(&k->x->model);
    return replica_bytes(parameters) + driver_swarm_bytes(parameters);
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
                              .log = k->session.log,
                              .listen =
                                  k->options->listen ? k->options->listen : k->x->swarm.listen,
                              .peers = peers,
                              .peers_count = count,
                              .round = k->round};
    memcpy(c.run_id, k->session.setup.run_id, sizeof c.run_id);
    c.shared = bytes_of(k->session.setup.shared.text, k->session.setup.shared.count);
    c.secret = k->secret;
    if (k->x->swarm.access == ACCESS_TICKET) c.pass = &k->pass;
    enum err e = next_incarnation(k, &c.incarnation, w);
    if (!e) e = driver_open(&k->driver, &c, w);
    free(peers);
    return e;
}

static enum err open_all(struct worker *k, struct why *w)
{
    struct experiment *x = k->x;
    struct session *s = &k->session;
    enum err e = session_claim(s, w);
    int echo = k->options->json ? object_stdout() : -1;
    if (!e && !k->options->quiet && !k->options->json)
        e = live_open(&k->live, x->metrics.log, experiment_epochs(x), x->outer.every, &echo, w);
    if (!e) e = event_log_open(&s->log, x->metrics.log, echo, w);
    if (!e) e = identity_open(x->swarm.identity, true, &k->identity, w);
    if (!e && x->swarm.access == ACCESS_PSK) e = secret_read(x->swarm.access_key, &k->secret, w);
    if (e) return e;
    k->sign = identity_crypto(k->identity);
    e = session_open(s, identity_id(k->identity), bytes_besides(k), CHECKPOINT_SECTIONS, w);
    if (!e && x->swarm.access == ACCESS_TICKET)
        e = pass_open(&k->pass, x, identity_id(k->identity), s->setup.run_id, w);
    if (!e) e = open_replica(k, w);
    if (!e && k->options->fresh) partial_remove(x->checkpoint.dir);
    if (!e) e = resume(k, w);
    return e ? e : open_driver(k, w);
}

static void close_all(struct worker *k)
{
    live_stop(k->live); /* so that later lines on stderr come below it */
    driver_close(k->driver);
    free((void *)k->secret.data);
    session_close(&k->session);
    if (k->identity) identity_close(k->identity);
    live_close(k->live);
    arena_close(&k->room);
}

/* The last line of a worker that ends normally. */
static enum err say_goodbye(struct worker *k, struct why *w)
{
    enum err e = k->refused ? ERR_OK : save_last(k, w);
    driver_close(k->driver); /* its traffic is logged before "end" */
    k->driver = NULL;
    if (k->pass.over[0]) snprintf(k->farewell, sizeof k->farewell, "%s", k->pass.over);
    events_end(k->session.log, k->replica.state.epoch, schedule_step(k), k->farewell);
    live_stop(k->live);
    if (k->refused)
        return why(w, ERR_NETWORK,
                   "%s; if this folder is a copy, delete %s: the next start makes a key of its own",
                   k->farewell, k->x->swarm.identity);
    printf("shoal: epoch %llu of %llu: %s\n", (unsigned long long)k->replica.state.epoch,
           (unsigned long long)experiment_epochs(k->x), k->farewell);
    if (!e && k->pass.over[0])
        return why(w, ERR_NETWORK, "%s; start again with another, from what was saved",
                   k->farewell);
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
    const struct session_config c = {
        .command = "run", .dir = o->dir, .from = o->from, .of_swarm = true, .fresh = o->fresh};
    session_init(&k->session, x, &c);
    exchange_init(&k->exchange);
    sigset_t set; /* the driver receives them; threads created from here on inherit the block */
    stop_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    enum err e = open_all(k, w);
    if (!e) {
        pool_add_niceness(TRAINER_NICENESS); /* the network's thread has priority */
        log_start(k);
        if (k->replica.state.epoch == 0 && k->round.steps == 0) e = evaluate(k, w);
        if (!e) e = train(k, w);
        end->stopped = !e && !k->refused && k->replica.state.epoch < experiment_epochs(x);
        if (!e) e = say_goodbye(k, w);
    }
    end->unsaved = k->session.unsaved;
    close_all(k);
    exchange_fini(&k->exchange);
    free(k);
    return e;
}
