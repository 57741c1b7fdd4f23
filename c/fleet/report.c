#include "fleet/report.h"

#include <libgen.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/object.h"
#include "fleet/page.h"

/* Silence after which a log without an "end" counts as a crash: while others continue, and when
 * another worker has ended. */
#define SILENT_S 60
#define ENDED_S  15

enum err report_open(struct report *r, const char *const *logs, size_t count, struct why *w)
{
    *r = (struct report){.logs = calloc(count + 1, sizeof *r->logs)};
    if (!r->logs) return why(w, ERR_MEMORY, "no memory for a report of %zu logs", count);
    enum err e = ERR_OK;
    for (; r->count < count && !e; r->count++) {
        e = history_open(&r->logs[r->count], logs[r->count], w);
        if (!e) history_read(&r->logs[r->count]);
    }
    if (e) report_close(r);
    return e;
}

void report_close(struct report *r)
{
    for (size_t i = 0; i < r->count; i++) history_close(&r->logs[i]);
    free(r->logs);
    *r = (struct report){0};
}

bool report_read(struct report *r)
{
    bool any = false;
    for (size_t i = 0; i < r->count; i++) any |= history_read(&r->logs[i]);
    return any;
}

/* ---- sums ---- */

struct sums {
    bool ended; /* some worker has ended normally */
    double first_t, last_t;
    uint64_t steps, tokens, dropped, sent, epoch;
    double step_ms, paused_ms, loss;
    double validation_first, validation, validation_first_t, validation_t;
    const struct history *named; /* a log with a "start": for what all have in common */
    /* holders: workers at the latest epoch; alike: those of them with the first one's digest. */
    size_t runs, holders, alike;
};

static void sum_evaluations(struct sums *s, const struct curve *c)
{
    const size_t n = curve_count(c);
    if (!n) return;
    if (curve_at(c, 0, EVALUATION_T) < s->validation_first_t) {
        s->validation_first_t = curve_at(c, 0, EVALUATION_T);
        s->validation_first = curve_at(c, 0, EVALUATION_LOSS);
    }
    if (curve_at(c, n - 1, EVALUATION_T) > s->validation_t) {
        s->validation_t = curve_at(c, n - 1, EVALUATION_T);
        s->validation = curve_at(c, n - 1, EVALUATION_LOSS);
    }
}

static const char *start_text(const struct history *h, const char *key)
{
    const char *s = json_string_value(json_object_get(h->start, key));
    return s ? s : "";
}

static bool first_of_its_run(const struct report *r, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!strcmp(start_text(&r->logs[k], "run"), start_text(&r->logs[i], "run"))) return false;
    return true;
}

static struct sums sum(const struct report *r)
{
    struct sums s = {.first_t = INFINITY,
                     .validation_first_t = INFINITY,
                     .validation_t = -INFINITY,
                     .validation_first = NAN,
                     .validation = NAN,
                     .loss = NAN};
    const struct history *holder = NULL;
    double losses = 0;
    size_t with_loss = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct history *h = &r->logs[i];
        if (h->first_t > 0) s.first_t = fmin(s.first_t, h->first_t);
        s.last_t = fmax(s.last_t, h->last_t);
        s.ended |= h->ended;
        s.steps += h->inner_steps;
        s.tokens += h->tokens;
        s.dropped += h->dropped;
        s.sent += h->sent + h->sent_before;
        s.step_ms += h->step_ms;
        s.paused_ms += h->paused_ms;
        s.epoch = h->epoch > s.epoch ? h->epoch : s.epoch;
        if (isfinite(h->loss_last)) losses += h->loss_last, with_loss++;
        sum_evaluations(&s, &h->evaluations);
        s.runs += h->start && first_of_its_run(r, i);
        if (!s.named && h->start) s.named = h;
    }
    if (with_loss) s.loss = losses / (double)with_loss;
    for (size_t i = 0; i < r->count; i++) {
        const struct history *h = &r->logs[i];
        if (!h->digest[0] || h->epoch != s.epoch) continue;
        if (!holder) holder = h;
        s.holders++;
        s.alike += !strcmp(holder->digest, h->digest);
    }
    return s;
}

uint64_t report_planned(const struct report *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->count; i++) n += r->logs[i].planned;
    return n;
}

uint64_t report_done(const struct report *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->count; i++) n += r->logs[i].done;
    return n;
}

/* ---- text ---- */

static void put(FILE *to, struct bytes b) { fwrite(b.data, 1, b.count, to); }

static void put_text(FILE *to, const char *s)
{
    for (; *s; s++) {
        if (*s == '<') fputs("&lt;", to);
        else if (*s == '&') fputs("&amp;", to);
        else fputc(*s, to);
    }
}

static void put_fact(FILE *to, const char *name, const char *value)
{
    fprintf(to, "<div><dt>");
    put_text(to, name);
    fprintf(to, "</dt><dd>");
    put_text(to, value);
    fprintf(to, "</dd></div>\n");
}

static void fact(FILE *to, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fact(FILE *to, const char *name, const char *format, ...)
{
    char value[256];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    put_fact(to, name, value);
}

/* 1234567 -> "1.23 M". */
static const char *short_number(double v, char to[32])
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    size_t u = 0;
    for (; fabs(v) >= 1000 && u + 1 < sizeof units / sizeof units[0]; u++) v /= 1000;
    snprintf(to, 32, u ? "%.3g%s" : "%.4g%s", v, units[u]);
    return to;
}

static const char *short_time(double s, char to[32])
{
    const unsigned long long n = s > 0 ? (unsigned long long)(s + 0.5) : 0;
    if (n < 60) snprintf(to, 32, "%.1f s", s > 0 ? s : 0);
    else if (n < 3600) snprintf(to, 32, "%llu min %llu s", n / 60, n % 60);
    else if (n < 2 * 86400) snprintf(to, 32, "%llu h %llu min", n / 3600, n / 60 % 60);
    else snprintf(to, 32, "%llu d %llu h", n / 86400, n / 3600 % 24);
    return to;
}

static const char *date(double t, char to[64])
{
    const time_t at = (time_t)t;
    struct tm parts;
    gmtime_r(&at, &parts);
    strftime(to, 64, "%Y-%m-%d %H:%M UTC", &parts);
    return to;
}

static void put_loss(FILE *to, const struct sums *s)
{
    if (isfinite(s->validation) && s->validation_first_t < s->validation_t)
        fact(to, "validation loss", "%.4f nats, from %.4f", s->validation, s->validation_first);
    else if (isfinite(s->validation)) fact(to, "validation loss", "%.4f nats", s->validation);
    if (isfinite(s->validation)) fact(to, "perplexity", "%.2f", exp(s->validation));
    if (isfinite(s->loss)) fact(to, "training loss", "%.4f nats", s->loss);
}

static void put_facts(FILE *to, const struct report *r, const struct sums *s,
                      const struct report_more *more)
{
    char a[32], b[32];
    const double seconds = s->last_t - s->first_t;
    const uint64_t planned = report_planned(r);
    const json_t *start = s->named ? s->named->start : NULL;
    const json_int_t steps = json_integer_value(json_object_get(start, "steps"));
    fprintf(to, "<dl class=facts>\n");
    put_loss(to, s);
    if (s->epoch && s->named && s->named->every)
        fact(to, "epochs", "%llu of %llu", (unsigned long long)s->epoch,
             (unsigned long long)((uint64_t)steps / s->named->every));
    fact(to, "tokens", "%s in %s inner steps", short_number((double)s->tokens, a),
         short_number((double)s->steps, b));
    if (planned)
        fact(to, "share of the plan", "%.1f %% of the planned tokens",
             100 * (double)report_done(r) / (double)planned);
    if (seconds > 0) fact(to, "speed", "%s tokens/s", short_number((double)s->tokens / seconds, a));
    if (seconds > 0) fact(to, "time", "%s", short_time(seconds, a));
    if (s->step_ms > 0)
        fact(to, "paused", "%.2f %% of the time", 100 * s->paused_ms / (s->paused_ms + s->step_ms));
    if (s->dropped)
        fact(to, "not kept", "%.2f %% of the tokens", 100 * (double)s->dropped / (double)s->tokens);
    if (s->sent) fact(to, "sent", "%sB", short_number((double)s->sent, a));
    if (s->holders > 1)
        fact(to, "replicas", "%s at epoch %llu",
             s->alike == s->holders ? "bit-identical" : "NOT identical",
             (unsigned long long)s->epoch);
    for (size_t i = 0; more && i < more->facts_count; i++)
        put_fact(to, more->facts[i].name, more->facts[i].value);
    fprintf(to, "</dl>\n");
}

/* "worker-3" of out/worker-3/log.jsonl, otherwise the file's own name. */
static void name_of(const struct history *h, char to[64])
{
    char folder[4096], file[4096];
    snprintf(folder, sizeof folder, "%s", h->path);
    snprintf(file, sizeof file, "%s", h->path);
    const char *own = basename(file);
    const char *name = strcmp(own, "log.jsonl") ? own : basename(dirname(folder));
    snprintf(to, 64, "%.40s", strcmp(name, ".") ? name : own);
}

static void put_workers(FILE *to, const struct report *r)
{
    char name[64], a[32], b[32], c[32];
    fprintf(to, "<h2>Workers</h2>\n<div class=wide><table><thead><tr><th>worker<th>ID<th>epoch"
                "<th>inner steps<th>tokens<th>not kept<th>paused<th>sent<th>received<th>ended"
                "</thead><tbody>\n");
    for (size_t i = 0; i < r->count; i++) {
        const struct history *h = &r->logs[i];
        name_of(h, name);
        fprintf(to, "<tr><td>");
        put_text(to, name);
        fprintf(to, "<td>%.8s<td>%llu<td>%llu<td>%s<td>%.1f %%<td>%.2f %%", h->id,
                (unsigned long long)h->epoch, (unsigned long long)h->inner_steps,
                short_number((double)h->tokens, a),
                h->tokens ? 100 * (double)h->dropped / (double)h->tokens : 0,
                h->step_ms > 0 ? 100 * h->paused_ms / (h->paused_ms + h->step_ms) : 0);
        fprintf(to, "<td>%sB<td>%sB<td>%s", short_number((double)(h->sent + h->sent_before), b),
                short_number((double)(h->received + h->received_before), c),
                h->ended ? "in order" : "not yet, or without a word");
        if (h->odd_lines)
            fprintf(to, " (%llu lines not understood)", (unsigned long long)h->odd_lines);
        fprintf(to, "\n");
    }
    fprintf(to, "</tbody></table></div>\n");
}

/* Nested settings as rows of dotted keys. */
static void put_setting(FILE *to, const char *prefix, const json_t *v)
{
    const char *key;
    json_t *inner;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)v, key, inner)
        {
            char longer[256];
            snprintf(longer, sizeof longer, "%s%s%s", prefix, *prefix ? "." : "", key);
            put_setting(to, longer, inner);
        }
        return;
    }
    char *text = json_is_string(v) ? strdup(json_string_value(v))
                                   : json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    fprintf(to, "<tr><th>");
    put_text(to, prefix);
    fprintf(to, "<td>");
    put_text(to, text ? text : "");
    fprintf(to, "\n");
    free(text);
}

static void put_head(FILE *to, const struct sums *s, size_t logs)
{
    const struct history *h = s->named;
    const char *name = h ? start_text(h, "experiment") : "";
    char first[64], last[64];
    fprintf(to, "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
                "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=color-scheme content=\"light dark\">\n<link rel=icon href=\"data:,\">\n"
                "<title>shoal: ");
    put_text(to, *name ? name : "a report");
    fprintf(to, "</title>\n<style>\n");
    put(to, page_dygraphs_style());
    put(to, page_style());
    fprintf(to, "</style>\n</head>\n<body>\n<header>\n<h1>");
    put_text(to, *name ? name : "shoal");
    fprintf(to, "</h1>\n<p>");
    if (isfinite(s->first_t))
        fprintf(to, "%s to %s, ", date(s->first_t, first), date(s->last_t, last));
    fprintf(to, "%zu worker%s", logs, logs == 1 ? "" : "s");
    if (h) {
        fprintf(to, ", run <code>%.32s</code>, shoal ", start_text(h, "run"));
        put_text(to, start_text(h, "version"));
    }
    fprintf(to, "</p>\n");
    if (s->runs > 1)
        fprintf(to,
                "<p class=warning>These logs are of %zu different runs: sums and settings "
                "below mix them.</p>\n",
                s->runs);
    fprintf(to, "</header>\n<main>\n");
}

/* ---- data for the script ---- */

static json_t *column(const struct curve *c, size_t k, double minus)
{
    json_t *list = json_array();
    for (size_t i = 0; i < curve_count(c); i++) {
        const double v = curve_at(c, i, k) - minus;
        json_array_append_new(list, isfinite(v) ? json_real(v) : json_null());
    }
    return list;
}

static json_t *columns(const struct curve *c, const char *const *names, double t0)
{
    json_t *o = json_object();
    for (size_t k = 0; k < c->columns; k++)
        json_object_set_new(o, names[k], column(c, k, k == 0 ? t0 : 0));
    return o;
}

static json_t *mark_json(double t, enum mark_kind kind, const char *text)
{
    json_t *m = json_object();
    object_f64(m, "t", t);
    object_text(m, "kind", mark_name(kind));
    object_text(m, "text", text ? text : "");
    return m;
}

static json_t *worker_json(const struct history *h, const struct sums *s)
{
    static const char *const steps[] = {"t", "step", "loss", "lr", "rate", "tokens"};
    static const char *const net[] = {"t", "sent", "received", "peers"};
    static const char *const outers[] = {"t", "epoch", "paused"};
    static const char *const evaluations[] = {"t", "step", "loss"};
    char name[64];
    name_of(h, name);
    json_t *o = json_object(), *marks = json_array();
    object_text(o, "name", name);
    object_text(o, "id", h->id);
    json_object_set_new(o, "steps", columns(&h->steps, steps, s->first_t));
    json_object_set_new(o, "net", columns(&h->net, net, s->first_t));
    json_object_set_new(o, "outers", columns(&h->outers, outers, s->first_t));
    json_object_set_new(o, "evaluations", columns(&h->evaluations, evaluations, s->first_t));
    for (size_t i = 0; i < h->marks_count; i++)
        json_array_append_new(
            marks, mark_json(h->marks[i].t - s->first_t, h->marks[i].kind, h->marks[i].text));
    if (!h->ended && h->starts && s->last_t - h->last_t > (s->ended ? ENDED_S : SILENT_S))
        json_array_append_new(marks, mark_json(h->last_t - s->first_t, MARK_CRASH,
                                               "its log ends here, without a word"));
    json_object_set_new(o, "marks", marks);
    object_u64(o, "marks_left_out", h->marks_left_out);
    return o;
}

static enum err put_data(FILE *to, const struct report *r, const struct sums *s, bool live,
                         struct why *w)
{
    json_t *o = json_object(), *workers = json_array();
    object_u64(o, "t0_ms", isfinite(s->first_t) ? (uint64_t)(s->first_t * 1e3) : 0);
    object_u64(o, "every", s->named ? s->named->every : 0);
    object_bool(o, "live", live);
    for (size_t i = 0; i < r->count; i++)
        json_array_append_new(workers, worker_json(&r->logs[i], s));
    json_object_set_new(o, "workers", workers);
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(7));
    json_decref(o);
    if (!text) return why(w, ERR_MEMORY, "no memory for the report's data");
    fprintf(to, "<script type=\"application/json\" id=data>");
    for (const char *c = text; *c; c++) {
        /* Occurs only in strings: no name may close the element. */
        if (*c == '<') fputs("\\u003c", to);
        else fputc(*c, to);
    }
    fprintf(to, "</script>\n");
    free(text);
    return ERR_OK;
}

static void put_rest(FILE *to, const struct report *r, const struct sums *s,
                     const struct report_more *more)
{
    fprintf(to, "<div id=charts><noscript>The curves need JavaScript.</noscript></div>\n");
    put_workers(to, r);
    if (more && more->sample && *more->sample) {
        fprintf(to, "<h2>Text from the model</h2>\n<pre>");
        put_text(to, more->sample);
        fprintf(to, "</pre>\n");
    }
    const json_t *settings = s->named ? json_object_get(s->named->start, "settings") : NULL;
    if (settings) {
        fprintf(to, "<details><summary>Settings</summary>\n<div class=wide><table class=settings>"
                    "<tbody>\n");
        put_setting(to, "", settings);
        fprintf(to, "</tbody></table></div></details>\n");
    }
    fprintf(to, "<details><summary>Events</summary>\n<div class=wide id=events></div></details>\n"
                "</main>\n");
}

enum err report_write(const struct report *r, const char *path, const struct report_more *more,
                      bool live, struct why *w)
{
    const struct sums s = sum(r);
    char *text = NULL;
    size_t count = 0;
    FILE *to = open_memstream(&text, &count);
    if (!to) return why(w, ERR_MEMORY, "no memory for the report");
    put_head(to, &s, r->count);
    put_facts(to, r, &s, more);
    put_rest(to, r, &s, more);
    enum err e = put_data(to, r, &s, live, w);
    fprintf(to, "<script>\n/*\n");
    put(to, page_dygraphs_license());
    fprintf(to, "*/\n");
    put(to, page_dygraphs());
    fprintf(to, "</script>\n<script>\n");
    put(to, page_script());
    fprintf(to, "</script>\n</body>\n</html>\n");
    const bool whole = !fclose(to);
    if (!e && !whole) e = why(w, ERR_MEMORY, "no memory for the report");
    const struct bytes all = bytes_of(text, count);
    if (!e) e = file_write_atomic(path, &all, 1, 0644, w);
    free(text);
    return e;
}
