#include "fleet/summary.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/object.h"
#include "base/process.h"
#include "fleet/report.h"
#include "model/checkpoints.h"
#include "net/identity.h"
#include "outer/outer.h"

/* Workers whose process was alive at time `t`: g of the data-parallel comparison. */
static size_t alive_at(const struct fleet *f, double t)
{
    size_t g = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct fleet_worker *k = &f->workers[i];
        g += k->began <= t && (k->ended == 0 || t <= k->ended);
    }
    return g ? g : 1;
}

static void sum_steps(const struct fleet *f, struct summary *s)
{
    double first = INFINITY, last = 0, kept_ms = 0, wall_ms = 0, first_losses = 0, last_losses = 0;
    size_t starters = 0, finishers = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct watch *w = &f->workers[i].watch;
        const struct watch_series *steps = &w->steps;
        if (!steps->count) continue;
        double step_ms = 0;
        for (size_t k = 0; k < steps->count; k++) {
            double g = (double)alive_at(f, steps->points[k].t);
            s->bytes_data_parallel += 2 * (g - 1) / g * 4 * (double)w->parameters;
            step_ms += steps->points[k].ms;
        }
        const struct watch_point *a = &steps->points[0], *z = &steps->points[steps->count - 1];
        double begin = a->t - a->ms * 1e-3;
        if (begin < first) first = begin;
        if (z->t > last) last = z->t;
        wall_ms += (z->t - begin) * 1e3 - w->excluded_ms;
        kept_ms += step_ms - w->dropped_ms - w->pending_ms;
        s->inner_steps += steps->count;
        s->tokens += steps->count * w->batch_tokens;
        if (!f->workers[i].joined_late) first_losses += a->value, starters++;
        if (w->ended) last_losses += z->value, finishers++;
    }
    s->tokens_per_second = last > first ? (double)s->tokens / (last - first) : 0;
    s->train_loss_first = starters ? first_losses / (double)starters : NAN;
    s->train_loss_last = finishers ? last_losses / (double)finishers : NAN;
    s->sync_share = wall_ms > 0 ? 1 - kept_ms / wall_ms : NAN;
}

static void sum_events(const struct fleet *f, struct summary *s)
{
    s->validation_loss_first = s->validation_loss = NAN;
    double earliest = INFINITY, latest = -INFINITY;
    for (size_t i = 0; i < f->count; i++) {
        const struct fleet_worker *k = &f->workers[i];
        const struct watch *w = &k->watch;
        s->bytes_sent += (double)(w->sent + w->sent_before);
        if (k->joined_late && w->joined_servers > 0) {
            s->joins++;
            s->join_epoch = w->joined_epoch;
            s->join_bytes += w->joined_bytes;
            s->join_servers = w->joined_servers;
        }
        if (w->lag_p99_ms > s->network_lag_p99_ms) s->network_lag_p99_ms = w->lag_p99_ms;
        s->crashes += k->crashed;
        if (w->epoch > s->epochs) s->epochs = w->epoch;
        for (size_t e = 0; e < w->evaluations.count; e++) {
            const struct watch_point *p = &w->evaluations.points[e];
            if (p->t < earliest) earliest = p->t, s->validation_loss_first = p->value;
            if (p->t > latest) latest = p->t, s->validation_loss = p->value;
        }
    }
}

static double corpus_entropy(const char *corpus)
{
    char path[EXPERIMENT_PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/manifest.json", corpus);
    json_t *manifest = json_load_file(path, 0, NULL);
    double nats = manifest ? json_number_value(json_object_get(manifest, "unigram_entropy")) : NAN;
    json_decref(manifest);
    return nats;
}

/* The state's digest in a checkpoint. ERR_MEMORY. */
static enum err digest_state(const struct checkpoint *c, uint8_t out[CRYPTO_HASH_BYTES],
                             struct why *w)
{
    const struct crypto hash = identity_crypto(NULL);
    const struct outer_layout l = outer_layout_of(c->parameters);
    uint8_t *leaves = malloc(outer_leaves_bytes(&l));
    if (!leaves) return why(w, ERR_MEMORY, "no memory to compare checkpoints");
    outer_leaves(&hash, &l, c->sections[CHECKPOINT_ANCHOR], c->sections[CHECKPOINT_MOMENTUM],
                 leaves);
    outer_digest(&hash, &l, leaves, out);
    free(leaves);
    return ERR_OK;
}

/* The state's digest in the newest checkpoint in a folder: read from the disk, not from the log. */
static enum err digest_of(const char *dir, char out[65], uint64_t *epoch, struct why *w)
{
    bool found;
    char path[CHECKPOINTS_PATH_BYTES];
    struct checkpoint c;
    const struct checkpoints_want of_swarm = {.anchor = true};
    enum err e = checkpoints_newest(dir, &of_swarm, &found, path, w);
    if (!e && !found) e = why(w, ERR_IO, "there is no checkpoint in %s", dir);
    if (!e) e = checkpoint_peek(path, &c, w);
    if (e) return e;
    float *both = malloc(2 * c.parameters * sizeof(float));
    if (!both) return why(w, ERR_MEMORY, "no memory to compare checkpoints");
    c.sections[CHECKPOINT_ANCHOR] = both;
    c.sections[CHECKPOINT_MOMENTUM] = both + c.parameters;
    uint8_t digest[CRYPTO_HASH_BYTES];
    e = checkpoint_read(path, c.parameters, &c, w);
    if (!e) e = digest_state(&c, digest, w);
    if (!e) bytes_hex(digest, sizeof digest, out);
    *epoch = c.epoch;
    free(both);
    return e;
}

/* Checks, from the checkpoints themselves, that all finished workers hold the same bits. */
static enum err sum_digests(const struct fleet *f, struct summary *s, struct why *w)
{
    size_t seen = 0;
    s->digests_equal = true;
    for (size_t i = 0; i < f->count; i++) {
        const struct fleet_worker *k = &f->workers[i];
        if (k->crashed || !k->watch.ended) continue;
        char digest[65];
        uint64_t epoch;
        char checkpoints[EXPERIMENT_PATH_BYTES + 16];
        snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", k->dir);
        enum err e = digest_of(checkpoints, digest, &epoch, w);
        if (e) return e;
        if (!seen++) memcpy(s->digest, digest, sizeof digest);
        if (strcmp(s->digest, digest) || epoch != s->epochs) s->digests_equal = false;
    }
    if (!seen) s->digests_equal = false;
    return ERR_OK;
}

static void take_sample(const struct fleet *f, struct summary *s)
{
    for (size_t i = 0; i < f->count && !s->sample[0]; i++) {
        const struct fleet_worker *k = &f->workers[i];
        if (k->crashed || !k->watch.ended) continue;
        char from[EXPERIMENT_PATH_BYTES + 16];
        snprintf(from, sizeof from, "%s/checkpoints", k->dir);
        const char *argv[] = {"shoal", "generate", "--tokens", "64",   "--seed",
                              "1",     "--",       from,       "The ", NULL};
        process_output(argv, s->sample, sizeof s->sample);
    }
}

void summary_of_logs(const struct fleet *f, struct summary *out)
{
    *out = (struct summary){.workers = f->count};
    sum_steps(f, out);
    sum_events(f, out);
}

enum err summary_of_disk(const struct fleet *f, struct summary *out, struct why *w)
{
    out->unigram_entropy = corpus_entropy(f->experiment->data.corpus);
    take_sample(f, out);
    return sum_digests(f, out, w);
}

static json_t *real(double v) { return isfinite(v) ? json_real(v) : json_null(); }

/* A sample may end in the middle of a character: then the partial one is cut off. */
static json_t *text(const char *s)
{
    size_t n = strlen(s);
    json_t *whole = NULL;
    while (!(whole = json_stringn(s, n)) && n) n--;
    return whole;
}

static enum err write_json(const struct fleet *f, const struct summary *s, struct why *w)
{
    json_t *o = json_object();
    const struct {
        const char *key;
        json_t *value;
    } fields[] = {
        {"schema", json_integer(OBJECT_SCHEMA)},
        {"workers", json_integer((json_int_t)s->workers)},
        {"epochs", json_integer((json_int_t)s->epochs)},
        {"inner_steps", json_integer((json_int_t)s->inner_steps)},
        {"tokens", json_integer((json_int_t)s->tokens)},
        {"planned_share", real(s->planned_share)},
        {"tokens_per_second", real(s->tokens_per_second)},
        {"train_loss_first", real(s->train_loss_first)},
        {"train_loss_last", real(s->train_loss_last)},
        {"validation_loss_first", real(s->validation_loss_first)},
        {"validation_loss", real(s->validation_loss)},
        {"validation_perplexity", real(exp(s->validation_loss))},
        {"unigram_entropy", real(s->unigram_entropy)},
        {"bytes_sent", json_integer((json_int_t)s->bytes_sent)},
        {"bytes_data_parallel", json_integer((json_int_t)s->bytes_data_parallel)},
        {"sync_share", real(s->sync_share)},
        {"digests_equal", json_boolean(s->digests_equal)},
        {"digest", json_string(s->digest)},
        {"joins", json_integer((json_int_t)s->joins)},
        {"join_epoch", json_integer((json_int_t)s->join_epoch)},
        {"join_bytes", json_integer((json_int_t)s->join_bytes)},
        {"join_servers", json_integer((json_int_t)s->join_servers)},
        {"crashes", json_integer((json_int_t)s->crashes)},
        {"network_lag_p99_ms", real(s->network_lag_p99_ms)},
        {"sample", text(s->sample)},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        json_object_set_new(o, fields[i].key, fields[i].value);
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(o);
    char path[EXPERIMENT_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/summary.json", f->dir);
    struct bytes parts[] = {bytes_of(text, strlen(text)), bytes_of("\n", 1)};
    enum err e = file_write_atomic(path, parts, 2, 0644, w);
    free(text);
    return e;
}

/* Adds what the logs do not contain to the report. */
static enum err write_report(const struct fleet *f, const struct summary *s, const struct report *r,
                             struct why *w)
{
    char floor[64], parallel[128], replicas[64];
    snprintf(floor, sizeof floor, "%.4f nats at best", s->unigram_entropy);
    snprintf(parallel, sizeof parallel, "%.1f MB, %.0f times as much as was sent",
             s->bytes_data_parallel * 1e-6, s->bytes_data_parallel / fmax(s->bytes_sent, 1));
    snprintf(replicas, sizeof replicas, "%s", s->digests_equal ? "bit-identical" : "NOT identical");
    const struct report_fact facts[] = {{"a model that only counts tokens", floor},
                                        {"data parallel would send", parallel},
                                        {"last checkpoints", replicas}};
    const struct report_more more = {
        .facts = facts, .facts_count = sizeof facts / sizeof facts[0], .sample = s->sample};
    char path[EXPERIMENT_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/report.html", f->dir);
    return report_write(r, path, &more, false, w);
}

enum err summary_write(const struct fleet *f, struct summary *s, struct why *w)
{
    const char *logs[FLEET_MAX + 1];
    size_t count = 0; /* a worker that could not start has no log */
    for (size_t i = 0; i < f->count; i++)
        if (file_exists(f->workers[i].watch.path)) logs[count++] = f->workers[i].watch.path;
    struct report r;
    enum err e = report_open(&r, logs, count, w);
    if (e) return e;
    const uint64_t planned = report_planned(&r);
    s->planned_share = planned ? (double)report_done(&r) / (double)planned : NAN;
    e = write_json(f, s, w);
    if (!e) e = write_report(f, s, &r, w);
    report_close(&r);
    return e;
}
