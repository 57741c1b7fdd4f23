#include "timeline.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "timeline_page.h"
#include "world.h"

/* What a node does; the names are the page's. */
enum doing {
    DOING_DOWN,
    DOING_JOIN,
    DOING_SYNC,
    DOING_TRAIN,
    DOING_MATCH,
    DOING_REDUCE,
    DOING_APPLY,
    DOING_DONE,
    DOING_LEAVE,
    DOING_PAUSE,
    DOING_COUNT
};

static const char *const doing_names[DOING_COUNT] = {
    "down",      "joining",  "downloading", "training", "matching",
    "averaging", "applying", "done",        "leaving",  "paused",
};

struct stretch { /* of one node, since it does the same in the same epoch */
    enum doing what;
    uint64_t epoch;
    instant since;
    uint32_t life; /* number of its latest process */
};

struct timeline {
    struct stretch now[SIM_NODES_MAX];
    json_t *spans, *outer, *faults, *notes;
    instant calm; /* INSTANT_NEVER: not yet */
};

static double seconds(instant t) { return (double)(t.ns / 1000000) * 1e-3; }

/* ---- values ---- */

static void add(json_t *to, json_t *value)
{
    if (json_array_append_new(to, value)) abort();
}

static json_t *nodes_of(uint32_t mask)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        if (mask >> i & 1) add(a, json_integer((json_int_t)i));
    return a;
}

static void say(struct world *w, int node, const char *name, const char *text)
{
    add(w->timeline->notes, json_pack("[f,i,s,s]", seconds(w->now), node, name, text));
}

/* ---- what nodes do ---- */

static enum doing doing(const struct world *w, const struct sim_node *n)
{
    static const enum doing by_phase[] = {
        [PHASE_JOIN] = DOING_JOIN,     [PHASE_SYNC] = DOING_SYNC,     [PHASE_TRAIN] = DOING_TRAIN,
        [PHASE_MATCH] = DOING_MATCH,   [PHASE_REDUCE] = DOING_REDUCE, [PHASE_DONE] = DOING_DONE,
        [PHASE_LEAVING] = DOING_LEAVE, [PHASE_OBSERVER] = DOING_DONE};
    if (!n->alive) return DOING_DOWN;
    if (!node_runs(w, n)) return DOING_PAUSE;
    if (n->trainer.job == JOB_APPLY || n->trainer.job == JOB_ADOPT) return DOING_APPLY;
    return by_phase[n->watch.phase];
}

static void end_stretch(struct world *w, const struct sim_node *n)
{
    struct timeline *t = w->timeline;
    const struct stretch *s = &t->now[n->index];
    if (w->now.ns > s->since.ns)
        add(t->spans, json_pack("[i,i,f,f,I]", n->index, (int)s->what, seconds(s->since),
                                seconds(w->now), (json_int_t)s->epoch));
}

static void say_life(struct world *w, const struct sim_node *n, const struct stretch *before)
{
    char text[120];
    if (n->life != before->life) {
        snprintf(text, sizeof text, "process %u, epoch %llu%s", n->life,
                 (unsigned long long)n->trainer.replica.state.epoch,
                 n->life > 1 && n->back_empty ? ", with an empty folder" : "");
        say(w, n->index, "starts", text);
    } else if (before->what != DOING_DOWN && !n->alive)
        say(w, n->index, n->finished ? "has finished" : "crashes", "");
    else if (before->what == DOING_PAUSE && n->alive) say(w, n->index, "wakes", "");
}

static void look_at(struct world *w, const struct sim_node *n)
{
    struct stretch *s = &w->timeline->now[n->index];
    struct stretch now = {doing(w, n), n->trainer.replica.state.epoch, w->now, n->life};
    if (now.what == s->what && now.epoch == s->epoch && now.life == s->life) return;
    say_life(w, n, s);
    end_stretch(w, n);
    *s = now;
}

void timeline_look(struct world *w)
{
    struct timeline *t = w->timeline;
    if (!t) return;
    for (uint32_t i = 0; i < w->node_count; i++) look_at(w, &w->nodes[i]);
    if (!w->calm || t->calm.ns != INSTANT_NEVER.ns) return;
    t->calm = w->now;
    say(w, -1, "calm", "the faults have ended");
}

/* ---- notes ---- */

struct text {
    char bytes[800];
    size_t count;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->bytes + t->count, sizeof t->bytes - t->count, format, args);
    va_end(args);
    t->count += (size_t)n;
    if (t->count >= sizeof t->bytes) t->count = sizeof t->bytes - 1;
}

/* A node's number in the place of its name, or -1. */
static int who(const struct world *w, const void *id, size_t count)
{
    for (uint32_t i = 0; i < w->node_count; i++)
        if (count <= sizeof w->nodes[i].id && memcmp(w->nodes[i].id, id, count) == 0) return (int)i;
    return -1;
}

static void put_hex(const struct world *w, struct text *t, const char *key, struct bytes value)
{
    int node = value.count == CRYPTO_KEY_BYTES ? who(w, value.data, value.count) : -1;
    if (node >= 0) {
        put(t, "%s=%d ", key, node);
        return;
    }
    put(t, "%s=", key);
    for (size_t i = 0; i < value.count && i < 4; i++) put(t, "%02x", value.data[i]);
    put(t, " ");
}

void timeline_note(struct world *w, const struct sim_node *n, const struct note *note)
{
    struct text t = {.count = 0};
    if (!w->timeline) return;
    for (size_t i = 0; i < sizeof note->numbers / sizeof *note->numbers; i++)
        if (note->numbers[i].key)
            put(&t, "%s=%llu ", note->numbers[i].key, (unsigned long long)note->numbers[i].value);
    if (note->word.key) put(&t, "%s=%s ", note->word.key, note->word.value);
    if (note->hex.key) put_hex(w, &t, note->hex.key, note->hex.value);
    if (note->sids.key) put(&t, "%s=", note->sids.key);
    for (size_t i = 0; note->sids.key && i < note->sids.count; i++) {
        uint8_t id[sizeof(sid)];
        for (size_t b = 0; b < sizeof id; b++) id[b] = (uint8_t)(note->sids.value[i] >> 8 * b);
        put(&t, "%s%d", i ? "," : "", who(w, id, sizeof id));
    }
    while (t.count && t.bytes[t.count - 1] == ' ') t.count--;
    t.bytes[t.count] = 0;
    for (size_t i = 0; i < t.count; i++) /* a word may hold a peer's bytes; JSON is UTF-8 */
        if (t.bytes[i] < ' ' || t.bytes[i] > '~') t.bytes[i] = '?';
    say(w, n->index, note->name, t.bytes);
}

void timeline_outer(struct world *w, const struct sim_node *n, bool adopted)
{
    if (!w->timeline) return;
    add(w->timeline->outer,
        json_pack("[f,i,i,b]", seconds(w->now), n->index, n->watch.history, adopted));
}

void timeline_fault(struct world *w, const struct planned *p, const struct sim_node *n)
{
    if (!w->timeline) return;
    bool sides = p->kind == FAULT_PARTITION || p->kind == FAULT_ONE_WAY;
    /* A crash is drawn where the process dies; here it is only decided who. A jump takes no time. */
    bool brief = p->kind == FAULT_CRASH || p->kind == FAULT_JUMP;
    span length = brief ? span_s(0) : p->length;
    char text[60];
    add(w->timeline->faults,
        json_pack("{s:s,s:I,s:f,s:f,s:i,s:b,s:o}", "kind", fault_name(p->kind), "plan",
                  (json_int_t)(p - w->scenario.plan), "from", seconds(w->now), "to",
                  seconds(instant_after(w->now, length)), "node", n ? n->index : -1, "freezes",
                  p->freezes, "side", nodes_of(sides ? p->sides : 0)));
    snprintf(text, sizeof text, "%s%.3g s%s", p->kind == FAULT_CRASH ? "soon, for " : "",
             span_in_s(p->length), p->freezes ? ", its clock stands still, too" : "");
    char name[40];
    snprintf(name, sizeof name, "fault: %s", fault_name(p->kind));
    say(w, n ? n->index : -1, name, p->length.ns ? text : "");
}

/* ---- the page ---- */

/* The longest history; of equally long ones the first, as in the report. */
static int32_t longest(const struct check *c)
{
    int32_t best = -1;
    for (int32_t i = 0; i < c->history_count; i++)
        if (best < 0 || c->histories[i].epoch > c->histories[best].epoch) best = i;
    return best;
}

static json_t *histories_of(const struct world *w)
{
    const struct check *c = &w->check;
    json_t *all = json_array();
    for (int32_t i = 0; i < c->history_count; i++) {
        const struct history *h = &c->histories[i];
        char lineage[9];
        uint32_t members = 0;
        for (int k = 0; k < SIM_CHUNKS_MAX; k++) members |= h->means.members[k];
        snprintf(lineage, sizeof lineage, "%02x%02x%02x%02x", h->lineage[0], h->lineage[1],
                 h->lineage[2], h->lineage[3]);
        add(all, json_pack("{s:i,s:I,s:s,s:I,s:o,s:b}", "parent", h->parent, "epoch",
                           (json_int_t)h->epoch, "lineage", lineage, "tokens",
                           (json_int_t)h->tokens, "members", nodes_of(members), "won", 0));
    }
    for (int32_t i = longest(c); i >= 0; i = c->histories[i].parent)
        json_object_set_new(json_array_get(all, (size_t)i), "won", json_true());
    return all;
}

static json_t *workers_of(const struct world *w)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < w->node_count; i++)
        add(all, json_pack("{s:f,s:f,s:f,s:b}", "step", span_in_s(w->scenario.step[i]), "mbps",
                           w->scenario.mbps[i], "down", w->scenario.down_mbps[i], "absent",
                           (int)(w->scenario.absent >> i & 1)));
    return all;
}

static json_t *world_of(const struct world *w)
{
    const struct sim_report *r = w->report;
    const struct timeline *t = w->timeline;
    json_t *o =
        json_pack("{s:s,s:b,s:i,s:f,s:b,s:s,s:I,s:I,s:I,s:I,s:I}", "scenario", r->scenario, "far",
                  w->scenario.far, "nodes", (int)w->node_count, "end", seconds(w->now), "ok", r->ok,
                  "violation", r->violation, "rounds", (json_int_t)r->rounds, "grouped",
                  (json_int_t)r->grouped, "forks", (json_int_t)r->forks, "adoptions",
                  (json_int_t)r->adoptions, "events", (json_int_t)r->events);
    if (t->calm.ns != INSTANT_NEVER.ns) json_object_set_new(o, "calm", json_real(seconds(t->calm)));
    char repeat[ARGUMENTS_TEXT_BYTES];
    arguments_repeat(&w->options, repeat);
    json_object_set_new(o, "repeat", json_string(repeat));
    json_t *met = json_object();
    for (int f = 0; f < FAULT_COUNT; f++)
        if (r->faults[f])
            json_object_set_new(met, fault_name((enum fault)f),
                                json_integer((json_int_t)r->faults[f]));
    json_object_set_new(o, "faults", met);
    json_object_set_new(o, "packets",
                        json_pack("{s:f,s:f,s:f}", "lost", w->scenario.loss, "duplicated",
                                  w->scenario.duplicate, "reordered", w->scenario.reorder));
    return o;
}

bool timeline_write(struct world *w)
{
    struct timeline *t = w->timeline;
    if (!t) return true;
    for (uint32_t i = 0; i < w->node_count; i++) {
        end_stretch(w, &w->nodes[i]);
        t->now[i].since = w->now;
    }
    json_t *doing = json_array();
    for (int i = 0; i < DOING_COUNT; i++) add(doing, json_string(doing_names[i]));
    json_t *data =
        json_pack("{s:o,s:o,s:o,s:O,s:o,s:O,s:O,s:O}", "world", world_of(w), "workers",
                  workers_of(w), "doing", doing, "spans", t->spans, "histories", histories_of(w),
                  "outer", t->outer, "faults", t->faults, "notes", t->notes);
    if (!data) abort();
    char title[120];
    static const char *const worlds[] = {"", "far ", "wrong "};
    snprintf(title, sizeof title, "simulated swarm: %sseed %llu, %s", worlds[w->options.worlds],
             (unsigned long long)w->options.seed, w->report->scenario);
    bool written = timeline_page(w->options.html, title, data);
    if (!written) fprintf(stderr, "sim: writing %s: %s\n", w->options.html, strerror(errno));
    json_decref(data);
    return written;
}

struct timeline *timeline_open(const struct world *w)
{
    if (!w->options.html) return NULL;
    struct timeline *t = calloc(1, sizeof *t);
    if (!t) abort();
    t->spans = json_array();
    t->outer = json_array();
    t->faults = json_array();
    t->notes = json_array();
    t->calm = INSTANT_NEVER;
    return t;
}

void timeline_close(struct timeline *t)
{
    if (!t) return;
    json_decref(t->spans);
    json_decref(t->outer);
    json_decref(t->faults);
    json_decref(t->notes);
    free(t);
}
