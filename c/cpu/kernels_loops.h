/* kernels_loops.h -- the loops of kernels.h for vectors of LANES floats; included by kernels_*.c, which define LANES, KERNELS
 * (the table's name) and NAME. GCC's vector extensions: the compiler picks the instructions. Sums run in LANES strands
 * that are added at the end; a tail that fills no vector is padded with zeros. Not-a-number in gives not-a-number
 * out: the trainer finds a diverged model by it. */
#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernels.h"

/* Fused multiply-adds are welcome here: only the outer step has to agree between machines. */
#pragma STDC FP_CONTRACT ON

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef double dvec __attribute__((vector_size(LANES * sizeof(double))));

INLINE vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void store(float *p, vec v) { memcpy(p, &v, sizeof v); }
INLINE vec load_some(const float *p, size_t count)
{
    vec v = {0};
    memcpy(&v, p, count * sizeof(float));
    return v;
}
INLINE void store_some(float *p, vec v, size_t count) { memcpy(p, &v, count * sizeof(float)); }
INLINE vec splat(float x) { return x - (vec){0}; }

/* Lane by lane: mask ? a : b, mask all ones or all zeros. */
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }
INLINE vec max_of(vec a, vec b) { return choose(a > b, a, b); }

INLINE float add_lanes(vec v)
{
    float lanes[LANES];
    memcpy(lanes, &v, sizeof lanes);
    for (size_t width = LANES / 2; width; width /= 2)
        for (size_t i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}
INLINE float max_lanes(vec v)
{
    float lanes[LANES];
    memcpy(lanes, &v, sizeof lanes);
    float best = lanes[0];
    for (size_t i = 1; i < LANES; i++) best = lanes[i] > best ? lanes[i] : best;
    return best;
}

/* exp(x) to 2 ulp for -87.3 <= x <= 88; outside, that of the nearer bound. x = n ln 2 + r with |r| <= ln 2 / 2 (Cody and
 * Waite's split of ln 2), the series of exp(r) to r^7 / 7! (the next term is 5e-9 of the sum at most), then n goes
 * into the exponent. */
INLINE vec exp_of(vec x)
{
    const vec low = splat(-87.3f), high = splat(88.0f);
    x = choose(x < low, low, x);
    x = choose(x > high, high, x);
    const float round =
        12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    vec shifted = x * 1.44269504f + round;
    ivec n = (ivec)shifted - (ivec)splat(round);
    vec whole = shifted - round;
    vec r = x - whole * 0.693359375f;
    r = r + whole * 2.12194440e-4f;
    vec p = splat(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * (vec)((n + 127) << 23);
}

INLINE vec root_of(vec x)
{
#if LANES == 16
    return (vec)_mm512_sqrt_ps((__m512)x);
#else
    return (vec)_mm256_sqrt_ps((__m256)x);
#endif
}

/* Calls `body` with `at` and `count` for each vector of [0, n): count is LANES but for the last. The two copies let the
 * compiler see full vectors in the first. */
#define EACH(n, body)                                                                              \
    do {                                                                                           \
        size_t at = 0;                                                                             \
        for (; at + LANES <= (n); at += LANES) {                                                   \
            const size_t count = LANES;                                                            \
            body                                                                                   \
        }                                                                                          \
        if (at < (n)) {                                                                            \
            const size_t count = (n)-at;                                                           \
            body                                                                                   \
        }                                                                                          \
    } while (0)

INLINE vec take(const float *p, size_t count)
{
    return count == LANES ? load(p) : load_some(p, count);
}
INLINE void put(float *p, vec v, size_t count)
{
    if (count == LANES) store(p, v);
    else store_some(p, v, count);
}

static void norm(const struct op_norm *o, size_t first, size_t last)
{
    const size_t dim = o->dim;
    for (size_t r = first; r < last; r++) {
        const float *x = (const float *)o->x + r * dim;
        float *out = (float *)o->out + r * dim;
        vec squares = {0};
        if (o->add) {
            const float *add = (const float *)o->add + r * dim;
            float *sum = (float *)o->sum + r * dim;
            EACH(dim, vec v = take(x + at, count) + take(add + at, count); squares += v * v;
                 put(sum + at, v, count););
            x = sum;
        } else EACH(dim, vec v = take(x + at, count); squares += v * v;);
        float inverse = 1.0f / sqrtf(add_lanes(squares) / (float)dim + o->eps);
        o->inverse[r] = inverse;
        EACH(dim, put(out + at, take(x + at, count) * inverse * take(o->gain + at, count), count););
    }
}

/* With h = x * inverse and g = out_grad * gain:  x_grad = inverse * (g - h * mean(g h)). */
static void norm_backward(const struct op_norm_backward *o, size_t first, size_t last,
                          float *gain_partial)
{
    const size_t dim = o->dim;
    memset(gain_partial, 0, dim * sizeof(float));
    for (size_t r = first; r < last; r++) {
        const float *x = (const float *)o->x + r * dim;
        const float *out_grad = (const float *)o->out_grad + r * dim;
        float *x_grad = (float *)o->x_grad + r * dim;
        const float inverse = o->inverse[r];
        vec dot = {0};
        EACH(dim, vec h = take(x + at, count) * inverse; vec d = take(out_grad + at, count);
             dot += d * take(o->gain + at, count) * h;
             put(gain_partial + at, take(gain_partial + at, count) + d * h, count););
        const float mean = add_lanes(dot) / (float)dim;
        if (o->add)
            EACH(dim, vec h = take(x + at, count) * inverse;
                 vec g = take(out_grad + at, count) * take(o->gain + at, count);
                 put(x_grad + at, take(x_grad + at, count) + inverse * (g - h * mean), count););
        else
            EACH(dim, vec h = take(x + at, count) * inverse;
                 vec g = take(out_grad + at, count) * take(o->gain + at, count);
                 put(x_grad + at, inverse * (g - h * mean), count););
    }
}

static void rotary(const struct op_rotary *o, size_t first, size_t last)
{
    const size_t half = o->head_dim / 2;
    for (size_t r = first; r < last; r++) {
        const size_t position = o->start + r % o->length;
        const float *cosine = o->cosine + position * half, *sine = o->sine + position * half;
        const float sign = o->inverse ? -1.0f : 1.0f;
        for (size_t h = 0; h < o->heads; h++) {
            float *a = (float *)o->x + r * o->stride + h * o->head_dim, *b = a + half;
            EACH(half, vec c = take(cosine + at, count); vec s = take(sine + at, count) * sign;
                 vec u = take(a + at, count); vec v = take(b + at, count);
                 put(a + at, u * c - v * s, count); put(b + at, v * c + u * s, count););
        }
    }
}

static void swiglu(const struct op_swiglu *o, size_t first, size_t last)
{
    const size_t ffn = o->ffn;
    for (size_t r = first; r < last; r++) {
        const float *gate = (const float *)o->gate_up + r * 2 * ffn, *up = gate + ffn;
        float *out = (float *)o->out + r * ffn;
        EACH(ffn, vec z = take(gate + at, count);
             put(out + at, z / (1.0f + exp_of(-z)) * take(up + at, count), count););
    }
}

/* silu'(z) = s + z s (1 - s), s = 1 / (1 + exp(-z)). */
static void swiglu_backward(const struct op_swiglu_backward *o, size_t first, size_t last)
{
    const size_t ffn = o->ffn;
    for (size_t r = first; r < last; r++) {
        const float *gate = (const float *)o->gate_up + r * 2 * ffn, *up = gate + ffn;
        const float *out_grad = (const float *)o->out_grad + r * ffn;
        float *gate_grad = (float *)o->gate_up_grad + r * 2 * ffn, *up_grad = gate_grad + ffn;
        EACH(ffn, vec z = take(gate + at, count); vec d = take(out_grad + at, count);
             vec s = 1.0f / (1.0f + exp_of(-z)); vec silu = z * s;
             put(gate_grad + at, d * take(up + at, count) * (s + silu * (1.0f - s)), count);
             put(up_grad + at, d * silu, count););
    }
}

/* The largest of n >= 1 floats. One that is not a number may be passed over: it shows in the sum of exponentials. */
INLINE float max_in(const float *x, size_t n)
{
    vec best = splat(x[0]);
    size_t at = 0;
    for (; at + LANES <= n; at += LANES) best = max_of(best, load(x + at));
    float top = max_lanes(best);
    for (; at < n; at++) top = x[at] > top ? x[at] : top;
    return top;
}

/* x = exp(x - top); returns the sum. */
INLINE float exp_in_place(float *x, size_t n, float top)
{
    vec sum = {0};
    size_t at = 0;
    for (; at + LANES <= n; at += LANES) {
        vec e = exp_of(load(x + at) - top);
        store(x + at, e);
        sum += e;
    }
    if (at < n) {
        vec e = exp_of(load_some(x + at, n - at) - top);
        store_some(x + at, e, n - at);
        sum += load_some(x + at, n - at);
    }
    return add_lanes(sum);
}

INLINE void scale_by(float *x, size_t n, float factor)
{
    EACH(n, put(x + at, take(x + at, count) * factor, count););
}

static void cross_entropy(const struct op_cross_entropy *o, size_t first, size_t last)
{
    for (size_t r = first; r < last; r++) {
        float *x = (float *)o->logits + r * o->vocab;
        const size_t target = o->targets[r];
        assert(target < o->vocab);
        const float top = max_in(x, o->vocab), wanted = x[target];
        const float sum = exp_in_place(x, o->vocab, top);
        o->loss[r] = logf(sum) + (top - wanted);
        if (!o->gradient) continue;
        scale_by(x, o->vocab, o->scale / sum);
        x[target] -= o->scale;
    }
}

static void softmax(const struct kernel_scores *s, float *logsum)
{
    for (size_t r = 0; r < s->rows; r++) {
        float *x = s->scores + r * s->stride;
        const size_t seen = s->first + r + 1;
        const float top = max_in(x, seen);
        const float sum = exp_in_place(x, seen, top);
        scale_by(x, seen, 1.0f / sum);
        memset(x + seen, 0, (s->columns - seen) * sizeof(float));
        if (logsum) logsum[r] = top + logf(sum);
    }
}

static void softmax_backward(const struct kernel_scores *s, float *d, const float *logsum,
                             const float *delta, float alpha)
{
    for (size_t r = 0; r < s->rows; r++) {
        float *x = s->scores + r * s->stride, *g = d + r * s->stride;
        const size_t seen = s->first + r + 1;
        const float top = logsum[r], mean = delta[r];
        EACH(seen, vec p = exp_of(take(x + at, count) - top); put(x + at, p, count);
             put(g + at, alpha * p * (take(g + at, count) - mean), count););
        memset(x + seen, 0, (s->columns - seen) * sizeof(float));
        memset(g + seen, 0, (s->columns - seen) * sizeof(float));
    }
}

INLINE void adamw_range(const struct op_adamw *o, size_t first, size_t last, float decay)
{
    const float rate = o->lr / o->correction1, keep = 1.0f - o->lr * decay;
    const float root = 1.0f / sqrtf(o->correction2);
    float *p = o->parameters + first, *m = o->moment1 + first, *v = o->moment2 + first;
    const float *gradient = o->gradient + first;
    EACH(last - first, vec g = take(gradient + at, count) * o->gradient_scale;
         vec m1 = o->beta1 * take(m + at, count) + (1.0f - o->beta1) * g;
         vec m2 = o->beta2 * take(v + at, count) + (1.0f - o->beta2) * (g * g);
         put(m + at, m1, count); put(v + at, m2, count);
         put(p + at, keep * take(p + at, count) - rate * m1 / (root_of(m2) * root + o->eps),
             count););
}

static void adamw(const struct op_adamw *o, size_t first, size_t last)
{
    size_t border = o->decayed_count < first ? first : o->decayed_count;
    if (border > last) border = last;
    adamw_range(o, first, border, o->decay);
    adamw_range(o, border, last, 0);
}

static void add(float *to, const float *from, size_t n)
{
    EACH(n, put(to + at, take(to + at, count) + take(from + at, count), count););
}

static float dot(const float *a, const float *b, size_t n)
{
    vec sum = {0};
    EACH(n, sum += take(a + at, count) * take(b + at, count););
    return add_lanes(sum);
}

INLINE double add_lanes_wide(const dvec *v)
{
    double lanes[LANES];
    memcpy(lanes, v, sizeof lanes);
    for (size_t width = LANES / 2; width; width /= 2)
        for (size_t i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

static double sum(const float *x, size_t n)
{
    dvec total = {0};
    EACH(n, total += __builtin_convertvector(take(x + at, count), dvec););
    return add_lanes_wide(&total);
}

static double square_sum(const float *x, size_t n)
{
    dvec total = {0};
    EACH(n, dvec v = __builtin_convertvector(take(x + at, count), dvec); total += v * v;);
    return add_lanes_wide(&total);
}

/* Twelve chains: more than latency times units (4 cycles x 2) needs, and few enough for 16 registers. */
static double multiply_add(size_t rounds)
{
    enum { CHAINS = 12 };
    static volatile float start = 1.0f; /* or the compiler would know the end */
    vec chain[CHAINS];
    const vec factor = splat(start * 0.999f), offset = splat(start * 0.001f);
    for (size_t c = 0; c < CHAINS; c++) chain[c] = splat(start + (float)c);
    for (size_t r = 0; r < rounds; r++)
        for (size_t c = 0; c < CHAINS; c++) chain[c] = chain[c] * factor + offset;
    vec total = {0};
    for (size_t c = 0; c < CHAINS; c++) total += chain[c];
    /* The chains tend to 1; asking what came of them keeps them from being left out. */
    return isfinite(add_lanes(total)) ? 2.0 * LANES * CHAINS * (double)rounds : 0;
}

const struct kernels KERNELS = {
    .name = NAME,
    .norm = norm,
    .norm_backward = norm_backward,
    .rotary = rotary,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .cross_entropy = cross_entropy,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .adamw = adamw,
    .add = add,
    .dot = dot,
    .sum = sum,
    .square_sum = square_sum,
    .multiply_add = multiply_add,
};
