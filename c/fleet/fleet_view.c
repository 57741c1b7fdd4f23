#include "fleet/fleet_view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"

#define DRAW_MS     500
#define CELL_BYTES  24
#define SAID_BYTES  320
#define OUTERS_PACE 5 /* latest epochs from which the remaining time is estimated */

void fleet_view_init(struct fleet_view *v, const struct fleet *f, int fd)
{
    memset(v, 0, sizeof *v);
    v->fleet = f;
    terminal_init(&v->terminal, fd);
}

void fleet_view_say(struct fleet_view *v, const char *format, ...)
{
    char line[SAID_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    terminal_say(&v->terminal, line);
    v->due.ns = 0; /* the table was erased: redraw at once */
}

static double loss_of(const struct watch *w)
{
    return w->steps.count ? w->steps.points[w->steps.count - 1].value : NAN;
}

static const char *state_of(const struct fleet_worker *k)
{
    return k->pid > 0 ? k->watch.phase : k->crashed ? "dead" : "ended";
}

/* The table's columns in the order in which they are given space. */
enum column { WORKER, STATE, EPOCH, LOSS, RATE, STEP, PEERS, SENT, LAG, COLUMNS };

static const struct {
    const char *title;
    int width; /* negative: left-aligned, as in printf */
} columns[COLUMNS] = {
    [WORKER] = {"worker", -6}, [STATE] = {"state", -6}, [EPOCH] = {"epoch", 5},
    [LOSS] = {"loss", 8},      [RATE] = {"tok/s", 7},   [STEP] = {"step", 7},
    [PEERS] = {"peers", 5},    [SENT] = {"sent", 8},    [LAG] = {"lag ms", 8},
};

static void cell(const struct fleet_worker *k, size_t index, enum column c, char out[CELL_BYTES])
{
    const struct watch *w = &k->watch;
    const double loss = loss_of(w);
    char bytes[32];
    switch (c) {
    case WORKER:
        snprintf(out, CELL_BYTES, "%zu", index);
        break;
    case STATE:
        snprintf(out, CELL_BYTES, "%.6s", state_of(k));
        break;
    case EPOCH:
        snprintf(out, CELL_BYTES, "%llu", (unsigned long long)w->epoch);
        break;
    case LOSS:
        snprintf(out, CELL_BYTES, isnan(loss) ? "-" : "%.4f", loss);
        break;
    case RATE:
        snprintf(out, CELL_BYTES, "%.0f", k->pid > 0 ? w->tokens_per_s : 0);
        break;
    case STEP:
        snprintf(out, CELL_BYTES, "%zu", w->steps.count);
        break;
    case PEERS:
        snprintf(out, CELL_BYTES, "%llu", (unsigned long long)w->peers);
        break;
    case SENT:
        snprintf(out, CELL_BYTES, "%.20s", amount_bytes((double)(w->sent + w->sent_before), bytes));
        break;
    case LAG:
        snprintf(out, CELL_BYTES, "%.1f", w->lag_p99_ms);
        break;
    case COLUMNS:
        break;
    }
}

static void draw_row(const struct fleet_view *v, struct terminal_picture *p, size_t index,
                     size_t shown)
{
    char line[TERMINAL_LINE_BYTES] = "", text[CELL_BYTES];
    size_t used = 0;
    for (size_t c = 0; c < shown; c++) {
        if (index == SIZE_MAX) snprintf(text, sizeof text, "%s", columns[c].title);
        else cell(&v->fleet->workers[index], index, (enum column)c, text);
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%*s", c ? " " : "",
                                 columns[c].width, text);
    }
    terminal_line(p, "%s", line);
}

/* Estimated seconds until the last epoch, from the pace of the latest ones; NAN while unknown. */
static double left_of(const struct fleet_view *v, double now_s)
{
    const struct watch_series *s = NULL;
    for (size_t i = 0; i < v->fleet->count; i++)
        if (!s || v->fleet->workers[i].watch.outers.count > s->count)
            s = &v->fleet->workers[i].watch.outers;
    if (!s || s->count < 2) return NAN;
    const size_t first = s->count > OUTERS_PACE ? s->count - 1 - OUTERS_PACE : 0;
    const struct watch_point *a = &s->points[first], *z = &s->points[s->count - 1];
    const uint64_t epochs = experiment_epochs(v->fleet->experiment);
    if (z->epoch <= a->epoch || z->epoch >= epochs) return NAN;
    const double pace = (z->t - a->t) / (double)(z->epoch - a->epoch);
    return fmax(0, (double)(epochs - z->epoch) * pace - (now_s - z->t));
}

static void measure_sent(struct fleet_view *v, double now_s)
{
    double sent = 0;
    for (size_t i = 0; i < v->fleet->count; i++)
        sent += (double)(v->fleet->workers[i].watch.sent + v->fleet->workers[i].watch.sent_before);
    if (v->sent_t && now_s - v->sent_t < 2) return; /* the logs report once a second */
    if (v->sent_t) v->sent_per_s = fmax(0, sent - v->sent) / (now_s - v->sent_t);
    v->sent = sent;
    v->sent_t = now_s;
}

static void draw(struct fleet_view *v, double now_s)
{
    struct terminal_picture p = {.count = 0};
    char fields[5][64], text[32];
    const char *list[5];
    size_t width, rows, shown = 0, used = 0, running = 0, count = 0;
    uint64_t epoch = 0;
    double rate = 0, left = left_of(v, now_s);
    for (size_t i = 0; i < v->fleet->count; i++) {
        const struct fleet_worker *k = &v->fleet->workers[i];
        running += k->pid > 0;
        rate += k->pid > 0 ? k->watch.tokens_per_s : 0;
        if (k->watch.epoch > epoch) epoch = k->watch.epoch;
    }
    snprintf(fields[count++], 64, "epoch %llu of %llu", (unsigned long long)epoch,
             (unsigned long long)experiment_epochs(v->fleet->experiment));
    snprintf(fields[count++], 64, "%zu of %zu workers run", running, v->fleet->count);
    snprintf(fields[count++], 64, "%.0f tokens/s", rate);
    snprintf(fields[count++], 64, "%s/s sent", amount_bytes(v->sent_per_s, text));
    if (!isnan(left)) snprintf(fields[count++], 64, "%s left", amount_time(left, text));
    for (size_t i = 0; i < count; i++) list[i] = fields[i];
    terminal_size(&v->terminal, &width, &rows);
    terminal_flow(&p, list, count, width - 1);
    for (; shown < COLUMNS; shown++) {
        used += (size_t)abs(columns[shown].width) + (shown > 0);
        if (used > width - 1) break;
    }
    draw_row(v, &p, SIZE_MAX, shown);
    for (size_t i = 0; i < v->fleet->count; i++) draw_row(v, &p, i, shown);
    terminal_draw(&v->terminal, &p);
}

/* Prints the events of the logs that are worth a line; outer steps only if no table shows them. */
static void tell(struct fleet_view *v)
{
    for (size_t i = 0; i < v->fleet->count; i++) {
        const struct watch *w = &v->fleet->workers[i].watch;
        char text[64], bytes[32];
        if (!v->joined[i] && w->joined_servers) {
            v->joined[i] = true;
            fleet_view_say(v, "worker %zu joined at epoch %llu, with %s from %s", i,
                           (unsigned long long)w->joined_epoch,
                           amount_bytes((double)w->joined_bytes, bytes),
                           amount_count(w->joined_servers, "peer", "peers", text));
        }
        for (; v->outers[i] < w->outers.count; v->outers[i]++) {
            const struct watch_point *p = &w->outers.points[v->outers[i]];
            if (v->terminal.live || !w->steps.count) continue;
            fleet_view_say(v,
                           "worker %zu: epoch %llu of %llu after %s, loss %.4f, %.0f tokens/s, "
                           "training paused for %.0f ms",
                           i, (unsigned long long)p->epoch,
                           (unsigned long long)experiment_epochs(v->fleet->experiment),
                           amount_count(w->steps.count, "step", "steps", text), loss_of(w),
                           w->tokens_per_s, p->value);
        }
    }
}

void fleet_view_turn(struct fleet_view *v, instant now, double now_s)
{
    tell(v);
    measure_sent(v, now_s);
    if (!v->terminal.live || !instant_reached(now, v->due)) return;
    draw(v, now_s);
    v->due = instant_after(now, span_ms(DRAW_MS));
}

void fleet_view_end(struct fleet_view *v)
{
    tell(v);
    terminal_clear(&v->terminal);
    if (!v->terminal.live) return;
    struct terminal_picture p = {.count = 0};
    draw_row(v, &p, SIZE_MAX, COLUMNS);
    for (size_t i = 0; i < v->fleet->count; i++) draw_row(v, &p, i, COLUMNS);
    size_t width, rows;
    terminal_size(&v->terminal, &width, &rows);
    for (size_t i = 0; i < p.count; i++) {
        char line[TERMINAL_LINE_BYTES];
        terminal_clean(&v->terminal, p.lines[i], width - 1, line, sizeof line);
        terminal_say(&v->terminal, line);
    }
}
