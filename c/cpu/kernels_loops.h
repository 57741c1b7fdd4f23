/* kernels_loops.h -- the loops of kernels.h, on vectors of LANES floats (vector.h); included by
 * kernels_*.c, which also define KERNELS (the table's name) and NAME. Sums use LANES accumulators
 * that are added at the end; activations are fp32 in registers, regardless of memory. NaN inputs
 * give NaN outputs: the trainer detects a diverged model by them. */
#include <assert.h>
#include <math.h>

#include "cpu/kernels.h"
#include "cpu/kernels_attention.h"
#include "cpu/kernels_product.h"
#include "cpu/vector.h"

static void norm(const struct op_norm *o, size_t first, size_t last)
{
    const size_t dim = o->dim;
    for (size_t r = first; r < last; r++) {
        const number *x = (const number *)o->x + r * dim;
        number *out = (number *)o->out + r * dim;
        vec squares = {0};
        if (o->add) {
            const number *add = (const number *)o->add + r * dim;
            number *sum = (number *)o->sum + r * dim;
            EACH(dim, vec v = stored(take(x + at, count) + take(add + at, count)); squares += v * v;
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
        const number *x = (const number *)o->x + r * dim;
        const number *out_grad = (const number *)o->out_grad + r * dim;
        number *x_grad = (number *)o->x_grad + r * dim;
        number *out = (number *)o->out + r * dim;
        const float inverse = o->inverse[r];
        vec dot = {0};
        EACH(dim, vec h = take(x + at, count) * inverse; vec d = take(out_grad + at, count);
             vec gain = take(o->gain + at, count); dot += d * gain * h;
             put(out + at, h * gain, count);
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
            number *a = (number *)o->x + r * o->stride + h * o->head_dim, *b = a + half;
            EACH(half, vec c = take(cosine + at, count); vec s = take(sine + at, count) * sign;
                 vec u = take(a + at, count); vec v = take(b + at, count);
                 put(a + at, u * c - v * s, count); put(b + at, v * c + u * s, count););
        }
    }
}

INLINE vec sigmoid(vec z) { return 1.0f / (1.0f + exp_of(-z)); }

static void swiglu(const struct op_swiglu *o, size_t first, size_t last)
{
    const size_t ffn = o->ffn;
    for (size_t r = first; r < last; r++) {
        const number *gate = (const number *)o->gate_up + r * 2 * ffn, *up = gate + ffn;
        number *out = (number *)o->out + r * ffn;
        EACH(ffn, vec z = take(gate + at, count);
             put(out + at, z * sigmoid(z) * take(up + at, count), count););
    }
}

/* silu'(z) = s + z s (1 - s), s = sigmoid(z). */
static void swiglu_backward(const struct op_swiglu_backward *o, size_t first, size_t last)
{
    const size_t ffn = o->ffn;
    for (size_t r = first; r < last; r++) {
        const number *gate = (const number *)o->gate_up + r * 2 * ffn, *up = gate + ffn;
        const number *out_grad = (const number *)o->out_grad + r * ffn;
        number *gate_grad = (number *)o->gate_up_grad + r * 2 * ffn, *up_grad = gate_grad + ffn;
        number *out = (number *)o->out + r * ffn;
        EACH(ffn, vec z = take(gate + at, count); vec u = take(up + at, count);
             vec d = take(out_grad + at, count); vec s = sigmoid(z); vec silu = z * s;
             put(out + at, silu * u, count);
             put(gate_grad + at, d * u * (s + silu * (1.0f - s)), count);
             put(up_grad + at, d * silu, count););
    }
}

/* The largest of n >= 1 numbers. A NaN may be ignored: it appears in the sum of exponentials. */
INLINE float max_in(const number *x, size_t n)
{
    vec best = splat(-INFINITY);
    size_t at = 0;
    for (; at + LANES <= n; at += LANES) best = max_of(take(x + at, LANES), best);
    float top = max_lanes(best);
    if (at == n) return top;
    float rest[LANES];
    const vec v = take(x + at, n - at);
    memcpy(rest, &v, sizeof rest);
    for (size_t i = 0; i < n - at; i++) top = rest[i] > top ? rest[i] : top;
    return top;
}

/* Three passes over a row that stays in the cache: exponentials are computed twice, which is
 * cheaper than storing them in fp32 when the row is bf16. */
static void cross_entropy(const struct op_cross_entropy *o, size_t first, size_t last)
{
    for (size_t r = first; r < last; r++) {
        number *x = (number *)o->logits + r * o->vocab;
        const size_t target = o->targets[r];
        assert(target < o->vocab);
        const float wanted = take_one(x + target), top = max_in(x, o->vocab);
        vec sums = {0};
        size_t at = 0;
        for (; at + LANES <= o->vocab; at += LANES) sums += exp_of(take(x + at, LANES) - top);
        float sum = add_lanes(sums);
        if (at < o->vocab) {
            float rest[LANES];
            put_floats(rest, exp_of(take(x + at, o->vocab - at) - top), LANES);
            for (size_t i = 0; i < o->vocab - at; i++) sum += rest[i];
        }
        o->loss[r] = logf(sum) + (top - wanted);
        if (!o->gradient) continue;
        const float factor = o->scale / sum;
        EACH(o->vocab, put(x + at, exp_of(take(x + at, count) - top) * factor, count););
        put_one(x + target, o->scale * (expf(wanted - top) / sum - 1));
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
         vec p1 = keep * take(p + at, count) - rate * m1 / (root_of(m2) * root + o->eps);
         put(p + at, p1, count););
}

static void adamw(const struct op_adamw *o, size_t first, size_t last)
{
    size_t border = o->decayed_count < first ? first : o->decayed_count;
    if (border > last) border = last;
    adamw_range(o, first, border, o->decay);
    adamw_range(o, border, last, 0);
}

static void round_to_activations(void *out, const float *x, size_t n)
{
    number *to = out;
    EACH(n, put_exactly(to + at, take(x + at, count), count););
}

static void add(float *to, const void *from, size_t n)
{
    const number *x = from;
    EACH(n, put(to + at, take(to + at, count) + take(x + at, count), count););
}

static void add_floats(float *to, const float *from, size_t n)
{
    EACH(n, put(to + at, take(to + at, count) + take(from + at, count), count););
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

#if !TILES /* kernels_tiles.h */
/* More chains than latency times units (4 cycles, 6 for pairs, x 2), and few enough for 16
 * registers, or 32. */
static double multiply_add(size_t rounds)
{
    enum { CHAINS = LANES == 16 ? 24 : 12 };
    /* 2^-10, as a pair; volatile, so that the compiler cannot compute the result */
    static volatile uint32_t start = 0x3a803a80;
    const uint32_t factor = start;
    const vec factors = (vec)((uvec){0} + factor);
    vec chain[CHAINS] = {0}, total = {0};
    for (size_t r = 0; r < rounds; r++)
        UNROLL for (size_t c = 0; c < CHAINS; c++) chain[c] = multiplied(chain[c], factor, factors);
    for (size_t c = 0; c < CHAINS; c++) total += chain[c];
    /* Using the result keeps the chains from being optimized away. */
    return isfinite(add_lanes(total)) ? 2.0 * NUMBERS_OF_STEP * LANES * CHAINS * (double)rounds : 0;
}
#endif

const struct kernels KERNELS = {
    .name = NAME,
    .bf16 = BF16,
    .lanes = LANES,
    .numbers_of_step = NUMBERS_OF_STEP,
    .square = SQUARE,
    .unpacked = TILES   ? NUMBERS_OF_SQUARE
                : PAIRS ? NUMBERS_OF_STEP
                        : !BF16,
    .left = TILES,
    .tile_rows = TILE_ROWS,
    .tile_strips = TILE_STRIPS,
    .tile_words = TILES ? (size_t)1 << 18 : 0,
    .norm = norm,
    .norm_backward = norm_backward,
    .rotary = rotary,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .cross_entropy = cross_entropy,
    .pack = pack,
    .multiply = multiply,
#if TILES
    .enter = enter,
    .leave = leave,
#endif
    .linear = linear,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .turn = turn,
    .attend = attend,
    .adamw = adamw,
    .round = round_to_activations,
    .add = add,
    .add_floats = add_floats,
    .dot = dot,
    .sum = sum,
    .square_sum = square_sum,
    .multiply_add = multiply_add,
};
