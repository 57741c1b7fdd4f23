/* kernels_attention.h -- the softmax of attention, on a block of scores with queries in the lanes.
 *
 * Maximum, sum and mask then work lane by lane, without reductions across a vector; and the
 * probabilities are in the order of a strip, ready for the product with the values. */
#ifndef SHOAL_CPU_KERNELS_ATTENTION_H
#define SHOAL_CPU_KERNELS_ATTENTION_H

#include <math.h>

#include "cpu/kernels.h"
#include "cpu/kernels_product.h"
#include "cpu/vector.h"

/* Of `keys` keys, the number that all of the strip's LANES queries see, and the number that at
 * least one sees. */
struct seen {
    size_t by_all, by_any;
    ptrdiff_t ahead; /* first key - first query */
};
INLINE struct seen seen_in(const struct kernel_scores *s, size_t column)
{
    const ptrdiff_t ahead = (ptrdiff_t)s->first_key - (ptrdiff_t)(s->first_query + column);
    const ptrdiff_t all = 1 - ahead, any = LANES - ahead, keys = (ptrdiff_t)s->keys;
    return (struct seen){(size_t)(all < 0      ? 0
                                  : all < keys ? all
                                               : keys),
                         (size_t)(any < 0      ? 0
                                  : any < keys ? any
                                               : keys),
                         ahead};
}

/* v in the lanes whose query sees this key, elsewhere `other`. */
INLINE vec seen_or(struct seen seen, size_t key, vec v, float other)
{
    ivec lane;
    UNROLL for (int i = 0; i < LANES; i++) lane[i] = i;
    return choose(lane >= (int32_t)(seen.ahead + (ptrdiff_t)key), v, splat(other));
}

/* Step `k` / NUMBERS_OF_STEP of a strip: this key's numbers, and the next key's. */
INLINE void put_step(uint32_t *strip, size_t k, vec v, vec next)
{
#if PAIRS
    const uvec word = __builtin_convertvector(narrow(v), uvec) |
                      __builtin_convertvector(narrow(next), uvec) << 16;
    memcpy(strip + k / 2 * LANES, &word, sizeof word);
#else
    (void)next;
    memcpy(strip + k * LANES, &v, sizeof v);
#endif
}

INLINE vec probability(const struct kernel_scores *s, struct seen seen, const float *x, size_t k,
                       vec top)
{
    if (k >= seen.by_any) return (vec){0};
    vec p = exp_of(take(x + k * s->columns, LANES) * s->alpha - top);
    return k < seen.by_all ? p : seen_or(seen, k, p, 0);
}

INLINE void softmax_strip(const struct kernel_scores *s, size_t column, float *tops, float *totals,
                          uint32_t *strip, float *sums, size_t depth)
{
    const float *x = s->scores + column;
    const struct seen seen = seen_in(s, column);
    vec best = splat(-INFINITY);
    for (size_t k = 0; k < seen.by_all; k++) best = max_of(take(x + k * s->columns, LANES), best);
    for (size_t k = seen.by_all; k < seen.by_any; k++)
        best = max_of(seen_or(seen, k, take(x + k * s->columns, LANES), -INFINITY), best);
    const vec old = take(tops + column, LANES), top = max_of(best * s->alpha, old);
    const vec keep = exp_of(old - top);
    vec total = take(totals + column, LANES) * keep;
    size_t k = 0;
    for (; k + NUMBERS_OF_STEP <= seen.by_all; k += NUMBERS_OF_STEP) {
        vec p[2] = {0};
        UNROLL for (size_t i = 0; i < NUMBERS_OF_STEP; i++)
        {
            p[i] = exp_of(take(x + (k + i) * s->columns, LANES) * s->alpha - top);
            total += p[i];
        }
        put_step(strip, k, p[0], p[1]);
    }
    for (; k < steps_of(s->keys) * NUMBERS_OF_STEP; k += NUMBERS_OF_STEP) {
        vec p[2] = {0};
        UNROLL for (size_t i = 0; i < NUMBERS_OF_STEP; i++)
        {
            p[i] = probability(s, seen, x, k + i, top);
            total += p[i];
        }
        put_step(strip, k, p[0], p[1]);
    }
    put(tops + column, top, LANES);
    put(totals + column, total, LANES);
    for (size_t i = 0; i < depth; i++) {
        float *sum = sums + i * s->columns + column;
        put(sum, take(sum, LANES) * keep, LANES);
    }
}

static size_t words_of_keys(size_t keys) { return steps_of(keys) * LANES; }

static void softmax(const struct kernel_scores *s, float *top, float *total, uint32_t *strips,
                    float *sums, size_t depth)
{
    for (size_t column = 0; column < s->columns; column += LANES, strips += words_of_keys(s->keys))
        softmax_strip(s, column, top, total, strips, sums, depth);
}

/* Probability and gradient of key k for a strip's lanes, written to `p` and `ds`; returns ds. */
INLINE vec gradient_of(const struct kernel_scores *s, const float *d, size_t at, vec p, vec delta,
                       number *ps, number *dss)
{
    const vec ds = s->alpha * p * (take(d + at, LANES) - delta);
    put(ps + at, p, LANES);
    put(dss + at, ds, LANES);
    return ds;
}

static void softmax_backward(const struct kernel_scores *s, const float *d, const float *logsum,
                             const float *delta, void *p, void *ds, uint32_t *strips)
{
    for (size_t column = 0; column < s->columns;
         column += LANES, strips += words_of_keys(s->keys)) {
        const float *x = s->scores + column;
        const struct seen seen = seen_in(s, column);
        const vec top = take(logsum + column, LANES), mean = take(delta + column, LANES);
        size_t k = 0;
        for (; k + NUMBERS_OF_STEP <= seen.by_all; k += NUMBERS_OF_STEP) {
            vec g[2] = {0};
            UNROLL for (size_t i = 0; i < NUMBERS_OF_STEP; i++)
            {
                const size_t at = (k + i) * s->columns + column;
                const vec one = exp_of(take(s->scores + at, LANES) * s->alpha - top);
                g[i] = gradient_of(s, d, at, one, mean, p, ds);
            }
            put_step(strips, k, g[0], g[1]);
        }
        for (; k < steps_of(s->keys) * NUMBERS_OF_STEP; k += NUMBERS_OF_STEP) {
            vec g[2] = {0};
            for (size_t i = 0; i < NUMBERS_OF_STEP && k + i < s->keys; i++)
                g[i] = gradient_of(s, d, (k + i) * s->columns + column,
                                   probability(s, seen, x, k + i, top), mean, p, ds);
            put_step(strips, k, g[0], g[1]);
        }
    }
}

static void turn(const float *sums, size_t columns, const float *factor, size_t rows, size_t depth,
                 void *out, size_t out_stride)
{
    for (size_t c = 0; c < rows; c += LANES)
        for (size_t i = 0; i < depth; i += LANES) {
            const size_t count = depth - i < LANES ? depth - i : LANES;
            const vec scale = factor ? take(factor + c, LANES) : splat(1);
            uvec square[LANES] = {0};
            for (size_t r = 0; r < count; r++)
                square[r] = (uvec)(take(sums + (i + r) * columns + c, LANES) * scale);
            transpose(square);
            for (size_t r = 0; r < LANES && c + r < rows; r++)
                put((number *)out + (c + r) * out_stride + i, (vec)square[r], count);
        }
}

static void attend(const void *query, const void *keys, const void *values, size_t stride,
                   size_t count_of_keys, size_t depth, float *scores, float *sums, void *out)
{
    const number *q = query, *k = keys, *v = values;
    const float alpha = 1 / sqrtf((float)depth);
    float top = -INFINITY, total = 0;
    for (size_t i = 0; i < count_of_keys; i++) {
        scores[i] = alpha * dot_of(q, k + i * stride, false, depth);
        top = scores[i] > top ? scores[i] : top;
    }
    EACH(count_of_keys, put(scores + at, exp_of(take(scores + at, count) - top), count););
    memset(sums, 0, depth * sizeof *sums);
    for (size_t i = 0; i < count_of_keys; i++) {
        const number *row = v + i * stride;
        const float p = scores[i];
        total += p;
        EACH(depth, put(sums + at, take(sums + at, count) + p * take(row + at, count), count););
    }
    const float factor = 1 / total;
    EACH(depth, put((number *)out + at, take(sums + at, count) * factor, count););
}

#endif
