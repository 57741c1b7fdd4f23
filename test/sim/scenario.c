#include "scenario.h"

#include <assert.h>
#include <string.h>

#include "draw.h"
#include "own_clock.h"
#include "world.h"

static const char *const kind_names[SCENARIO_KINDS] = {
    "quiet",         "lossy",         "crash",          "restart",        "partition",
    "one-way",       "pause",         "churn",          "everything",     "end of the run",
    "far: slow",     "far: uneven",   "far: long",      "far: join",      "far: deaf",
    "far: hang",     "far: hub",      "far: holes",     "wrong: copy",    "wrong: replica",
    "wrong: server", "wrong: number", "wrong: refusal", "wrong: minimum", "lies: history",
    "lies: work",    "lies: digest",  "lies: phase",    "lies: accuse",   "lies: address",
    "lies: match",   "lies: ready",   "lies: means",    "lies: stall",    "lies: flood",
    "lies: relay",   "lies: ticket",
};

const char *scenario_name(enum scenario_kind k) { return kind_names[k]; }

enum scenario_kind scenario_kind_of(uint64_t seed, enum sim_worlds worlds)
{
    static const uint64_t first[] = {0, SCENARIO_COUNT, FAR_END, WRONG_END, SCENARIO_KINDS};
    const uint64_t count = first[worlds + 1] - first[worlds];
    return (enum scenario_kind)(first[worlds] + seed % count);
}

static const char *const fault_names[FAULT_COUNT] = {
    "loss",  "duplicate", "reorder", "crash", "restart", "empty",   "partition", "one-way",
    "pause", "slow",      "join",    "leave", "damage",  "deaf",    "hang",      "freeze",
    "jump",  "copy",      "flip",    "lie",   "number",  "refusal", "tale",
};

const char *fault_name(enum fault f) { return fault_names[f]; }

/* ---- who takes part ---- */

static void draw_kind(struct rng *r, uint64_t seed, uint32_t nodes, struct scenario *s)
{
    s->kind = scenario_kind_of(seed, WORLDS_ORDINARY);
    s->nodes = nodes ? nodes : (uint32_t)between(r, 1, 20);
    bool alone = s->nodes == 1;
    /* Most faults need other nodes: a single node can only die and come back. */
    if (alone && s->kind != SCENARIO_QUIET && s->kind != SCENARIO_END) s->kind = SCENARIO_RESTART;
}

static void draw_workers(struct rng *r, uint64_t seed, struct scenario *s,
                         uint64_t needed[FAULT_COUNT])
{
    s->parameters = s->nodes <= 8 ? between(r, 5000, 40000) : between(r, 5000, 20000);
    if (s->parameters % 4096 < 512) s->parameters += 512;
    s->every = between(r, 8, 24);
    s->batch_tokens = 64u << rng_below(r, 5);
    s->epochs = s->kind == SCENARIO_END ? 14 : 1u << 30;
    s->checkpoint_every = rng_below(r, 2) ? span_s(0) : span_s(20);
    uint64_t step_ms = between(r, 200, 600);
    bool slow = s->nodes > 1 && (s->kind == SCENARIO_LOSSY || s->kind == SCENARIO_ALL);
    for (uint32_t i = 0; i < s->nodes; i++) {
        s->step[i] = milliseconds(r, step_ms * 6 / 10, step_ms * 14 / 10);
        s->mbps[i] = (double)between(r, 2, 50);
        s->start[i] = (instant){milliseconds(r, 0, 4000).ns};
    }
    if (slow) {
        s->step[0] = span_ns(s->step[0].ns * between(r, 3, 5));
        needed[FAULT_SLOW] = 1;
    }
    s->round = span_ms(step_ms * s->every + 4000);
    bool plain =
        s->kind == SCENARIO_QUIET || s->kind == SCENARIO_LOSSY || s->kind == SCENARIO_CRASH;
    s->count_steps = plain && seed / SCENARIO_COUNT % 2 == 1;
    /* Nodes need not be present from the start, unless the run must be repeatable. */
    for (uint32_t i = 0; s->kind == SCENARIO_QUIET && !s->count_steps && i < s->nodes; i++)
        s->start[i].ns *= 1 + rng_below(r, 4);
}

static void draw_packets(struct rng *r, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    static const double losses[] = {0.01, 0.05, 0.10, 0.20};
    if (s->nodes == 1) return;
    bool all = s->kind == SCENARIO_LOSSY || s->kind == SCENARIO_ALL;
    bool some = all || s->kind == SCENARIO_CHURN || s->kind == SCENARIO_PARTITION ||
                s->kind == SCENARIO_ONE_WAY || s->kind == SCENARIO_PAUSE || s->kind == SCENARIO_END;
    if (!some) return;
    s->loss = all ? losses[rng_below(r, 4)] : losses[rng_below(r, 2)] * (double)rng_below(r, 2);
    s->duplicate = all || s->nodes < 6 ? 0.05 : 0.01; /* few nodes send fewer messages */
    s->reorder = all || s->nodes < 6 ? 0.2 : 0.05;
    if (s->loss > 0) needed[FAULT_LOSS] = s->nodes > 3 ? 5 : 1;
    needed[FAULT_DUPLICATE] = needed[FAULT_REORDER] = s->nodes > 3;
}

/* How the nodes find each other; only if the listed node comes back after faults, and nobody joins
 * late. Uses its own random stream. */
static void draw_meeting(uint64_t seed, struct scenario *s)
{
    struct rng r = rng_split(rng_init(seed), 6);
    s->list_first =
        (s->kind == SCENARIO_QUIET || s->kind == SCENARIO_LOSSY || s->kind == SCENARIO_PARTITION ||
         s->kind == SCENARIO_ONE_WAY || s->kind == SCENARIO_PAUSE) &&
        rng_below(&r, 2);
    if (s->kind != SCENARIO_QUIET) return;
    uint64_t pattern = rng_below(&r, 3);
    s->one_way = span_us(pattern == 2 ? 0 : 50 + rng_below(&r, 150000));
    /* All start at the same moment, or within 300 ms; otherwise as drawn before. */
    for (uint32_t i = 0; pattern < 2 && i < s->nodes; i++)
        s->start[i] = (instant){pattern == 0 ? 0 : span_ms(rng_below(&r, 301)).ns};
}

/* ---- what goes wrong ---- */

struct planned *scenario_plan(struct scenario *s, enum fault kind, uint64_t needed[FAULT_COUNT])
{
    assert(s->plan_count < SCENARIO_PLAN_MAX);
    struct planned *p = &s->plan[s->plan_count++];
    *p = (struct planned){.kind = kind, .node = -1};
    needed[kind]++;
    return p;
}

static void plan_crashes(struct rng *r, struct scenario *s, uint64_t count, bool back,
                         uint64_t needed[FAULT_COUNT])
{
    for (uint64_t i = 0; i < count; i++) {
        struct planned *p = scenario_plan(s, FAULT_CRASH, needed);
        p->actions = between(r, 1, 200);
        if (!back) continue;
        p->length = milliseconds(r, 500, rng_below(r, 2) ? 10000 : 60000);
        p->empty = rng_below(r, 3) == 0;
        needed[p->empty ? FAULT_EMPTY : FAULT_RESTART]++;
    }
}

/* A random set of nodes, neither empty nor all. */
static uint32_t draw_sides(struct rng *r, uint32_t nodes)
{
    uint32_t all = (1u << nodes) - 1, sides;
    do sides = (uint32_t)rng_next(r) & all;
    while (sides == 0 || sides == all);
    return sides;
}

static void plan_partitions(struct rng *r, struct scenario *s, enum fault kind, uint64_t count,
                            uint64_t needed[FAULT_COUNT])
{
    for (uint64_t i = 0; i < count; i++) {
        struct planned *p = scenario_plan(s, kind, needed);
        p->sides = draw_sides(r, s->nodes);
        p->length = milliseconds(r, 5000, 90000);
    }
}

static void plan_pauses(struct rng *r, struct scenario *s, uint64_t count,
                        uint64_t needed[FAULT_COUNT])
{
    for (uint64_t i = 0; i < count; i++)
        scenario_plan(s, FAULT_PAUSE, needed)->length = milliseconds(r, 1000, 60000);
}

void scenario_plan_joins(struct rng *r, struct scenario *s, uint64_t count,
                         uint64_t needed[FAULT_COUNT])
{
    for (uint32_t i = s->nodes; i-- > 1 && count > 0; count--) {
        s->late[i] = true;
        s->start[i] = (instant){s->round.ns * between(r, 2, 5)};
        needed[FAULT_JOIN]++;
    }
}

instant scenario_calm(const struct scenario *s)
{
    instant calm = {3 * s->round.ns};
    for (uint32_t i = 0; i < s->plan_count; i++) {
        const struct planned *p = &s->plan[i];
        span passes = span_ns(p->length.ns + span_s(25).ns);
        if (!p->done) calm = instant_max(calm, instant_after(p->at, passes));
    }
    for (uint32_t i = 0; i < s->nodes; i++)
        if (!(s->absent >> i & 1)) calm = instant_max(calm, instant_after(s->start[i], s->round));
    return calm;
}

/* Shuffles the plan, so that kinds alternate, and gives each fault its time. */
void scenario_plan_times(struct rng *r, struct scenario *s)
{
    for (uint32_t i = s->plan_count; i > 1; i--) {
        uint32_t j = (uint32_t)rng_below(r, i);
        struct planned p = s->plan[j];
        s->plan[j] = s->plan[i - 1];
        s->plan[i - 1] = p;
    }
    instant at = {2 * s->round.ns};
    for (uint32_t i = 0; i < s->plan_count; i++) {
        struct planned *p = &s->plan[i];
        at.ns += (uint64_t)((double)s->round.ns * (0.2 + rng_unit(r)));
        p->at = at;
        /* Partitions of one world do not overlap, and a single node must be back before it dies
         * again. */
        bool alone = p->kind == FAULT_PARTITION || p->kind == FAULT_ONE_WAY || s->nodes == 1;
        if (alone) at.ns += p->length.ns + span_s(25).ns * (s->nodes == 1);
    }
    s->calm_at = scenario_calm(s);
}

/* Clocks that differ, longer pauses, and virtual machines among the paused. Uses its own random
 * stream. */
static void draw_clocks(uint64_t seed, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    struct rng r = rng_split(rng_init(seed), 8);
    for (uint32_t i = 0; i < s->nodes; i++)
        s->ppm[i] = (int32_t)between(&r, 0, 2 * OWN_CLOCK_PPM) - OWN_CLOCK_PPM;
    for (uint32_t i = 0; i < s->plan_count; i++) {
        struct planned *p = &s->plan[i];
        if (p->kind != FAULT_PAUSE) continue;
        p->length = milliseconds(&r, 1000, rng_below(&r, 2) ? 60000 : 120000);
        p->freezes = rng_below(&r, 2);
        needed[FAULT_FREEZE] += p->freezes;
    }
}

/* Clocks that jump, where a member that hears nobody for a while is nothing new. After the other
 * faults have their times; uses its own random stream. */
static void plan_jumps(uint64_t seed, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    struct rng r = rng_split(rng_init(seed), 9);
    bool any = s->kind == SCENARIO_PAUSE || s->kind == SCENARIO_CHURN || s->kind == SCENARIO_ALL;
    instant from = {2 * s->round.ns}, to = s->calm_at;
    for (uint64_t i = any ? between(&r, 1, 3) : 0; i > 0; i--) {
        struct planned *p = scenario_plan(s, FAULT_JUMP, needed);
        p->at = instant_after(from, span_ns(rng_below(&r, to.ns - from.ns)));
        p->length = span_ms((uint64_t)log_between(&r, 10, 60000));
        p->drawn = (uint32_t)rng_below(&r, s->nodes);
    }
    s->calm_at = scenario_calm(s);
}

void scenario_of(uint64_t seed, uint32_t nodes, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    struct rng r = rng_split(rng_init(seed), 1);
    memset(s, 0, sizeof *s);
    draw_kind(&r, seed, nodes, s);
    draw_workers(&r, seed, s, needed);
    draw_packets(&r, s, needed);
    draw_meeting(seed, s);
    bool pair = s->nodes > 1;
    switch (s->kind) {
    case SCENARIO_CRASH:
        plan_crashes(&r, s, between(&r, 1, s->nodes - 1), false, needed);
        break;
    case SCENARIO_RESTART:
        plan_crashes(&r, s, between(&r, 2, 4), true, needed);
        break;
    case SCENARIO_PARTITION:
        plan_partitions(&r, s, FAULT_PARTITION, 2, needed);
        break;
    case SCENARIO_ONE_WAY:
        plan_partitions(&r, s, FAULT_ONE_WAY, 2, needed);
        break;
    case SCENARIO_PAUSE:
        plan_pauses(&r, s, 4, needed);
        break;
    case SCENARIO_CHURN:
        scenario_plan_joins(&r, s, between(&r, 1, s->nodes - 1) / 2 + 1, needed);
        s->damage = 400; /* the first part, and one in some downloads: every joiner meets it */
        needed[FAULT_DAMAGE] = 1;
        if (s->nodes > 2) scenario_plan(s, FAULT_LEAVE, needed);
        plan_crashes(&r, s, 2, true, needed);
        break;
    case SCENARIO_ALL:
        scenario_plan_joins(&r, s, 1, needed);
        plan_crashes(&r, s, 2, true, needed);
        plan_partitions(&r, s, FAULT_PARTITION, 1, needed);
        plan_partitions(&r, s, FAULT_ONE_WAY, 1, needed);
        plan_pauses(&r, s, 2, needed);
        if (s->nodes > 3) scenario_plan(s, FAULT_LEAVE, needed);
        break;
    case SCENARIO_END:
        if (pair) scenario_plan_joins(&r, s, 1, needed);
        plan_crashes(&r, s, 1, true, needed);
        /* It must be back before the others have ended the run and left: alone it would finish a
         * different one. */
        for (uint32_t i = 0; i < s->plan_count; i++)
            s->plan[i].length = milliseconds(&r, 500, 5000);
        s->epochs += span_s(60).ns / (s->round.ns - span_s(3).ns);
        break;
    default:
        break;
    }
    draw_clocks(seed, s, needed);
    scenario_plan_times(&r, s);
    plan_jumps(seed, s, needed);
}

/* ---- when it happens ---- */

/* A running node that is neither leaving nor about to die; NULL when the only one must be
 * spared. */
static struct sim_node *victim(struct world *w, bool last_too)
{
    struct sim_node *found[SIM_NODES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];
        if (node_runs(w, n) && !n->leaving && n->crash_after == 0) found[count++] = n;
    }
    if (count == 0 || (count == 1 && !last_too)) return NULL;
    return found[rng_below(&w->rng, count)];
}

static void block(struct world *w, const struct planned *p, int by)
{
    for (uint32_t a = 0; a < w->node_count; a++)
        for (uint32_t b = 0; b < w->node_count; b++) {
            bool a_in = p->sides >> a & 1, b_in = p->sides >> b & 1;
            if (a_in == b_in || (p->kind == FAULT_ONE_WAY && !a_in)) continue;
            w->network.blocked[a][b] = (uint8_t)(w->network.blocked[a][b] + by);
        }
    network_review(w);
}

/* Does it separate any two running nodes? */
static bool divides(const struct world *w, const struct planned *p)
{
    bool in = false, out = false;
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (!w->nodes[i].alive) continue;
        if (p->sides >> i & 1) in = true;
        else out = true;
    }
    return in && out;
}

/* No node is affected: tries later. */
static void postpone(struct world *w, uint64_t index)
{
    queue_push(&w->queue, (struct happening){.at = instant_after(w->now, span_s(5)),
                                             .kind = HAPPEN_FAULT,
                                             .node = -1,
                                             .stamp = index});
}

/* Have all faults happened and passed? */
static bool passed(const struct world *w)
{
    bool anybody = false;
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        if (n->returning || n->crash_after || (n->alive && !node_runs(w, n))) return false;
        anybody = anybody || n->alive;
    }
    for (uint32_t i = 0; anybody && i < w->scenario.plan_count; i++)
        if (!w->scenario.plan[i].done) return false;
    return true;
}

/* Is its end a happening of its own? */
static bool heals(enum fault kind)
{
    return kind == FAULT_PARTITION || kind == FAULT_ONE_WAY || kind == FAULT_DEAF ||
           kind == FAULT_HANG;
}

/* The first running node from this number on. */
static struct sim_node *runs_from(struct world *w, uint32_t first)
{
    for (uint32_t i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[(first + i) % w->node_count];
        if (node_runs(w, n)) return n;
    }
    return NULL;
}

static void begin(struct world *w, struct planned *p, uint64_t index)
{
    struct sim_node *n = NULL;
    instant heal = instant_after(w->now, p->length);
    switch (p->kind) {
    case FAULT_CRASH:
        n = p->node < 0 ? victim(w, p->length.ns > 0) : &w->nodes[p->node];
        if (!n || !n->alive) break;
        n->crash_after = p->actions;
        n->crash_latest = instant_after(w->now, span_s(20));
        p->node = n->index;
        n->back_after = p->length;
        n->back_empty = p->empty;
        break;
    case FAULT_PARTITION:
    case FAULT_ONE_WAY:
        if (!divides(w, p)) {
            /* The drawn ones may have left for good. */
            p->sides = draw_sides(&w->rng, w->node_count);
            break;
        }
        w->report->faults[p->kind]++;
        p->node = 0;
        block(w, p, 1);
        queue_push(&w->queue,
                   (struct happening){.at = heal, .kind = HAPPEN_HEAL, .node = -1, .stamp = index});
        break;
    case FAULT_PAUSE:
        n = victim(w, true);
        if (!n) break;
        n->paused_since = w->now;
        n->paused_until = heal;
        w->report->faults[FAULT_PAUSE]++;
        w->report->faults[FAULT_FREEZE] += p->freezes;
        if (p->freezes) own_clock_stand(&n->clock, w->now, heal);
        network_paused(w, n);
        network_review(w);
        queue_push(
            &w->queue,
            (struct happening){.at = heal, .kind = HAPPEN_WAKE, .node = n->index, .life = n->life});
        break;
    case FAULT_DEAF:
    case FAULT_HANG:
        n = victim(w, true);
        if (!n) break;
        p->node = n->index;
        w->report->faults[p->kind]++;
        if (p->kind == FAULT_DEAF) w->network.deaf[n->index] = true;
        else n->trainer.hung_until = heal;
        queue_push(&w->queue,
                   (struct happening){.at = heal, .kind = HAPPEN_HEAL, .node = -1, .stamp = index});
        break;
    case FAULT_JUMP:
        n = runs_from(w, p->drawn);
        if (!n) break;
        n->clock.jumped_ns += p->length.ns;
        world_schedule(w, n);
        w->report->faults[FAULT_JUMP]++;
        break;
    case FAULT_FLIP:
    case FAULT_NUMBER:
        n = victim(w, true);
        if (!n) break;
        if (p->kind == FAULT_FLIP) trainer_flip(w, n);
        else n->trainer.breaks = true;
        break;
    case FAULT_LEAVE: {
        n = victim(w, false);
        if (!n) break;
        n->leaving = true;
        n->left_at = w->now;
        w->report->faults[FAULT_LEAVE]++;
        struct event e = {.kind = EVENT_LEAVE};
        world_give(w, n, &e);
        break;
    }
    default:
        assert(!"not a fault that is planned");
    }
    if (!n && p->node < 0) {
        postpone(w, index);
        return;
    }
    p->done = !heals(p->kind);
    timeline_fault(w, p, n);
    world_trace(w, "fault: %s, node %d, %.1f s", fault_name(p->kind), n ? n->index : -1,
                span_in_s(p->length));
}

void scenario_happen(struct world *w, const struct happening *h)
{
    if (h->stamp == SCENARIO_PLAN_MAX) {
        if (!passed(w)) {
            postpone(w, h->stamp);
            return;
        }
        w->network.loss = w->network.duplicate = w->network.reorder = w->network.burst = 0;
        w->network.damage = 0;
        w->calm = true;
        world_trace(w, "calm: the faults have ended");
        return;
    }
    struct planned *p = &w->scenario.plan[h->stamp];
    if (h->kind == HAPPEN_FAULT) begin(w, p, h->stamp);
    else {
        if (p->kind == FAULT_DEAF) w->network.deaf[p->node] = false;
        if (p->kind == FAULT_DEAF) network_review(w);
        if (p->kind == FAULT_PARTITION || p->kind == FAULT_ONE_WAY) block(w, p, -1);
        p->done = true;
        world_trace(w, "healed: %s", fault_name(p->kind));
    }
}
