#include "far.h"

#include <string.h>

#include "draw.h"
#include "outer/outer.h"

static void workers(struct rng *r, struct scenario *s)
{
    s->parameters = between(r, 5000, s->nodes <= 8 ? 40000 : 20000);
    if (s->parameters % 4096 < 512) s->parameters += 512;
    s->every = between(r, 8, 24);
    s->batch_tokens = 64u << rng_below(r, 5);
    s->epochs = 1u << 30;
    s->checkpoint_every = span_s(0);
    /* Rounds long enough for all nodes to meet in one. */
    uint64_t step_ms = between(r, 12000, 30000) / s->every;
    for (uint32_t i = 0; i < s->nodes; i++) {
        s->step[i] = milliseconds(r, step_ms * 6 / 10, step_ms * 14 / 10);
        s->start[i] = (instant){milliseconds(r, 0, 2000).ns};
    }
    s->round = span_ms(step_ms * s->every + 4000);
}

/* Rates such that the slowest link moves what it has to, a contribution and the means of the chunks
 * that it owns, in so many seconds. */
static void rates(struct rng *r, struct scenario *s)
{
    static const uint32_t guesses[] = {1, 10, 100, 1000};
    const struct outer_layout l = outer_layout_of(s->parameters);
    double owned = (double)((l.chunks + s->nodes - 1) / s->nodes) / (double)l.chunks;
    bool hub = s->kind == FAR_HUB || s->kind == FAR_HOLES || s->kind == LIES_RELAY ||
               s->kind == LIES_READY;
    if (hub) owned = 1; /* one may own all */
    double bits = 8.0 * (double)outer_wire_bytes((size_t)s->parameters);
    /* What all send to one waits in one queue here, where real links share: less than T_STILL. */
    /* Where more than one member may have to download, that keeps pace with the rounds. */
    double most_seconds = hub ? 8 : s->kind == WRONG_REPLICA ? 30 : 120;
    double seconds = s->kind == FAR_LONG     ? 1
                     : s->kind == LIES_FLOOD ? 0.1 /* room for it */
                                             : log_between(r, 3, most_seconds);
    double slowest = bits * (1 + (s->nodes - 2) * owned) / seconds * 1e-6;
    double most = s->kind == FAR_UNEVEN ? 50 : 2;
    for (uint32_t i = 0; i < s->nodes; i++) {
        s->mbps[i] = i == 0 ? slowest : slowest * log_between(r, 1, most);
        s->down_mbps[i] = s->mbps[i] * (double)(1 + 3 * rng_below(r, 3));
    }
    s->guess_mbps = guesses[rng_below(r, 4)];
    span transfer = span_ms((uint64_t)(1e3 * seconds));
    s->round = span_ns(s->round.ns + 2 * transfer.ns);
    s->slack = span_ns(4 * transfer.ns);
    s->download =
        span_ms((uint64_t)(64e-3 * (double)s->parameters / slowest)); /* 8 B a parameter */
}

void far_swarm(struct rng *r, struct scenario *s)
{
    s->far = true;
    workers(r, s);
    rates(r, s);
    s->one_way = rng_below(r, 2) ? span_ms(0) : milliseconds(r, 5, 150);
}

static void part(struct scenario *s, uint32_t a, uint32_t b)
{
    s->apart[a] |= 1u << b;
    s->apart[b] |= 1u << a;
}

static bool reach(const struct scenario *s, uint32_t a, uint32_t b)
{
    return !(s->apart[a] >> b & 1);
}

/* Is there one of `relays` who reaches both of every pair? */
static bool relayed(const struct scenario *s, uint32_t relays)
{
    for (uint32_t a = 0; a < s->nodes; a++)
        for (uint32_t b = 0; b < a; b++) {
            bool any = reach(s, a, b);
            for (uint32_t c = 0; c < s->nodes; c++)
                any = any ||
                      (relays >> c & 1 && c != a && c != b && reach(s, a, c) && reach(s, b, c));
            if (!any) return false;
        }
    return true;
}

void far_holes(struct rng *r, struct scenario *s, uint32_t relays)
{
    for (uint64_t tries = between(r, 1, 2 * s->nodes); tries > 0; tries--) {
        uint32_t a = (uint32_t)rng_below(r, s->nodes), b = (uint32_t)rng_below(r, s->nodes);
        const struct scenario before = *s;
        if (a == b) continue;
        part(s, a, b);
        if (!relayed(s, relays)) *s = before;
    }
}

void far_of(uint64_t seed, uint32_t nodes, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    struct rng r = rng_split(rng_init(seed), 7);
    memset(s, 0, sizeof *s);
    s->kind = scenario_kind_of(seed, WORLDS_FAR);
    s->nodes = nodes ? nodes : (uint32_t)between(&r, 2, rng_below(&r, 4) ? 8 : 20);
    if (s->nodes < 2) s->nodes = 2;
    bool three = s->kind == FAR_JOIN || s->kind == FAR_HUB || s->kind == FAR_HOLES;
    if (three && s->nodes < 3) s->nodes = 3;
    far_swarm(&r, s);
    if (s->kind == FAR_LONG) {
        s->one_way = milliseconds(&r, 100, 400);
        s->loss = 0.05 * rng_unit(&r);
        s->burst = 0.002;
        s->duplicate = s->reorder = 0.05;
        needed[FAULT_LOSS] = s->loss > 0.005; /* few nodes say little */
    }
    if (s->kind == FAR_JOIN) {
        scenario_plan_joins(&r, s, 1, needed);
        s->slack = span_ns(2 * s->slack.ns); /* downloads share the links */
    }
    if (s->kind == FAR_DEAF)
        scenario_plan(s, FAULT_DEAF, needed)->length = milliseconds(&r, 20000, 120000);
    if (s->kind == FAR_HANG)
        for (int i = 0; i < 2; i++)
            scenario_plan(s, FAULT_HANG, needed)->length = milliseconds(&r, 10000, 120000);
    if (s->kind == FAR_HUB) {
        uint32_t hub = (uint32_t)rng_below(&r, s->nodes);
        for (uint32_t a = 0; a < s->nodes; a++)
            for (uint32_t b = 0; b < a; b++)
                if (a != hub && b != hub) part(s, a, b);
    }
    if (s->kind == FAR_HOLES) far_holes(&r, s, UINT32_MAX);
    scenario_plan_times(&r, s);
}
