#include "less.h"

#include <string.h>

#include "far.h"
#include "lies.h"
#include "wrong.h"

bool less_any(const struct sim_less *l)
{
    return l->faults || l->nodes || l->loss || l->duplicates || l->reordering || l->damage ||
           l->calm_s;
}

static void whole(const struct sim_options *o, struct scenario *out, uint64_t needed[FAULT_COUNT])
{
    static void (*const of[])(uint64_t seed, uint32_t nodes, struct scenario * out,
                              uint64_t needed[FAULT_COUNT]) = {scenario_of, far_of, wrong_of,
                                                               lies_of};
    of[o->worlds](o->seed, o->nodes, out, needed);
}

void less_scenario(const struct sim_options *o, struct scenario *s, uint64_t needed[FAULT_COUNT])
{
    const struct sim_less *l = &o->less;
    whole(o, s, needed);
    if (!less_any(l)) return;
    memset(needed, 0, FAULT_COUNT * sizeof *needed);
    for (uint32_t i = 0; i < s->plan_count; i++)
        if (l->faults >> i & 1) s->plan[i].done = true;
    s->absent = l->nodes;
    for (uint32_t i = 0; i < s->nodes; i++) /* nobody's peer list names it */
        if (l->nodes >> i & 1) s->late[i] = true;
    if (l->loss) s->loss = s->burst = 0;
    if (l->duplicates) s->duplicate = 0;
    if (l->reordering) s->reorder = 0;
    if (l->damage) s->damage = 0;
    if (l->calm_s) s->calm_at = (instant){span_s(l->calm_s).ns};
}

bool less_valid(const struct sim_options *o)
{
    struct scenario s;
    uint64_t needed[FAULT_COUNT] = {0};
    whole(o, &s, needed);
    if (o->less.faults >> s.plan_count) {
        if (s.plan_count)
            fprintf(stderr, "sim: --without: this world's planned faults are 0 to %u\n",
                    s.plan_count - 1);
        else fprintf(stderr, "sim: --without: no fault is planned in this world\n");
        return false;
    }
    if (o->less.nodes >> s.nodes) {
        fprintf(stderr, "sim: --absent: this world's nodes are 0 to %u\n", s.nodes - 1);
        return false;
    }
    if (o->less.nodes == (1u << s.nodes) - 1) {
        fprintf(stderr, "sim: --absent: leave a node to the world\n");
        return false;
    }
    return true;
}

static void print_side(const struct scenario *s, uint32_t side, FILE *to)
{
    const char *before = "";
    for (uint32_t i = 0; i < s->nodes; i++)
        if (side >> i & 1 && !(s->absent >> i & 1)) {
            fprintf(to, "%s%u", before, i);
            before = ", ";
        }
}

static void print_planned(const struct scenario *s, const struct planned *p, FILE *to)
{
    fprintf(to, "  fault %u: %s at %.1f s", (uint32_t)(p - s->plan), fault_name(p->kind),
            (double)p->at.ns * 1e-9);
    if (p->kind == FAULT_CRASH) {
        fprintf(to, ", after %llu more actions", (unsigned long long)p->actions);
        if (p->length.ns)
            fprintf(to, ", for %.1f s%s", span_in_s(p->length),
                    p->empty ? ", back with an empty folder" : "");
        else fprintf(to, ", for ever");
    } else if (p->kind == FAULT_JUMP)
        fprintf(to, " by %.3g s, node %u or the next that runs", span_in_s(p->length), p->drawn);
    else if (p->length.ns) fprintf(to, ", for %.1f s", span_in_s(p->length));
    if (p->freezes) fprintf(to, ", with its clock");
    if (p->kind == FAULT_PARTITION || p->kind == FAULT_ONE_WAY) {
        fprintf(to, ": nodes ");
        print_side(s, p->sides, to);
        fprintf(to, p->kind == FAULT_PARTITION ? " | " : " are not heard by ");
        print_side(s, ~p->sides, to);
    }
    fprintf(to, "\n");
}

void less_print(const struct sim_options *o, FILE *to)
{
    struct scenario s;
    uint64_t needed[FAULT_COUNT] = {0};
    less_scenario(o, &s, needed);
    for (uint32_t i = 0; i < s.plan_count; i++)
        if (!s.plan[i].done) print_planned(&s, &s.plan[i], to);
    fprintf(to, "  nodes: ");
    print_side(&s, ~0u, to);
    for (uint32_t i = 0; i < s.nodes; i++)
        if (s.late[i] && !(s.absent >> i & 1))
            fprintf(to, "; %u joins at %.1f s", i, (double)s.start[i].ns * 1e-9);
    fprintf(to, "\n  packets: %.0f %% lost%s, %.0f %% doubled, %.0f %% reordered", 100 * s.loss,
            s.burst > 0 ? " and bursts of loss" : "", 100 * s.duplicate, 100 * s.reorder);
    fprintf(to, "; calm from %.0f s\n", (double)s.calm_at.ns * 1e-9);
}
