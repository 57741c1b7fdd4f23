#include "bin/fleet.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/process.h"
#include "model/checkpoint.h"
#include "model/outer.h"
#include "net/crypto.h"
#include "net/identity.h"

/* Workers whose process was alive at a moment: g of the data-parallel comparison. */
static size_t alive_at(const struct fleet *f, double t)
{
    size_t g = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct fleet_worker *k = &f->workers[i];
        g += k->began <= t && (k->ended == 0 || t <= k->ended);
    }
    return g ? g : 1;
}

static void sum_steps(const struct fleet *f, struct fleet_summary *s)
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

static void sum_events(const struct fleet *f, struct fleet_summary *s)
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

/* SHA-256 of anchor, then momentum, of the newest checkpoint in a folder: read from the disk, not from the log. */
static enum err digest_of(const char *dir, char out[65], uint64_t *epoch, struct why *w)
{
    bool found;
    char path[EXPERIMENT_PATH_BYTES + 32];
    struct checkpoint c;
    enum err e = checkpoint_newest(dir, NULL, &found, path, w);
    if (!e && !found) e = why(w, ERR_IO, "there is no checkpoint in %s", dir);
    if (!e) e = checkpoint_peek(path, &c, w);
    if (e) return e;
    float *both = malloc(2 * c.parameters * sizeof(float));
    if (!both) return why(w, ERR_MEMORY, "no memory to compare checkpoints");
    c.sections[CHECKPOINT_ANCHOR] = both;
    c.sections[CHECKPOINT_MOMENTUM] = both + c.parameters;
    e = checkpoint_read(path, c.parameters, &c, w);
    struct crypto hash = crypto_of(NULL);
    uint8_t digest[CRYPTO_HASH_BYTES];
    char text[IDENTITY_TEXT_BYTES];
    outer_digest(&hash, both, both + c.parameters, c.parameters, digest);
    free(both);
    memcpy(out, identity_print(digest, text), sizeof text);
    *epoch = c.epoch;
    return e;
}

/* Checks by the checkpoints themselves that all who finished hold the same bits. */
static enum err sum_digests(const struct fleet *f, struct fleet_summary *s, struct why *w)
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

static void take_sample(const struct fleet *f, struct fleet_summary *s)
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

enum err fleet_sum(const struct fleet *f, struct fleet_summary *out, struct why *w)
{
    *out = (struct fleet_summary){.workers = f->count};
    sum_steps(f, out);
    sum_events(f, out);
    out->unigram_entropy = corpus_entropy(f->experiment->data.corpus);
    take_sample(f, out);
    return sum_digests(f, out, w);
}

static json_t *real(double v) { return isfinite(v) ? json_real(v) : json_null(); }

/* A sample may end in the middle of a character: then it is cut back to whole ones. */
static json_t *text(const char *s)
{
    size_t n = strlen(s);
    json_t *whole = NULL;
    while (!(whole = json_stringn(s, n)) && n) n--;
    return whole;
}

static enum err write_summary(const struct fleet *f, const struct fleet_summary *s, struct why *w)
{
    json_t *o = json_object();
    const struct {
        const char *key;
        json_t *value;
    } fields[] = {
        {"workers", json_integer((json_int_t)s->workers)},
        {"epochs", json_integer((json_int_t)s->epochs)},
        {"inner_steps", json_integer((json_int_t)s->inner_steps)},
        {"tokens", json_integer((json_int_t)s->tokens)},
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

/* The picture: loss over time, one line a worker, outer steps and arrivals marked. Plain SVG, no script. */
enum { LEFT = 60, TOP = 20, WIDE = 900, HIGH = 360 };

struct frame {
    double t0, t1, low, high;
};

static double px(const struct frame *r, double t)
{
    return LEFT + (t - r->t0) / (r->t1 - r->t0) * WIDE;
}
static double py(const struct frame *r, double v)
{
    return TOP + (r->high - v) / (r->high - r->low) * HIGH;
}

static struct frame frame_of(const struct fleet *f)
{
    struct frame r = {.t0 = INFINITY, .t1 = -INFINITY, .low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < f->count; i++) {
        const struct watch_series *s = &f->workers[i].watch.steps;
        for (size_t k = 0; k < s->count; k++) {
            const struct watch_point *p = &s->points[k];
            r.t0 = fmin(r.t0, p->t);
            r.t1 = fmax(r.t1, p->t);
            r.low = fmin(r.low, p->value);
            r.high = fmax(r.high, p->value);
        }
    }
    if (!(r.t1 > r.t0)) r = (struct frame){0, 1, 0, 1};
    if (!(r.high > r.low)) r.high = r.low + 1;
    return r;
}

static void draw_series(FILE *h, const struct frame *r, const struct watch_series *s,
                        const char *style)
{
    size_t stride = s->count / 600 + 1; /* more points than pixels help nobody */
    fprintf(h, "<polyline fill='none' %s points='", style);
    for (size_t k = 0; k < s->count; k += stride)
        fprintf(h, "%.1f,%.1f ", px(r, s->points[k].t), py(r, s->points[k].value));
    fprintf(h, "'/>\n");
}

static void draw_mark(FILE *h, const struct frame *r, double t, const char *color, const char *text)
{
    if (t < r->t0 || t > r->t1) return;
    fprintf(h, "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='%s' stroke-dasharray='4 3'/>",
            px(r, t), TOP, px(r, t), TOP + HIGH, color);
    fprintf(h, "<text x='%.1f' y='%d' font-size='11' fill='%s'>%s</text>\n", px(r, t) + 3, TOP + 12,
            color, text);
}

static void draw(FILE *h, const struct fleet *f)
{
    static const char *const colors[] = {"#1b6ca8", "#c0392b", "#27864b",
                                         "#8e44ad", "#b9770e", "#117a8b"};
    struct frame r = frame_of(f);
    fprintf(h, "<svg viewBox='0 0 %d %d' width='100%%' font-family='sans-serif'>\n",
            LEFT + WIDE + 20, TOP + HIGH + 40);
    for (int i = 0; i <= 5; i++) {
        double v = r.low + (r.high - r.low) * i / 5;
        fprintf(h,
                "<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' stroke='#ddd'/><text x='8' y='%.1f' "
                "font-size='12'>%.2f</text>",
                LEFT, LEFT + WIDE, py(&r, v), py(&r, v), py(&r, v) + 4, v);
        double t = r.t0 + (r.t1 - r.t0) * i / 5;
        fprintf(h, "<text x='%.1f' y='%d' font-size='12'>%.0f s</text>\n", px(&r, t) - 10,
                TOP + HIGH + 20, t - r.t0);
    }
    const struct watch_series *outers = NULL; /* of the worker that saw most of them */
    for (size_t i = 0; i < f->count; i++)
        if (!outers || f->workers[i].watch.outers.count > outers->count)
            outers = &f->workers[i].watch.outers;
    for (size_t k = 0; outers && k < outers->count; k++) {
        char text[32];
        snprintf(text, sizeof text, "%llu", (unsigned long long)outers->points[k].epoch);
        draw_mark(h, &r, outers->points[k].t, "#999", text);
    }
    for (size_t i = 0; i < f->count; i++) {
        const struct fleet_worker *k = &f->workers[i];
        char style[96];
        snprintf(style, sizeof style, "stroke='%s' stroke-width='1' opacity='0.7'", colors[i % 6]);
        draw_series(h, &r, &k->watch.steps, style);
        if (i == 0) draw_series(h, &r, &k->watch.evaluations, "stroke='#000' stroke-width='2'");
        if (k->joined_late) draw_mark(h, &r, k->began, "#27864b", "join");
        if (k->crashed) draw_mark(h, &r, k->ended, "#c0392b", "crash");
    }
    fprintf(h, "</svg>\n");
}

static void put_escaped(FILE *h, const char *s)
{
    for (; *s; s++) {
        if (*s == '<') fputs("&lt;", h);
        else if (*s == '&') fputs("&amp;", h);
        else fputc(*s, h);
    }
}

static void write_html(FILE *h, const struct fleet *f, const struct fleet_summary *s)
{
    fprintf(h, "<!doctype html><meta charset='utf-8'><title>shoal: ");
    put_escaped(h, f->experiment->name);
    fprintf(
        h,
        "</title><style>body{font:15px sans-serif;max-width:1000px;margin:2em "
        "auto}td,th{padding:2px 12px;"
        "text-align:right}pre{white-space:pre-wrap;background:#f4f4f4;padding:1em}</style>\n<h1>");
    put_escaped(h, f->experiment->name);
    fprintf(h,
            "</h1><p>%llu workers, %llu outer epochs, %llu inner steps, %llu tokens, %.0f "
            "tokens/s. Training loss of "
            "each worker in color, validation loss in black, outer steps numbered.</p>\n",
            (unsigned long long)s->workers, (unsigned long long)s->epochs,
            (unsigned long long)s->inner_steps, (unsigned long long)s->tokens,
            s->tokens_per_second);
    draw(h, f);
    fprintf(h,
            "<table><tr><td>validation loss<td>%.4f nats, from %.4f; a model that only counts "
            "tokens cannot get below "
            "%.4f<tr><td>sent<td>%.1f MB; data parallel would send %.1f MB, %.0f times as "
            "much<tr><td>not training"
            "<td>%.2f %% of the time<tr><td>replicas<td>%s</table>\n",
            s->validation_loss, s->validation_loss_first, s->unigram_entropy, s->bytes_sent * 1e-6,
            s->bytes_data_parallel * 1e-6, s->bytes_data_parallel / s->bytes_sent,
            s->sync_share * 100, s->digests_equal ? "bit-identical" : "NOT identical");
    fprintf(h, "<table><tr><th>worker<th>steps<th>epoch<th>sent MB<th>came<th>went\n");
    for (size_t i = 0; i < f->count; i++) {
        const struct fleet_worker *k = &f->workers[i];
        fprintf(h, "<tr><td>%zu<td>%zu<td>%llu<td>%.2f<td>%s<td>%s\n", i, k->watch.steps.count,
                (unsigned long long)k->watch.epoch,
                (double)(k->watch.sent + k->watch.sent_before) * 1e-6,
                k->joined_late ? "late, state from peers" : "at the start",
                k->killed    ? "killed"
                : k->crashed ? "crashed"
                             : "finished");
    }
    fprintf(h, "</table>\n<pre>");
    put_escaped(h, s->sample);
    fprintf(h, "</pre>\n");
}

enum err fleet_report(const struct fleet *f, const struct fleet_summary *s, struct why *w)
{
    enum err e = write_summary(f, s, w);
    if (e) return e;
    char path[EXPERIMENT_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/report.html", f->dir);
    char *text = NULL;
    size_t count = 0;
    FILE *h = open_memstream(&text, &count);
    if (!h) return why(w, ERR_MEMORY, "no memory for the report");
    write_html(h, f, s);
    fclose(h);
    struct bytes all = bytes_of(text, count);
    e = file_write_atomic(path, &all, 1, 0644, w);
    free(text);
    return e;
}
