#include "wrong.h"

#include <string.h>

#include "draw.h"
#include "far.h"

/* A bit in the memory of one node is a minority only among three, and one that lies only when two
 * others answer. Among many a download may not ask the one that lies. */
static uint32_t draw_nodes(struct rng *r, enum scenario_kind k)
{
    const uint32_t least = k == WRONG_REPLICA || k == WRONG_SERVER || k == WRONG_MINIMUM ? 4 : 3;
    return (uint32_t)between(r, least, k == WRONG_SERVER ? 7 : rng_below(r, 4) ? 8 : 20);
}

static void draw_wrong(struct rng *r, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    const uint32_t last = s->nodes - 1;
    switch (s->kind) {
    case WRONG_COPY:
        scenario_plan_joins(r, s, 1, needed);
        s->copies = 1u << last;
        needed[FAULT_COPY] = 1;
        break;
    case WRONG_REPLICA:
        for (uint64_t i = between(r, 1, 3); i > 0; i--) scenario_plan(s, FAULT_FLIP, needed);
        break;
    case WRONG_SERVER:
        scenario_plan_joins(r, s, s->nodes - 3, needed);
        s->liars = 1u << rng_below(r, 3);
        needed[FAULT_LIE] = 1;
        break;
    case WRONG_NUMBER:
        for (uint64_t i = between(r, 2, 5); i > 0; i--) scenario_plan(s, FAULT_NUMBER, needed);
        needed[FAULT_NUMBER] = 1; /* others fall into a download, which drops what was learned */
        break;
    case WRONG_REFUSAL:
        s->refusal = log_between(r, 0.01, 0.2);
        needed[FAULT_REFUSAL] = 1;
        break;
    case WRONG_MINIMUM: {
        s->group_min = (uint32_t)between(r, 3, s->nodes);
        struct planned *p = scenario_plan(s, FAULT_CRASH, needed);
        p->actions = between(r, 1, 200);
        p->length = milliseconds(r, 500, 120000);
        needed[FAULT_RESTART] = 1;
        break;
    }
    default:
        break;
    }
}

/* The last one dies in the middle of its download, and comes back with what it had. */
static void plan_death_of_joiner(struct rng *r, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    const uint32_t last = s->nodes - 1;
    struct planned *p = scenario_plan(s, FAULT_CRASH, needed);
    p->node = (int)last;
    p->at =
        instant_after(s->start[last], span_ns((uint64_t)(2e9 * rng_unit(r) * span_in_s(s->round))));
    p->actions = between(r, 1, 400);
    p->length = milliseconds(r, 500, 20000);
    s->calm_at = scenario_calm(s);
}

void wrong_of(uint64_t seed, uint32_t nodes, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    struct rng r = rng_split(rng_init(seed), 10);
    memset(s, 0, sizeof *s);
    s->kind = scenario_kind_of(seed, WORLDS_WRONG);
    s->nodes = draw_nodes(&r, s->kind);
    if (nodes) s->nodes = nodes < 4 ? 4 : nodes;
    far_swarm(&r, s);
    draw_wrong(&r, s, needed);
    s->slack = span_ns(2 * s->slack.ns); /* downloads share the links with the averages */
    scenario_plan_times(&r, s);
    if (s->kind == WRONG_SERVER) plan_death_of_joiner(&r, s, needed);
}
