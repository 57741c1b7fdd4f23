#include "node/session.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/machine.h"
#include "model/budget.h"
#include "net/identity.h"
#include "node/events.h"

static double ms_since(instant t) { return span_in_s(instant_since(clock_now(), t)) * 1e3; }

/* Prefix of lines on stdout: a worker's may be mixed with those of others. */
static const char *prefix(const struct session *s) { return s->config.of_swarm ? "shoal: " : ""; }

void session_init(struct session *s, struct experiment *x, const struct session_config *c)
{
    memset(s, 0, sizeof *s);
    s->x = x;
    s->config = *c;
    s->hash = identity_crypto(NULL);
    s->lock = -1;
}

/* Claiming the folder. */

static enum err choose_paths(const struct session *s, struct why *w)
{
    struct experiment *x = s->x;
    const char *dir = s->config.dir;
    if (!dir) return ERR_OK;
    if (strlen(dir) > EXPERIMENT_PATH_BYTES - 32)
        return why(w, ERR_USAGE, "--dir %.64s... is too long", dir);
    snprintf(x->checkpoint.dir, sizeof x->checkpoint.dir, "%s/checkpoints", dir);
    if (x->metrics.log[0]) /* empty: no log */
        snprintf(x->metrics.log, sizeof x->metrics.log, "%s/log.jsonl", dir);
    if (!s->config.of_swarm) return ERR_OK;
    snprintf(x->swarm.identity, sizeof x->swarm.identity, "%s/node.key", dir);
    snprintf(x->swarm.ticket, sizeof x->swarm.ticket, "%s/node.ticket", dir);
    snprintf(x->swarm.revoked, sizeof x->swarm.revoked, "%s/node.revoked", dir);
    return ERR_OK;
}

/* `train` must not use a folder with checkpoints of a swarm: its own hold no anchor. */
static enum err check_folder(const struct session *s, struct why *w)
{
    struct checkpoint c;
    const char *dir = s->x->checkpoint.dir;
    if (s->config.of_swarm || !file_exists(dir) || !checkpoints_peek(dir, true, &c)) return ERR_OK;
    return why(w, ERR_USAGE,
               "%s holds checkpoints of a swarm, up to epoch %llu: nothing was done; name another "
               "folder with --dir, and --from %s to begin with what the swarm learned",
               dir, (unsigned long long)c.epoch, dir);
}

enum err session_claim(struct session *s, struct why *w)
{
    char lock[EXPERIMENT_PATH_BYTES + 8];
    const char *dir = s->x->checkpoint.dir;
    enum err e = choose_paths(s, w);
    if (!e) e = check_folder(s, w);
    if (!e) e = file_make_dirs(dir, w);
    snprintf(lock, sizeof lock, "%s/lock", dir);
    if (!e) e = file_lock(lock, &s->lock, w);
    if (e) return e;
    const size_t left = checkpoints_tidy(dir);
    if (left) printf("%sremoved %zu unfinished checkpoints of killed saves\n", prefix(s), left);
    return check_folder(s, w); /* under the lock */
}

/* Opening the rest. */

/* Everything that can change after a checkpoint was written. */
static struct session_saved saved_as(const struct checkpoint *c)
{
    struct session_saved s = {.step = c->step, .position = c->position};
    memcpy(s.lineage, c->lineage, sizeof s.lineage);
    return s;
}

/* Opens the run's name and its devices; both depend on the newest checkpoint. */
static enum err open_setup(struct session *s, struct why *w)
{
    struct checkpoint newest;
    const struct session_config *c = &s->config;
    const char *dir = s->x->checkpoint.dir;
    const bool resumes = !c->fresh && checkpoints_peek(dir, c->of_swarm, &newest);
    enum err e = start_open(&s->start, c->from, resumes ? &newest : NULL, &s->hash, w);
    if (!e) e = setup_open(&s->setup, c->command, s->x, resumes ? &newest : NULL, &s->hash, w);
    if (!e) e = start_check(&s->start, s->x, &s->setup, w);
    if (!e && s->start.given) setup_name_run(&s->setup, s->x, s->start.digest, &s->hash);
    return e;
}

enum err session_open(struct session *s, const uint8_t identity[CRYPTO_KEY_BYTES],
                      uint64_t more_bytes, size_t vectors, struct why *w)
{
    enum err e = open_setup(s, w);
    const struct devices *d = &s->setup.devices;
    if (!e) /* everything that `plan` counts, before any of it is allocated */
        e = budget_check_host(s->x, d->ranks, d->count, more_bytes, machine_memory_available(), w);
    if (!e) setup_warn_disk(s->x, vectors);
    if (!e) e = trainer_open(s->x, d->ranks, d->count, s->setup.corpus, identity, &s->trainer, w);
    if (e) return e;
    s->state = trainer_state(s->trainer);
    e = start_apply(&s->start, s->trainer, identity, w);
    start_close(&s->start);
    s->saved.position = s->state->position; /* the start of a run needs no checkpoint */
    return e;
}

/* Checkpoints. */

struct checkpoint session_describe(struct session *s, uint64_t step)
{
    struct checkpoint c = {
        .shape = s->x->model,
        .parameters = trainer_layout(s->trainer)->parameters,
        .step = step,
        .adam_steps = s->state->steps,
        .position = s->state->position,
        .tokens = s->state->tokens,
        .micro_batch = trainer_micro_batch(s->trainer),
    };
    for (int v = 0; v < TRAINER_VECTORS; v++) c.sections[v] = trainer_host(s->trainer, v);
    setup_describe(&s->setup, s->x, &c);
    return c;
}

/* --fresh: moves existing checkpoints out of the way, without deleting them. */
static enum err set_aside(const struct session *s, struct why *w)
{
    size_t count;
    char aside[CHECKPOINTS_PATH_BYTES];
    enum err e = checkpoints_set_aside(s->x->checkpoint.dir, &count, aside, w);
    if (!e && count) printf("%s--fresh: %zu checkpoints are in %s now\n", prefix(s), count, aside);
    return e;
}

enum err session_resume(struct session *s, struct checkpoint *c, bool *found, struct why *w)
{
    char path[CHECKPOINTS_PATH_BYTES];
    *found = false;
    if (s->config.fresh) return set_aside(s, w);
    const struct checkpoints_want want = {
        .ids = &s->setup.ids, .shared = &s->setup.shared, .anchor = s->config.of_swarm};
    enum err e = checkpoints_newest(s->x->checkpoint.dir, &want, found, path, w);
    if (e || !*found) return e;
    e = checkpoint_read(path, c->parameters, c, w);
    if (e) return e;
    trainer_push(s->trainer);
    s->state->steps = c->adam_steps;
    s->state->position = c->position;
    s->state->tokens = c->tokens;
    s->saved = saved_as(c);
    printf("%sgoes on from %s\n", prefix(s), path);
    return ERR_OK;
}

enum err session_save(struct session *s, const struct checkpoint *c, struct why *w)
{
    struct why failed = {0};
    const instant began = clock_now();
    const struct experiment *x = s->x;
    enum err e = trainer_pull(s->trainer, w);
    if (e) return e;
    e = checkpoints_save(x->checkpoint.dir, c, x->checkpoint.keep, &failed);
    events_checkpoint(s->log, s->config.of_swarm ? c->epoch : EVENTS_ALONE, c->step,
                      ms_since(began), e ? failed.text : NULL);
    s->unsaved = e;
    if (!e) {
        s->saved = saved_as(c);
        return ERR_OK;
    }
    fprintf(stderr, "shoal%s: %s\n", s->config.of_swarm ? "" : " train", failed.text);
    return x->checkpoint.required ? why(w, e, "%s", failed.text) : ERR_OK;
}

enum err session_save_last(struct session *s, const struct checkpoint *c, struct why *w)
{
    const struct session_saved now = saved_as(c);
    return memcmp(&now, &s->saved, sizeof now) ? session_save(s, c, w) : ERR_OK;
}

enum err session_evaluate(struct session *s, uint64_t epoch, uint64_t step, double *loss,
                          uint64_t *tokens, struct why *w)
{
    const instant began = clock_now();
    enum err e = trainer_evaluate(s->trainer, s->x->evaluate.tokens, loss, tokens, w);
    if (!e) events_evaluate(s->log, epoch, step, *loss, *tokens, ms_since(began));
    return e;
}

void session_close(struct session *s)
{
    if (s->trainer) trainer_close(s->trainer);
    setup_close(&s->setup);
    event_log_close(s->log);
    start_close(&s->start);
    if (s->lock >= 0) file_unlock(s->lock);
}
