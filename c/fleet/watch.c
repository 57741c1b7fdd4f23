#include "fleet/watch.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void watch_init(struct watch *w, const char *path)
{
    memset(w, 0, sizeof *w);
    snprintf(w->path, sizeof w->path, "%s", path);
    strcpy(w->phase, "start");
}

void watch_fini(struct watch *w)
{
    if (w->file) fclose(w->file);
    free(w->steps.points);
    free(w->evaluations.points);
    free(w->outers.points);
}

static void append(struct watch_series *s, struct watch_point p)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 256;
        struct watch_point *points = realloc(s->points, room * sizeof *points);
        if (!points) return; /* without memory: a gap in a curve is better than no swarm */
        s->points = points;
        s->room = room;
    }
    s->points[s->count++] = p;
}

static double number(const json_t *line, const char *key)
{
    return json_number_value(json_object_get(line, key));
}

static uint64_t whole(const json_t *line, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(line, key));
}

static void copy_text(const json_t *line, const char *key, char *to, size_t room)
{
    const char *s = json_string_value(json_object_get(line, key));
    if (s) snprintf(to, room, "%s", s);
}

static struct watch_point point(const json_t *line, const char *value)
{
    return (struct watch_point){.t = number(line, "t"),
                                .value = number(line, value),
                                .ms = number(line, "ms"),
                                .epoch = whole(line, "epoch"),
                                .step = whole(line, "step")};
}

static void take_step(struct watch *w, const json_t *line)
{
    struct watch_point p = point(line, "loss");
    append(&w->steps, p);
    w->pending_ms += p.ms;
    w->pending_steps++;
    w->epoch = p.epoch;
    w->tokens_per_s = number(line, "tokens_per_s");
    if (strcmp(w->phase, "match")) strcpy(w->phase, "train");
}

static void take_outer(struct watch *w, const json_t *line)
{
    append(&w->outers, point(line, "paused_ms"));
    w->pending_ms = 0;
    w->pending_steps = 0;
    w->epoch = whole(line, "epoch");
    copy_text(line, "digest", w->digest, sizeof w->digest);
    strcpy(w->phase, "train");
}

/* Updates the displayed phase from notes of swarm/. */
static void take_note(struct watch *w, const char *event, const json_t *line)
{
    static const struct {
        const char *event, *phase;
        bool round;
    } notes[] = {{"ready", "match", true},   {"committed", "reduce", true},
                 {"applied", "train", true}, {"solo", "train", true},
                 {"behind", "sync", false},  {"joined", "train", false},
                 {"done", "done", false},    {"end", "end", false}};
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        if (strcmp(event, notes[i].event)) continue;
        strcpy(w->phase, notes[i].phase);
        if (!notes[i].round) continue;
        strcpy(w->round_event, event);
        w->round_epoch = whole(line, "epoch");
    }
}

static void take_line(struct watch *w, const json_t *line)
{
    const char *event = json_string_value(json_object_get(line, "event"));
    if (!event) return;
    take_note(w, event, line);
    if (!strcmp(event, "start")) {
        copy_text(line, "id", w->id, sizeof w->id);
        w->batch_tokens = whole(line, "batch_tokens");
        w->parameters = whole(line, "parameters");
        w->threads = whole(line, "threads");
        w->epoch = whole(line, "epoch");
        w->ended = false;
        w->sent_before += w->sent;
        w->sent = 0;
    } else if (!strcmp(event, "step")) {
        take_step(w, line);
    } else if (!strcmp(event, "outer")) {
        take_outer(w, line);
    } else if (!strcmp(event, "evaluate")) {
        append(&w->evaluations, point(line, "loss"));
        if (w->steps.count) w->excluded_ms += number(line, "ms");
    } else if (!strcmp(event, "checkpoint")) {
        if (w->steps.count) w->excluded_ms += number(line, "ms");
    } else if (!strcmp(event, "dropped")) {
        w->dropped_ms += w->pending_ms;
        w->dropped_steps += w->pending_steps;
        w->pending_ms = 0;
        w->pending_steps = 0;
    } else if (!strcmp(event, "net")) {
        w->sent = whole(line, "sent");
        w->received = whole(line, "received");
        w->peers = whole(line, "peers");
        w->lag_p99_ms = number(line, "lag_p99_ms");
    } else if (!strcmp(event, "joined")) {
        w->joined_epoch = whole(line, "epoch");
        w->joined_bytes = whole(line, "bytes");
        w->joined_servers = whole(line, "servers");
    } else if (!strcmp(event, "end")) {
        w->ended = true;
    }
}

bool watch_update(struct watch *w)
{
    if (!w->file) w->file = fopen(w->path, "re");
    if (!w->file) return false;
    bool any = false;
    clearerr(w->file);
    for (int c; (c = getc(w->file)) != EOF;) {
        if (c != '\n') {
            if (w->line_used < sizeof w->line) w->line[w->line_used++] = (char)c;
            continue;
        }
        json_t *line =
            w->line_used < sizeof w->line ? json_loadb(w->line, w->line_used, 0, NULL) : NULL;
        w->line_used = 0;
        /* Not one of our lines: the log may hold half a line of a crashed worker. */
        if (!line) continue;
        take_line(w, line);
        json_decref(line);
        any = true;
    }
    return any;
}
