#include "shrink.h"

#include "less.h"

struct search {
    shrink_try attempt;
    void *self;
    struct shrunk *out;
    uint64_t salts; /* how many to try */
    uint32_t nodes; /* of the whole world */
};

static uint64_t first(uint32_t count) { return count < 64 ? ((uint64_t)1 << count) - 1 : ~0ull; }

/* Is this one a failure, too? Then it is the smallest so far. */
static bool keeps_failing(struct search *s, struct sim_options o)
{
    const uint64_t salt = o.salt;
    if (o.less.nodes == first(s->nodes)) return false; /* an empty world */
    for (uint64_t i = 0; i < s->salts && !s->out->stopped; i++) {
        o.salt = salt + i;
        enum shrink_answer a = s->attempt(s->self, &o);
        s->out->tries++;
        if (a == SHRINK_STOP) s->out->stopped = true;
        if (a == SHRINK_YES) s->out->options = o;
        if (a == SHRINK_YES) return true;
    }
    return false;
}

/* The next `count` of the bits of `left`, from `*at` on, which moves behind them. */
static uint64_t next_bits(uint64_t left, uint32_t *at, uint32_t count)
{
    uint64_t some = 0;
    for (; *at < 64 && count; ++*at)
        if (left >> *at & 1) {
            some |= (uint64_t)1 << *at;
            count--;
        }
    return some;
}

static struct sim_options without(const struct sim_options *o, uint64_t some, bool nodes)
{
    struct sim_options less = *o;
    if (nodes) less.less.nodes |= (uint32_t)some;
    else less.less.faults |= some;
    return less;
}

/* Leaves out what it can of the things in `all`: half of them at once, and so on. */
static bool drop_many(struct search *s, uint64_t all, bool nodes)
{
    bool any = false;
    uint32_t size = (uint32_t)__builtin_popcountll(all);
    while (size > 1 && !s->out->stopped) {
        size = (size + 1) / 2;
        for (uint32_t at = 0; at < 64 && !s->out->stopped;) {
            const struct sim_less *l = &s->out->options.less;
            uint64_t some = next_bits(all & ~(nodes ? l->nodes : l->faults), &at, size);
            if (some && keeps_failing(s, without(&s->out->options, some, nodes))) any = true;
        }
    }
    return any;
}

static bool drop_one(struct search *s, uint64_t all, bool nodes)
{
    if (__builtin_popcountll(all) != 1) return drop_many(s, all, nodes);
    return keeps_failing(s, without(&s->out->options, all, nodes));
}

static bool drop_faults(struct search *s, const struct scenario *w)
{
    return drop_one(s, first(w->plan_count) & ~s->out->options.less.faults, false);
}

/* The one that the others' peer lists name stays: without it they may rightly never meet. */
static bool drop_nodes(struct search *s, const struct scenario *w)
{
    uint64_t all = first(w->nodes) & ~(uint64_t)s->out->options.less.nodes;
    if (w->list_first) all &= ~1ull;
    return all && drop_one(s, all, true);
}

static bool drop_packets(struct search *s, const struct scenario *w)
{
    const bool there[] = {w->loss > 0 || w->burst > 0, w->duplicate > 0, w->reorder > 0,
                          w->damage > 0};
    bool any = false;
    for (int i = -1; i < 4; i++) { /* all of them at once, then each */
        struct sim_options o = s->out->options;
        bool *flags[] = {&o.less.loss, &o.less.duplicates, &o.less.reordering, &o.less.damage};
        bool new = false;
        for (int k = 0; k < 4; k++)
            if (there[k] && !*flags[k] && (i < 0 || i == k)) *flags[k] = new = true;
        any = (new &&keeps_failing(s, o)) || any;
    }
    return any;
}

/* The calm comes as soon as what is left allows, or half way to there. */
static bool calm_earlier(struct search *s, const struct scenario *w)
{
    uint32_t now = (uint32_t)(w->calm_at.ns / span_s(1).ns);
    uint32_t least = (uint32_t)(scenario_calm(w).ns / span_s(1).ns) + 1;
    for (uint32_t calm = least; calm + 10 < now; calm += (now - calm) / 2) {
        struct sim_options o = s->out->options;
        o.less.calm_s = calm;
        if (keeps_failing(s, o)) return true;
    }
    return false;
}

void shrink(const struct sim_options *options, shrink_try attempt, void *self, struct shrunk *out)
{
    static bool (*const steps[])(struct search *, const struct scenario *) = {
        drop_faults, drop_nodes, drop_packets, calm_earlier};
    *out = (struct shrunk){.options = *options};
    struct search s = {.attempt = attempt, .self = self, .out = out, .salts = 1};
    bool again = true;
    while (!out->stopped && (again || s.salts == 1)) {
        if (!again) s.salts = SHRINK_SALTS;
        again = false;
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            struct scenario w;
            uint64_t needed[FAULT_COUNT] = {0};
            less_scenario(&out->options, &w, needed);
            s.nodes = w.nodes;
            again = steps[i](&s, &w) || again;
        }
    }
}
