#include "world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/err.h"
#include "less.h"
#include "lies.h"

#define TICKS_AT_ONCE 100 /* more at one moment means an endless loop */

void world_violated(struct world *w, const char *format, ...)
{
    if (w->over) return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->report->violation, sizeof w->report->violation, format, args);
    va_end(args);
    w->report->ok = false;
    w->over = true;
}

void world_trace(struct world *w, const char *format, ...)
{
    if (!w->options.trace) return;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%10.3f  ", (double)w->now.ns * 1e-9);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static void mix(struct world *w, uint64_t value) { w->hash = rng_mix(w->hash ^ rng_mix(value)); }

static void mix_bytes(struct world *w, struct bytes b)
{
    mix(w, b.count ? XXH3_64bits(b.data, b.count) : 0);
}

/* Hashes for sim_report.said what a node receives and notes, only in terms of SPEC.md and
 * docs/events.md. */
static void say(struct world *w, const struct sim_node *n, uint64_t what)
{
    w->said = rng_mix(w->said ^ rng_mix(w->now.ns) ^ rng_mix((uint64_t)n->index << 32 ^ what));
}

static bool carries_bytes(const struct event *e)
{
    return e->kind >= EVENT_DATAGRAM && e->kind <= EVENT_REPLY;
}

static void say_heard(struct world *w, const struct sim_node *n, const struct event *e)
{
    static const uint8_t carrier[] = {[EVENT_DATAGRAM] = 1,
                                      [EVENT_FRAME] = 2,
                                      [EVENT_PARCEL] = 3,
                                      [EVENT_REQUEST] = 4,
                                      [EVENT_REPLY] = 5};
    if (carries_bytes(e) && carrier[e->kind])
        say(w, n,
            XXH3_64bits_withSeed(e->bytes.data, e->bytes.count,
                                 (uint64_t)carrier[e->kind] << 8 | e->type));
}

static void say_note(struct world *w, const struct sim_node *n, const struct note *note)
{
    say(w, n, XXH3_64bits(note->name, strlen(note->name)));
    for (size_t i = 0; i < sizeof note->numbers / sizeof *note->numbers; i++) {
        const char *key = note->numbers[i].key;
        if (key) say(w, n, XXH3_64bits_withSeed(key, strlen(key), note->numbers[i].value));
    }
}

static void trace_note(struct world *w, const struct sim_node *n, const struct note *note)
{
    if (!w->options.trace) return;
    fprintf(stderr, "%10.3f  node %d: %s", (double)w->now.ns * 1e-9, n->index, note->name);
    for (size_t i = 0; i < sizeof note->numbers / sizeof *note->numbers; i++)
        if (note->numbers[i].key)
            fprintf(stderr, " %s=%llu", note->numbers[i].key,
                    (unsigned long long)note->numbers[i].value);
    if (note->word.key) fprintf(stderr, " %s=%s", note->word.key, note->word.value);
    if (note->hex.key) {
        fprintf(stderr, " %s=", note->hex.key);
        for (size_t i = 0; i < note->hex.value.count && i < 4; i++)
            fprintf(stderr, "%02x", note->hex.value.data[i]);
    }
    fputc('\n', stderr);
}

/* ---- a node's process ---- */

static void carry_out(void *self, struct action *a)
{
    struct sim_node *n = self;
    struct world *w = n->world;
    if (n->dying || w->over) return;
    if (n->crash_after && --n->crash_after == 0) {
        n->dying = true; /* before this action was sent */
        return;
    }
    if (n->finished) {
        world_violated(w, "ghost: node %d acts after it has finished", n->index);
        return;
    }
    mix(w, (uint64_t)a->kind << 32 | (uint64_t)n->index << 24);
    switch (a->kind) {
    case ACTION_DATAGRAM:
    case ACTION_FRAME:
    case ACTION_PARCEL:
    case ACTION_REQUEST:
    case ACTION_REPLY:
        mix(w, a->link ^ (uint64_t)a->type << 32);
        mix_bytes(w, a->bytes);
        mix_bytes(w, a->more);
        if (a->kind == ACTION_FRAME) check_frame(w, n, a);
        network_act(w, n, a);
        break;
    case ACTION_DIAL:
    case ACTION_HANG_UP:
    case ACTION_RETIRE:
        mix(w, a->link);
        network_act(w, n, a);
        break;
    case ACTION_WELCOME:
        network_act(w, n, a);
        break;
    case ACTION_ORDER:
        mix(w, a->order.kind);
        if (a->order.kind == ORDER_FINISH) check_finish(w, n, a->order.refused);
        else trainer_order(w, n, &a->order);
        break;
    case ACTION_STATE:
        mix_bytes(w, a->part.floats);
        trainer_part(w, n, a);
        break;
    case ACTION_REPLAY:
        mix(w, a->replay.chunk);
        mix_bytes(w, a->replay.mean);
        trainer_replay(w, n, a);
        break;
    case ACTION_KEEP:
        trainer_keep(n, &a->keep);
        break;
    case ACTION_REVOKED: /* no world has a list of them */
        break;
    case ACTION_NOTE:
        say_note(w, n, &a->note);
        trace_note(w, n, &a->note);
        timeline_note(w, n, &a->note);
        check_note(w, n, &a->note);
        break;
    }
}

static void act(void *self, struct action *a)
{
    struct sim_node *n = self;
    if (!node_lies(n->world, n)) {
        carry_out(self, a);
        return;
    }
    struct action told = *a; /* the node may send it to others, too */
    lies_tell(n->world, n, &told, &(struct sink){self, carry_out});
}

static struct sink sink_of(struct sim_node *n) { return (struct sink){n, act}; }

static void end_process(struct world *w, struct sim_node *n)
{
    n->alive = false;
    n->dying = false;
    n->crash_after = 0;
    n->paused_until = (instant){0};
    n->died_at = w->now;
    n->node = NULL;
    arena_close(&n->room);
}

/* Schedules a tick when the machine wants one; the driver is late by up to 2 ms. */
void world_schedule(struct world *w, struct sim_node *n)
{
    instant due = node_due(n->node);
    if (due.ns == INSTANT_NEVER.ns) return;
    instant at = instant_max(own_clock_when(&n->clock, due), w->now);
    if (n->tick_at.ns <= at.ns) return;
    if (at.ns > w->now.ns) at.ns += rng_below(&w->rng, 2000000);
    if (n->tick_at.ns <= at.ns) return;
    n->tick_at = at;
    queue_push(&w->queue, (struct happening){
                              .at = at, .kind = HAPPEN_TICK, .node = n->index, .life = n->life});
}

/* After the machine has acted: its end, the checks, its next tick. */
static void settle(struct world *w, struct sim_node *n)
{
    if (n->dying || (n->crash_after && w->now.ns >= n->crash_latest.ns)) {
        world_crash(w, n);
        return;
    }
    check_step(w, n);
    if (n->finished) {
        world_trace(w, "node %d has finished", n->index);
        network_closed(w, n);
        end_process(w, n);
        network_review(w);
        return;
    }
    world_schedule(w, n);
}

void world_give(struct world *w, struct sim_node *n, struct event *e)
{
    if (w->over) return;
    assert(n->alive && !n->stepping && node_runs(w, n));
    e->now = node_now(w, n);
    mix(w, (uint64_t)e->kind << 32 | (uint64_t)n->index << 24);
    mix(w, w->now.ns);
    mix(w, e->link);
    if (carries_bytes(e)) {
        mix(w, e->ticket ^ (uint64_t)e->type << 56);
        mix_bytes(w, e->bytes);
    }
    say_heard(w, n, e);
    w->report->events++;
    struct sink out = sink_of(n);
    n->stepping = true;
    w->giving = e;
    lies_think(w, n, e);
    node_step(n->node, e, &out);
    w->giving = NULL;
    n->stepping = false;
    if (!w->over) settle(w, n);
}

static void configure(struct world *w, struct sim_node *n)
{
    struct node_config *c = &n->config;
    uint64_t unix_ms = 1764000000000u + span_in_ms(span_ns(w->now.ns));
    n->incarnation = unix_ms > n->incarnation ? unix_ms : n->incarnation + 1;
    n->crypto = standin_crypto(&n->standin);
    *c = (struct node_config){
        .incarnation = n->incarnation,
        .crypto = &n->crypto,
        .rng = rng_split(rng_init(w->options.seed), 1000 + 64 * (uint64_t)n->index + n->life),
        .parameters = w->scenario.parameters,
        .every = w->scenario.every,
        .batch_tokens = w->scenario.batch_tokens,
        .epochs = w->scenario.epochs,
        .count_steps = w->scenario.count_steps,
        .group_min = w->scenario.group_min ? w->scenario.group_min : 2,
        .group_max = NODE_GROUP_MAX,
        .past_rounds = NODE_PAST_MAX,
        .bandwidth_mbps = w->scenario.far ? w->scenario.guess_mbps : (uint32_t)n->card.mbps,
        .bootstrap = n->bootstrap,
    };
    memcpy(c->id, n->id, sizeof c->id);
    memcpy(c->run_id, w->run_id, sizeof c->run_id);
    if (w->scenario.kind == LIES_TICKET) lies_ticket(w, n);
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct sim_node *o = &w->nodes[i];
        /* Unknown when the list was written; whoever restarts gets a new one. */
        if (memcmp(o->id, n->id, sizeof o->id) == 0 || (w->scenario.late[i] && n->life < 2))
            continue;
        if (w->scenario.list_first && i > 0) continue;
        memcpy(n->bootstrap[c->bootstrap_count].id, o->id, sizeof o->id);
        n->bootstrap[c->bootstrap_count++].address = o->address;
    }
}

void world_start(struct world *w, struct sim_node *n)
{
    struct why why = {0};
    n->life++;
    n->alive = true;
    n->finished = n->refused = n->returning = false;
    n->tick_at = INSTANT_NEVER;
    n->watch = (struct node_watch){.history = -1, .busy_since = INSTANT_NEVER};
    configure(w, n);
    trainer_boot(w, n);
    size_t past = node_past_bytes(n->config.parameters, NODE_PAST_MAX);
    if (arena_open(&n->room, node_bytes(&n->config) + past + 64, &why)) abort();
    n->config.past = arena_array(&n->room, uint8_t, past);
    struct sink out = sink_of(n);
    n->stepping = true;
    struct node_config lent = n->config; /* the node keeps what it needs of it */
    n->node = node_init(&lent, &n->trainer.replica.state, &n->trainer.round, &n->room,
                        node_now(w, n), &out, &why);
    memset(&lent, 0xa5, sizeof lent);
    n->stepping = false;
    if (!n->node) {
        world_violated(w, "driver: node %d does not start: %s", n->index, why.text);
        return;
    }
    arena_seal(&n->room);
    n->started = w->now;
    if (n->life == 1) n->born = w->now;
    if (node_lies(w, n)) world_trace(w, "node %d lies", n->index);
    world_trace(w, "node %d starts, life %u, epoch %llu", n->index, n->life,
                (unsigned long long)n->trainer.replica.state.epoch);
    if (n->life == 1 && w->scenario.late[n->index]) w->report->faults[FAULT_JOIN]++;
    if (n->life > 1) w->report->faults[n->back_empty ? FAULT_EMPTY : FAULT_RESTART]++;
    network_restarted(w, n);
    network_review(w);
    trainer_find_kept(w, n);
    settle(w, n);
}

void world_crash(struct world *w, struct sim_node *n)
{
    world_trace(w, "node %d crashes in phase %d", n->index, n->watch.phase);
    w->report->faults[FAULT_CRASH]++;
    end_process(w, n);
    network_crashed(w, n);
    network_review(w);
    if (n->back_after.ns == 0) return;
    if (n->back_empty) trainer_wipe(n);
    n->returning = true;
    queue_push(&w->queue, (struct happening){.at = instant_after(w->now, n->back_after),
                                             .kind = HAPPEN_START,
                                             .node = n->index});
}

/* ---- the world ---- */

static void tick(struct world *w, struct sim_node *n, instant at)
{
    if (n->tick_at.ns != at.ns) return; /* replaced by an earlier one */
    n->tick_at = INSTANT_NEVER;
    if (node_now(w, n).ns < node_due(n->node).ns) { /* its clock has stood still meanwhile */
        world_schedule(w, n);
        return;
    }
    n->ticks_now = n->ticked.ns == w->now.ns ? n->ticks_now + 1 : 0;
    n->ticked = w->now;
    if (n->ticks_now > TICKS_AT_ONCE) {
        world_violated(w, "driver: node %d wants tick after tick at one moment", n->index);
        return;
    }
    struct event e = {.kind = EVENT_TICK};
    world_give(w, n, &e);
}

static void happen_to_node(struct world *w, const struct happening *h)
{
    struct sim_node *n = &w->nodes[h->node];
    if (h->kind == HAPPEN_START) {
        world_start(w, n);
        return;
    }
    if (!n->alive || n->life != h->life) return;
    if (!node_runs(w, n)) { /* it is paused: later, in the same order */
        struct happening later = *h;
        later.at = n->paused_until;
        if (h->kind == HAPPEN_TICK) n->tick_at = later.at;
        queue_push(&w->queue, later);
        return;
    }
    switch (h->kind) {
    case HAPPEN_TICK:
        tick(w, n, h->at);
        break;
    case HAPPEN_TRAINER:
        trainer_happen(w, n);
        break;
    case HAPPEN_WAKE:
        world_trace(w, "node %d wakes", n->index);
        network_review(w);
        break;
    default:
        assert(!"not a happening of a node");
    }
}

static void happen(struct world *w, const struct happening *h)
{
    switch (h->kind) {
    case HAPPEN_START:
    case HAPPEN_TICK:
    case HAPPEN_TRAINER:
    case HAPPEN_WAKE:
        happen_to_node(w, h);
        break;
    case HAPPEN_FAULT:
    case HAPPEN_HEAL:
        scenario_happen(w, h);
        break;
    case HAPPEN_WATCH:
        for (uint32_t i = 0; i < w->node_count && !w->over; i++)
            if (node_runs(w, &w->nodes[i])) network_flow(w, &w->nodes[i]);
        check_watch(w);
        queue_push(&w->queue, (struct happening){.at = instant_after(w->now, span_s(1)),
                                                 .kind = HAPPEN_WATCH,
                                                 .node = -1});
        break;
    default:
        network_happen(w, h);
    }
}

static void place_nodes(struct world *w)
{
    struct rng r = rng_split(w->rng, 2);
    w->node_count = w->scenario.nodes;
    for (uint32_t i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];
        n->world = w;
        n->index = (int)i;
        n->clock.origin_ns = rng_below(&r, span_s(1000000).ns);
        n->clock.ppm = w->scenario.ppm[i];
        for (size_t b = 0; b < sizeof n->id; b++) n->id[b] = (uint8_t)rng_next(&r);
        if (w->scenario.copies >> i & 1) memcpy(n->id, w->nodes[0].id, sizeof n->id);
        n->address =
            (struct address){.family = 4, .ip = {10, 0, 0, (uint8_t)(i + 1)}, .port = 4433};
        n->card.mbps = w->scenario.mbps[i];
        n->card.down_mbps = w->scenario.down_mbps[i];
        n->standin = (struct standin){.world = rng_at(w->options.seed, 77), .rng = rng_split(r, i)};
        memcpy(n->standin.key, n->id, sizeof n->id);
        n->trainer.step = w->scenario.step[i];
        n->crypto = standin_crypto(&n->standin);
        trainer_open(w, n);
        for (uint32_t j = 0; j < w->node_count; j++)
            w->network.blocked[i][j] = w->scenario.apart[i] >> j & 1;
        for (uint32_t j = 0; j < i; j++)
            w->network.latency[i][j] = w->network.latency[j][i] =
                w->scenario.one_way.ns ? w->scenario.one_way : span_us(1000 + rng_below(&r, 74000));
    }
}

static void plan(struct world *w)
{
    const struct scenario *s = &w->scenario;
    for (uint32_t i = 0; i < s->nodes; i++)
        if (!(s->absent >> i & 1))
            queue_push(&w->queue,
                       (struct happening){.at = s->start[i], .kind = HAPPEN_START, .node = (int)i});
    for (uint32_t i = 0; i < s->plan_count; i++)
        if (!s->plan[i].done)
            queue_push(&w->queue,
                       (struct happening){
                           .at = s->plan[i].at, .kind = HAPPEN_FAULT, .node = -1, .stamp = i});
    queue_push(&w->queue,
               (struct happening){
                   .at = s->calm_at, .kind = HAPPEN_FAULT, .node = -1, .stamp = SCENARIO_PLAN_MAX});
    queue_push(&w->queue,
               (struct happening){.at = {span_s(1).ns}, .kind = HAPPEN_WATCH, .node = -1});
}

static void world_init(struct world *w)
{
    w->rng = rng_split(rng_init(w->options.seed), 3);
    less_scenario(&w->options, &w->scenario, w->report->needed);
    for (size_t i = 0; i < sizeof w->run_id; i++) w->run_id[i] = (uint8_t)rng_next(&w->rng);
    w->network.loss = w->scenario.loss;
    w->network.duplicate = w->scenario.duplicate;
    w->network.reorder = w->scenario.reorder;
    w->network.damage = w->scenario.damage;
    w->network.burst = w->scenario.burst;
    w->network.refusal = w->scenario.refusal;
    w->report->nodes = w->scenario.nodes;
    w->report->scenario = scenario_name(w->scenario.kind);
    w->report->faults[FAULT_SLOW] = w->report->needed[FAULT_SLOW];
    check_init(w);
    trainer_device_open(&w->device);
    place_nodes(w);
    plan(w);
    w->rng = rng_split(w->rng, w->options.salt);
}

static void world_fini(struct world *w)
{
    struct happening h;
    while (queue_next(&w->queue, &h)) free(h.message);
    queue_fini(&w->queue);
    network_fini(&w->network);
    check_fini(&w->check);
    timeline_close(w->timeline);
    trainer_device_close(&w->device);
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (w->nodes[i].alive) arena_close(&w->nodes[i].room);
        trainer_close(&w->nodes[i]);
        for (size_t j = 0; j < w->nodes[i].card.outbox_count; j++) free(w->nodes[i].card.outbox[j]);
        free(w->nodes[i].card.outbox);
    }
}

static struct world *running; /* for sim_died */

bool sim_run(const struct sim_options *o, struct sim_report *out)
{
    struct world *w = calloc(1, sizeof *w);
    struct happening h;
    if (!w) abort();
    *out = (struct sim_report){.ok = true};
    w->options = *o;
    w->report = out;
    world_init(w);
    w->timeline = timeline_open(w);
    running = w;
    while (!w->over && queue_next(&w->queue, &h)) {
        w->now = h.at;
        out->at = h.at;
        happen(w, &h);
        timeline_look(w);
    }
    out->hash = w->hash;
    out->said = w->said;
    running = NULL;
    bool written = timeline_write(w);
    world_fini(w);
    free(w);
    return written;
}

void sim_died(const char *why)
{
    struct world *w = running;
    running = NULL;
    if (!w || !w->timeline) return;
    world_violated(w, "%s", why);
    timeline_write(w);
}
