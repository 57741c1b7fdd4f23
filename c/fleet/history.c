#include "fleet/history.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX ((size_t)1 << 20)

const char *mark_name(enum mark_kind k)
{
    static const char *const names[MARK_KINDS] = {
        [MARK_START] = "start",  [MARK_JOIN] = "join", [MARK_CRASH] = "crash",
        [MARK_DEATH] = "death",  [MARK_FORK] = "fork", [MARK_DROP] = "dropped steps",
        [MARK_FAIL] = "failure", [MARK_END] = "end",
    };
    return names[k];
}

enum err history_open(struct history *h, const char *path, struct why *w)
{
    memset(h, 0, sizeof *h);
    h->loss_first = h->loss_last = NAN;
    h->file = fopen(path, "re");
    if (!h->file) return why(w, ERR_IO, "opening the event log %s: %s", path, strerror(errno));
    h->path = strdup(path);
    h->marks = calloc(HISTORY_MARKS_MAX, sizeof *h->marks);
    bool all = h->path && h->marks && curve_init(&h->steps, STEP_COLUMNS) &&
               curve_init(&h->net, NET_COLUMNS) && curve_init(&h->outers, OUTER_COLUMNS) &&
               curve_init(&h->evaluations, EVALUATION_COLUMNS);
    return all ? ERR_OK : why(w, ERR_MEMORY, "no memory to read the event log %s", path);
}

void history_close(struct history *h)
{
    if (h->file) fclose(h->file);
    for (size_t i = 0; i < h->marks_count; i++) free(h->marks[i].text);
    free(h->marks);
    curve_fini(&h->steps);
    curve_fini(&h->net);
    curve_fini(&h->outers);
    curve_fini(&h->evaluations);
    json_decref(h->start);
    free(h->line);
    free(h->path);
}

static double real(const json_t *line, const char *key)
{
    const json_t *v = json_object_get(line, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static uint64_t whole(const json_t *line, const char *key)
{
    const json_int_t v = json_integer_value(json_object_get(line, key));
    return v > 0 ? (uint64_t)v : 0;
}

static const char *text_of(const json_t *line, const char *key)
{
    const char *s = json_string_value(json_object_get(line, key));
    return s ? s : "";
}

/* Forgets several at a time, so that a log with very many marks rarely moves them. */
static void forget_oldest(struct history *h)
{
    const size_t some = HISTORY_MARKS_MAX / 4;
    for (size_t i = 0; i < some; i++) free(h->marks[i].text);
    h->marks_count -= some;
    h->marks_left_out += some;
    memmove(h->marks, h->marks + some, h->marks_count * sizeof *h->marks);
}

static void mark(struct history *h, enum mark_kind kind, double t, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void mark(struct history *h, enum mark_kind kind, double t, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (h->marks_count == HISTORY_MARKS_MAX) forget_oldest(h);
    h->marks[h->marks_count++] = (struct mark){t, kind, strdup(text)};
}

/* ---- events ---- */

static void take_start(struct history *h, const json_t *e, double t)
{
    if (h->starts && !h->ended)
        mark(h, MARK_CRASH, h->last_t, "ended without a word after step %.0f", h->step);
    json_decref(h->start);
    h->start = json_incref((json_t *)e);
    snprintf(h->id, sizeof h->id, "%s", text_of(e, "id"));
    h->batch_tokens = whole(e, "batch_tokens");
    h->every = whole(e, "every");
    h->sent_before += h->sent;
    h->received_before += h->received;
    h->sent = h->received = h->round_tokens = 0;
    h->ended = false;
    mark(h, MARK_START, t, h->starts++ ? "started again" : "started");
}

static void take_step(struct history *h, const json_t *e, double t)
{
    const uint64_t tokens = json_object_get(e, "tokens") ? whole(e, "tokens") : h->batch_tokens;
    const double loss = real(e, "loss");
    h->step = json_number_value(json_object_get(e, "step"));
    h->inner_steps++;
    h->tokens += tokens;
    h->round_tokens += tokens;
    const double ms = real(e, "ms");
    if (isfinite(ms)) h->step_ms += ms;
    if (!isfinite(h->loss_first)) h->loss_first = loss;
    h->loss_last = loss;
    const double row[STEP_COLUMNS] = {[STEP_T] = t,
                                      [STEP_STEP] = h->step,
                                      [STEP_LOSS] = loss,
                                      [STEP_LR] = real(e, "lr"),
                                      [STEP_RATE] = real(e, "tokens_per_s"),
                                      [STEP_TOKENS] = (double)h->tokens};
    curve_add(&h->steps, row);
}

static void take_outer(struct history *h, const json_t *e, double t)
{
    const double paused = real(e, "paused_ms");
    const double row[OUTER_COLUMNS] = {
        [OUTER_T] = t, [OUTER_EPOCH] = real(e, "epoch"), [OUTER_PAUSED_MS] = paused};
    curve_add(&h->outers, row);
    if (isfinite(paused)) h->paused_ms += paused;
    h->epoch = whole(e, "epoch");
    snprintf(h->digest, sizeof h->digest, "%s", text_of(e, "digest"));
    /* Otherwise it comes from peers, without own training. */
    if (h->round_tokens || h->round_dropped) {
        h->planned += h->every * h->batch_tokens;
        h->done += h->round_tokens;
    }
    h->round_tokens = 0;
    h->round_dropped = false;
}

static void take_net(struct history *h, const json_t *e, double t)
{
    h->sent = whole(e, "sent");
    h->received = whole(e, "received");
    const double row[NET_COLUMNS] = {[NET_T] = t,
                                     [NET_SENT] = (double)(h->sent_before + h->sent),
                                     [NET_RECEIVED] = (double)(h->received_before + h->received),
                                     [NET_PEERS] = real(e, "peers")};
    curve_add(&h->net, row);
}

static void take_evaluation(struct history *h, const json_t *e, double t)
{
    const double row[EVALUATION_COLUMNS] = {[EVALUATION_T] = t,
                                            [EVALUATION_STEP] = real(e, "step"),
                                            [EVALUATION_LOSS] = real(e, "loss")};
    curve_add(&h->evaluations, row);
}

static void take_dropped(struct history *h, const json_t *e, double t)
{
    h->dropped += h->round_tokens;
    h->round_tokens = 0;
    h->round_dropped = true;
    mark(h, MARK_DROP, t, "%llu steps not kept: %s", (unsigned long long)whole(e, "steps"),
         text_of(e, "why"));
}

static void take_rare(struct history *h, const char *event, const json_t *e, double t)
{
    if (!strcmp(event, "joined"))
        mark(h, MARK_JOIN, t, "joined at epoch %llu, %.1f MB from %llu peers",
             (unsigned long long)whole(e, "epoch"), (double)whole(e, "bytes") * 1e-6,
             (unsigned long long)whole(e, "servers"));
    else if (!strcmp(event, "dead")) mark(h, MARK_DEATH, t, "gave up %.8s", text_of(e, "peer"));
    else if (!strcmp(event, "fork"))
        mark(h, MARK_FORK, t, "%.8s has another history of epoch %llu", text_of(e, "peer"),
             (unsigned long long)whole(e, "epoch"));
    else if (!strcmp(event, "step_failed"))
        mark(h, MARK_FAIL, t, "step %.0f: %s", real(e, "step"), text_of(e, "why"));
    else if (!strcmp(event, "checkpoint") && json_is_false(json_object_get(e, "written")))
        mark(h, MARK_FAIL, t, "checkpoint not written: %s", text_of(e, "why"));
    else if (!strcmp(event, "log_gap"))
        mark(h, MARK_FAIL, t, "%llu events are missing in the log",
             (unsigned long long)whole(e, "lost"));
    else if (!strcmp(event, "digest_mismatch"))
        mark(h, MARK_FAIL, t, "its replica was damaged at epoch %llu",
             (unsigned long long)whole(e, "epoch"));
    else if (!strcmp(event, "end")) {
        mark(h, MARK_END, t, "ended: %s", text_of(e, "why"));
        h->ended = true;
    }
}

static void take_line(struct history *h)
{
    json_t *e = json_loadb(h->line, h->line_count, 0, NULL);
    const char *event = json_string_value(json_object_get(e, "event"));
    const double t = real(e, "t");
    if (!event || !isfinite(t)) {
        h->odd_lines++;
        json_decref(e);
        return;
    }
    if (!strcmp(event, "step")) take_step(h, e, t);
    else if (!strcmp(event, "net")) take_net(h, e, t);
    else if (!strcmp(event, "outer")) take_outer(h, e, t);
    else if (!strcmp(event, "evaluate")) take_evaluation(h, e, t);
    else if (!strcmp(event, "dropped")) take_dropped(h, e, t);
    else if (!strcmp(event, "start")) take_start(h, e, t);
    else take_rare(h, event, e, t);
    if (h->first_t == 0) h->first_t = t;
    h->last_t = t;
    json_decref(e);
}

/* ---- lines ---- */

static bool make_room(struct history *h, size_t more)
{
    if (h->line_count + more <= h->line_room) return true;
    size_t room = h->line_room ? h->line_room : 4096;
    while (room < h->line_count + more) room *= 2;
    if (room > 2 * LINE_BYTES_MAX) return false;
    char *line = realloc(h->line, room);
    if (!line) return false;
    h->line = line;
    h->line_room = room;
    return true;
}

/* Handles a piece of a line; `ends`: it is the last one. */
static void take_piece(struct history *h, const char *piece, size_t count, bool ends)
{
    if (!h->line_too_long && make_room(h, count)) {
        memcpy(h->line + h->line_count, piece, count);
        h->line_count += count;
    } else {
        h->line_too_long = true;
    }
    if (!ends) return;
    if (h->line_too_long) h->odd_lines++;
    else if (h->line_count) take_line(h);
    h->line_count = 0;
    h->line_too_long = false;
}

bool history_read(struct history *h)
{
    char block[1 << 16];
    bool any = false;
    clearerr(h->file);
    for (size_t n; (n = fread(block, 1, sizeof block, h->file)) > 0; any = true)
        for (size_t at = 0; at < n;) {
            const char *end = memchr(block + at, '\n', n - at);
            const size_t count = end ? (size_t)(end - block) - at : n - at;
            take_piece(h, block + at, count, end);
            at += count + (end ? 1 : 0);
        }
    return any;
}
