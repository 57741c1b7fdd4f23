/* average.c -- checks the means: recomputed in float64 from the trainers' contributions.
 *
 * Which contributions are in a mean is determined independently of the nodes. A mean is a weighted
 * sum of known vectors, so least squares finds the weights: for a contribution in it its share of
 * the tokens, for others 0, for one counted twice twice its share. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lies.h"
#include "world.h"

struct fit { /* y as a sum of k vectors: the best-fitting factors */
    uint32_t k;
    const struct snapshot *of[CHECK_SNAPSHOTS];
    double factor[CHECK_SNAPSHOTS];
    /* The number certainly in the mean; for the others it is the factor they would have. */
    uint32_t sure;
};

/* Least squares by the normal equations, Cholesky. Contributions of different workers are nearly
 * orthogonal here, so the equations are well conditioned. */
static void fit_solve(struct fit *f, size_t at, size_t n, const double *y)
{
    uint32_t k = f->k;
    double g[CHECK_SNAPSHOTS][CHECK_SNAPSHOTS], b[CHECK_SNAPSHOTS];
    for (uint32_t i = 0; i < k; i++) {
        const float *x = f->of[i]->delta + at;
        b[i] = 0;
        for (size_t e = 0; e < n; e++) b[i] += (double)x[e] * y[e];
        for (uint32_t j = 0; j <= i; j++) {
            const float *z = f->of[j]->delta + at;
            double sum = 0;
            for (size_t e = 0; e < n; e++) sum += (double)x[e] * (double)z[e];
            g[i][j] = sum + (i == j ? 1e-30 : 0);
        }
    }
    for (uint32_t i = 0; i < k; i++)
        for (uint32_t j = 0; j <= i; j++) {
            for (uint32_t l = 0; l < j; l++) g[i][j] -= g[i][l] * g[j][l];
            g[i][j] = i == j ? sqrt(fmax(g[i][i], 1e-30)) : g[i][j] / g[j][j];
        }
    for (uint32_t i = 0; i < k; i++) {
        for (uint32_t l = 0; l < i; l++) b[i] -= g[i][l] * b[l];
        b[i] /= g[i][i];
    }
    for (uint32_t i = k; i-- > 0;) {
        for (uint32_t l = i + 1; l < k; l++) b[i] -= g[l][i] * b[l];
        f->factor[i] = b[i] /= g[i][i];
    }
}

static double absmax(const float *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)x[i]));
    return most;
}

/* Of a block's largest value: tolerance for the factors' error and fp32's rounding. */
#define SLACK 5e-4

/* The largest deviation in units of the allowed quantization error, given the counted
 * contributions: > 1 is too much. */
static double fit_error(const struct fit *f, size_t at, size_t n, const double *y)
{
    double worst = 0;
    for (size_t from = 0; from < n; from += OUTER_BLOCK) {
        size_t m = n - from < OUTER_BLOCK ? n - from : OUTER_BLOCK;
        double allowed = 1e-12, mean_max = 0;
        for (uint32_t i = 0; i < f->k; i++)
            allowed += f->factor[i] * absmax(f->of[i]->delta + at + from, m) *
                       (i < f->sure ? 0.5 / 127 + SLACK : 1.0);
        for (size_t e = from; e < from + m; e++) mean_max = fmax(mean_max, fabs(y[e]));
        allowed += mean_max * (0.5 / 127 + SLACK);
        for (size_t e = from; e < from + m; e++) {
            double sum = 0;
            for (uint32_t i = 0; i < f->sure; i++)
                sum += f->factor[i] * (double)f->of[i]->delta[at + e];
            worst = fmax(worst, fabs(sum - y[e]) / allowed);
        }
    }
    return worst;
}

/* Converts to float64; returns the mean of the blocks' scales: the size of one step of q. */
static double dequantize(const uint8_t *wire, size_t n, double *y)
{
    size_t blocks = (n + OUTER_BLOCK - 1) / OUTER_BLOCK;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        float scale;
        memcpy(&scale, wire + 4 * (i / OUTER_BLOCK), 4);
        y[i] = (double)scale * (double)(int8_t)wire[4 * blocks + i];
        if (i % OUTER_BLOCK == 0) sum += (double)scale;
    }
    return sum / (double)blocks;
}

static uint64_t least_tokens(const struct snapshot *s)
{
    return s->offers.before ? s->offers.before : s->offers.latest;
}

/* A member of any mean adds its tokens to the lineage, once. It may have made more than one
 * contribution. */
static void count_tokens(struct means *m, const struct snapshot *s, bool surely)
{
    uint64_t low = surely ? least_tokens(s) : 0;
    if (surely && (m->low[s->node] == 0 || low < m->low[s->node])) m->low[s->node] = low;
    if (s->tokens > m->high[s->node]) m->high[s->node] = s->tokens;
}

#define STRONG 0.02 /* initially a factor above this is not noise */
#define HIDDEN 2.0  /* steps of the mean's scale: a smaller share may be rounded away completely */

/* Tokens that correspond to a factor of 1, from the contributions certainly in the mean. */
static double tokens_of_all(const struct fit *f)
{
    double tokens = 0, factors = 0;
    for (uint32_t i = 0; i < f->k; i++)
        if (f->factor[i] > STRONG) {
            tokens += (double)f->of[i]->offers.latest;
            factors += f->factor[i];
        }
    return factors > 0 ? tokens / factors : 1;
}

static double rms(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)n);
}

/* Of the snapshots of one node that may have been rounded away, is this the one that fits best? */
static bool best_of_node(const struct fit *f, uint32_t i)
{
    for (uint32_t j = 0; j < f->k; j++)
        if (f->of[j]->node == f->of[i]->node && fabs(f->factor[j]) > fabs(f->factor[i]))
            return false;
    return true;
}

/* Keeps the contributions that were counted, with undecidable ones at the end. False, with the run
 * ended, when a node was counted twice. */
static bool fit_members(struct world *w, struct sim_node *n, uint32_t chunk, struct fit *f,
                        size_t at, size_t count, double step)
{
    struct means *m = &n->watch.means;
    double all = tokens_of_all(f);
    struct fit in = {0}, faint = {0};
    for (uint32_t i = 0; i < f->k; i++) {
        const struct snapshot *s = f->of[i];
        double share = (double)s->offers.latest / all;
        if (share * rms(s->delta + at, count) < HIDDEN * step) {
            if (m->faint[chunk] >> s->node & 1 || !best_of_node(f, i)) continue;
            count_tokens(m, s, false);
            m->faint[chunk] |= 1u << s->node;
            faint.of[faint.k] = s;
            faint.factor[faint.k++] = (double)s->tokens / all;
        } else if (fabs(f->factor[i]) > share / 3) {
            if (m->members[chunk] >> s->node & 1) {
                world_violated(w, "average: node %d's contribution is twice in chunk %u of node %d",
                               s->node, chunk, n->index);
                return false;
            }
            count_tokens(m, s, true);
            m->members[chunk] |= 1u << s->node;
            in.of[in.k] = s;
            in.factor[in.k++] = f->factor[i];
        }
    }
    in.sure = in.k;
    for (uint32_t i = 0; i < faint.k; i++) {
        in.of[in.k] = faint.of[i];
        in.factor[in.k++] = faint.factor[i];
    }
    *f = in;
    return true;
}

/* Checks that weights sum to 1 and are proportional to the tokens in each READY. */
static bool fit_weights(struct world *w, struct sim_node *n, uint32_t chunk, const struct fit *f)
{
    double sum = 0, low = 0, high = INFINITY, hidden = 0;
    for (uint32_t i = 0; i < f->sure; i++) {
        sum += f->factor[i];
        low = fmax(low, (double)least_tokens(f->of[i]) / f->factor[i]);
        high = fmin(high, (double)f->of[i]->tokens / f->factor[i]);
    }
    for (uint32_t i = f->sure; i < f->k; i++) hidden += f->factor[i];
    if (sum > 1.01 || sum + hidden < 0.99) {
        world_violated(w,
                       "average: the contributions in chunk %u of node %d have weights that sum to "
                       "%.3f: one is claimed and missing, or counted and not claimed",
                       chunk, n->index, sum);
        return false;
    }
    if (low > high * 1.04) {
        world_violated(w,
                       "average: the contributions in chunk %u of node %d are not weighted by "
                       "their tokens (a weight is off by %.2f or more)",
                       chunk, n->index, low / high);
        return false;
    }
    return true;
}

/* Checks one chunk's mean against the contributions to this round. */
static void check_chunk(struct world *w, struct sim_node *n, uint32_t chunk)
{
    const struct trainer *t = &n->trainer;
    size_t at = outer_chunk_start(&t->replica.layout, chunk);
    size_t count = outer_chunk_count(&t->replica.layout, chunk);
    double *y = malloc(count * sizeof *y);
    if (!y) abort();
    double step =
        dequantize(t->order.average.means + outer_wire_offset(&t->replica.layout, chunk), count, y);
    struct fit f = {0};
    for (uint32_t i = 0; i < CHECK_SNAPSHOTS; i++) {
        const struct snapshot *s = &w->check.snapshots[i];
        if (s->delta && s->base == n->watch.history) f.of[f.k++] = s;
    }
    fit_solve(&f, at, count, y);
    if (fit_members(w, n, chunk, &f, at, count, step) && fit_weights(w, n, chunk, &f)) {
        double error = fit_error(&f, at, count, y);
        if (error > 1.0)
            world_violated(w,
                           "average: chunk %u of node %d is off by %.1f times what quantization "
                           "allows: it is no mean of contributions to epoch %llu",
                           chunk, n->index, error, (unsigned long long)t->order.epoch);
    }
    free(y);
}

void check_means(struct world *w, struct sim_node *n)
{
    const struct trainer *t = &n->trainer;
    int32_t known = check_history(&w->check, t->order.lineage);
    struct means *m = &n->watch.means;
    memset(m, 0, sizeof *m);
    if (lies_about_means(w)) return;
    /* Equal lineage means equal bits, which check_applied verifies: so the known means apply here,
     * too. */
    if (known >= 0) *m = w->check.histories[known].means;
    for (uint32_t c = 0; c < t->replica.layout.chunks && !w->over; c++) {
        if (t->order.average.null[c]) continue;
        if (known < 0) check_chunk(w, n, c);
        bool in = m->members[c] >> n->index & 1, hidden = m->faint[c] >> n->index & 1;
        if (in != (bool)t->order.average.mine[c] && !hidden)
            world_violated(w,
                           "average: node %d is told that its contribution is %s chunk %u, but it "
                           "is %s it",
                           n->index, t->order.average.mine[c] ? "in" : "not in", c,
                           in ? "in" : "not in");
    }
}

void check_given(struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    const struct order *o = &t->order;
    const struct outer_layout *l = &t->replica.layout;
    for (uint32_t c = 0; c < l->chunks; c++) {
        bool kept = o->kind == ORDER_ADOPT ? o->carries && !o->average.mine[c]
                                           : o->average.null[c] || !o->average.mine[c];
        if (!kept)
            memset(t->learned + outer_chunk_start(l, c), 0,
                   outer_chunk_count(l, c) * sizeof *t->learned);
    }
}

/* Does the contribution hold what was learned, up to fp32's rounding? */
static void check_learned(struct world *w, const struct sim_node *n, const float *delta)
{
    for (uint64_t i = 0; i < w->scenario.parameters; i++) {
        float off = delta[i] + (float)n->trainer.learned[i] * STEP_UNIT;
        if (fabsf(off) < STEP_UNIT / 4) continue;
        world_violated(w,
                       "learned: node %d's contribution differs by %g from what it learned and has "
                       "not given yet, at element %llu of epoch %llu",
                       n->index, (double)off, (unsigned long long)i,
                       (unsigned long long)n->trainer.replica.state.epoch);
        return;
    }
}

void check_snapshot(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    uint64_t count = t->replica.layout.parameters;
    struct snapshot new = {.node = n->index,
                           .base = n->watch.history,
                           .offers = n->watch.offers,
                           .tokens = node_lies(w, n) ? n->watch.offers.latest
                                                     : world_counted(w, t->round.tokens),
                           .delta = malloc(count * sizeof(float))};
    if (!new.delta) abort();
    for (uint64_t i = 0; i < count; i++)
        new.delta[i] = t->replica.state.anchor[i] - t->parameters[i];
    if (!n->watch.flipped_at.ns && !node_lies(w, n)) check_learned(w, n, new.delta);
    struct snapshot *s = NULL;
    for (uint32_t i = 0; i < CHECK_SNAPSHOTS;
         i++) { /* the same snapshot again, after a failed attempt */
        struct snapshot *o = &w->check.snapshots[i];
        if (o->delta && o->node == new.node &&
            o->base == new.base &&memcmp(o->delta, new.delta, count * sizeof(float)) == 0)
            s = o;
    }
    if (!s) s = &w->check.snapshots[w->check.snapshot_next++ % CHECK_SNAPSHOTS];
    free(s->delta);
    *s = new;
}
