/* kernels_product.h -- packing and the micro-kernel of matrix products (kernels.h says what a strip
 * is).
 *
 * The micro-kernel keeps ROWS x STRIPS vectors of the result in registers and proceeds along k: a
 * step loads STRIPS vectors of b and ROWS single words of a, broadcast, for ROWS * STRIPS
 * multiply-adds. AVX-512: 8 x 3 of its 32 registers, 24 multiply-adds for 11 loads, with two of
 * each per cycle: compute-bound, with more chains than latency (4 cycles, 6 for pairs) times units.
 * AVX2: 4 x 3 of 16. Three strips of b for 192 steps (36 KiB) stay in the L1 cache while a's strips
 * stream through.
 *
 * Roofline of a Zen 5 at 4.1 GHz: 2 x 16 x 2 = 64 fp32 operations per cycle, 265 GFLOP/s; pairs of
 * bf16 twice that. */
#ifndef SHOAL_CPU_KERNELS_PRODUCT_H
#define SHOAL_CPU_KERNELS_PRODUCT_H

#include <assert.h>

#include "cpu/kernels.h"
#include "cpu/vector.h"

/* Enough rows that loading three strips of b into the cache is negligible. With tiles every product
 * reads both operands from the L2 cache: a strip of a for many of b, and those, 1 MiB for 512
 * steps, for all rows. */
#define TILE_ROWS   (TILES ? 32 : 64)
#define TILE_STRIPS 6

#define ROWS   (LANES / 2)
#define STRIPS 3

#define LINE_STEPS (64 / sizeof(uint32_t)) /* whose words fill a cache line, along k */

/* Address of element `n` of an operand: activations, or floats. */
INLINE const void *element(const void *x, size_t n, bool floats)
{
    return (const uint8_t *)x + n * (floats ? sizeof(float) : sizeof(number));
}

INLINE size_t lanes_at_most(size_t n) { return n < LANES ? n : LANES; }

/* Words of one row for LANES steps, of which the first `depth` numbers exist. */
INLINE uvec words_along(const void *x, bool floats, size_t depth)
{
#if PAIRS
    if (floats) {
        const size_t first = lanes_at_most(depth);
        const vec low = take_floats(x, first);
        const vec high = take_floats((const float *)x + LANES, lanes_at_most(depth - first));
        return (uvec)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
    }
    const size_t count = depth < 32 ? depth : 32;
    if (count == 32) return (uvec)_mm512_loadu_si512(x);
    return (uvec)_mm512_maskz_loadu_epi16((__mmask32)(((uint64_t)1 << count) - 1), x);
#else
    return (uvec)take_as(x, floats, lanes_at_most(depth));
#endif
}

#define NUMBERS_OF_STEP   (1 + PAIRS)
#define NUMBERS_OF_SQUARE (LANES * NUMBERS_OF_STEP)
#define SQUARE            (TILES ? LANES : 1) /* kernels.h */

/* Steps for `depth` numbers, rounded up to whole squares. */
INLINE size_t steps_of(size_t depth)
{
    const size_t numbers = SQUARE * NUMBERS_OF_STEP;
    return (depth + numbers - 1) / numbers * SQUARE;
}

/* Stores a square of a strip, step by step if `turned`, otherwise row by row. */
INLINE void put_square(uint32_t *to, uvec square[LANES], bool turned, size_t steps)
{
    if (turned) transpose(square);
    UNROLL for (size_t s = 0; s < LANES; s++) if (s < steps)
        memcpy(to + s * LANES, &square[s], sizeof square[s]);
}

/* Packs LANES rows and LANES steps. */
INLINE void pack_square(uint32_t *to, const void *x, bool floats, bool left, size_t stride)
{
    uvec square[LANES];
    UNROLL for (size_t r = 0; r < LANES; r++)
    {
        square[r] = words_along(element(x, r * stride, floats), floats, NUMBERS_OF_SQUARE);
        __builtin_prefetch(element(x, (LANES + r) * stride, floats)); /* for the next strip */
    }
    put_square(to, square, !left, LANES);
}

/* The same for fewer rows or steps. */
INLINE void pack_corner(uint32_t *to, const void *x, bool floats, bool left, size_t stride,
                        size_t rows, size_t depth)
{
    uvec square[LANES] = {0};
    for (size_t r = 0; r < rows; r++)
        square[r] = words_along(element(x, r * stride, floats), floats, depth);
    put_square(to, square, !left, lanes_at_most(steps_of(depth)));
}

/* Packs a strip whose rows are contiguous along k in memory. */
INLINE void pack_along(uint32_t *strip, const void *x, bool floats, bool left, size_t stride,
                       size_t rows, size_t depth)
{
    for (size_t k = 0; k < depth; k += NUMBERS_OF_SQUARE, strip += LANES * LANES)
        if (rows == LANES && depth - k >= NUMBERS_OF_SQUARE)
            pack_square(strip, element(x, k, floats), floats, left, stride);
        else pack_corner(strip, element(x, k, floats), floats, left, stride, rows, depth - k);
}

#if PAIRS
INLINE hvec bits_as(const void *x, bool floats, size_t count)
{
    return floats ? narrow(take_floats(x, count)) : take_bits(x, count);
}
#endif

/* The words of one step when, for each k, the rows are contiguous in memory; `left` numbers along k
 * remain. */
INLINE uvec words_across(const void *x, bool floats, size_t stride, size_t rows, size_t left)
{
#if PAIRS
    uvec word = __builtin_convertvector(bits_as(x, floats, rows), uvec);
    if (left > 1)
        word |= __builtin_convertvector(bits_as(element(x, stride, floats), floats, rows), uvec)
                << 16;
    return word;
#else
    (void)stride, (void)left;
    return (uvec)take_as(x, floats, rows);
#endif
}

/* Prefetches a later step, which may be on another page. */
INLINE void fetch_step(const void *x, bool floats, size_t stride, size_t rows)
{
    const size_t in_line = 64 / (floats ? sizeof(float) : sizeof(number));
    for (size_t n = 0; n < NUMBERS_OF_STEP; n++)
        for (size_t line = 0; line < rows; line += in_line)
            __builtin_prefetch(element(x, (8 * NUMBERS_OF_STEP + n) * stride + line, floats));
}

/* Packs all strips of such rows together: neighbours share cache lines, and the next k may be on
 * another page. */
INLINE void pack_across(uint32_t *strips, size_t words, const void *x, bool floats, size_t stride,
                        size_t rows, size_t depth)
{
    for (size_t k = 0; k < depth; k += NUMBERS_OF_STEP) {
        const void *here = element(x, k * stride, floats);
        uint32_t *to = strips + k / NUMBERS_OF_STEP * LANES;
        fetch_step(here, floats, stride, rows);
        size_t r = 0;
        uvec word;
        for (; r + LANES <= rows; r += LANES, to += words) {
            word = words_across(element(here, r, floats), floats, stride, LANES, depth - k);
            memcpy(to, &word, sizeof word);
        }
        if (r == rows) continue;
        word = words_across(element(here, r, floats), floats, stride, rows - r, depth - k);
        memcpy(to, &word, sizeof word);
    }
    const size_t steps = (depth + PAIRS) / NUMBERS_OF_STEP, missing = words - steps * LANES;
    for (size_t r = 0; missing && r < rows; r += LANES)
        memset(strips + r / LANES * words + steps * LANES, 0, missing * sizeof *strips);
}

#if TILES
/* The same for the left operand: square by square. */
INLINE void pack_across_left(uint32_t *strips, size_t words, const void *x, bool floats,
                             size_t stride, size_t rows, size_t depth)
{
    for (size_t k = 0; k < depth; k += NUMBERS_OF_SQUARE) {
        uint32_t *to = strips + k / NUMBERS_OF_STEP * LANES;
        for (size_t r = 0; r < rows; r += LANES, to += words) {
            const size_t count = lanes_at_most(rows - r);
            uvec square[LANES] = {0};
            UNROLL for (size_t s = 0; s < LANES; s++)
            {
                const size_t at = k + s * NUMBERS_OF_STEP;
                if (at >= depth) continue;
                const void *here = element(x, at * stride + r, floats);
                if (r == 0)
                    fetch_step(element(here, 8 * NUMBERS_OF_STEP * stride, floats), floats, stride,
                               rows);
                square[s] = words_across(here, floats, stride, count, depth - at);
            }
            put_square(to, square, true, LANES);
        }
    }
}
#endif

INLINE void pack_as(const struct kernel_pack *p, const bool floats, const bool left)
{
    const size_t words = steps_of(p->depth) * LANES;
    if (!p->along) {
#if TILES
        if (left) {
            pack_across_left(p->strips, words, p->x, floats, p->stride, p->rows, p->depth);
            return;
        }
#endif
        pack_across(p->strips, words, p->x, floats, p->stride, p->rows, p->depth);
        return;
    }
    uint32_t *strip = p->strips;
    for (size_t r = 0; r < p->rows; r += LANES, strip += words)
        pack_along(strip, element(p->x, r * p->stride, floats), floats, left, p->stride,
                   lanes_at_most(p->rows - r), p->depth);
}

static void pack(const struct kernel_pack *p)
{
    if (TILES && p->left) {
        if (p->floats) pack_as(p, true, true);
        else pack_as(p, false, true);
    } else if (BF16 && p->floats) pack_as(p, true, false);
    else pack_as(p, false, false);
}

/* sum + a b, with `a` broadcast to all lanes. */
INLINE vec multiplied(vec sum, uint32_t a, vec b)
{
#if PAIRS
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32((int)a), (__m512bh)b);
#elif LANES == 16
    return (vec)_mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_set1_epi32((int)a)), (__m512)b,
                                (__m512)sum);
#else
    return (vec)_mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_set1_epi32((int)a)), (__m256)b,
                                (__m256)sum);
#endif
}

/* Stores `count` numbers of a vector of the result, in row `row` from column `at` on. */
INLINE void put_result(const struct kernel_tile *t, size_t row, size_t at, vec v, size_t count)
{
    const size_t here = row * t->sum_stride + at;
    if (t->add) v += take(t->sum + here, count);
    if (t->out) put((number *)t->out + row * t->out_stride + at, v, count);
    else put(t->sum + here, v, count);
}

#if TILES
#include "cpu/kernels_tiles.h"
#else
/* The first words of ROWS rows of a from `row` on. Missing rows repeat the last one; their results
 * are not used. */
INLINE void words_of_rows(const struct kernel_tile *t, size_t row, bool along,
                          const uint8_t *out[ROWS])
{
    const uint32_t *strips = t->a;
    const number *numbers = t->a;
    UNROLL for (size_t r = 0; r < ROWS; r++)
    {
        const size_t there = row + r < t->rows ? row + r : t->rows - 1;
        out[r] = along ? (const uint8_t *)(numbers + there * t->a_stride)
                       : (const uint8_t *)(strips + row / LANES * t->a_stride + row % LANES + r);
    }
}

/* One step: the words of a `at` bytes from its rows' first ones, and `strips` vectors of b. */
INLINE void multiply_step(vec sums[ROWS][STRIPS], const uint8_t *const a[ROWS], size_t at,
                          const uint32_t *b, size_t b_stride, const size_t strips)
{
    vec columns[STRIPS];
    UNROLL for (size_t s = 0; s < strips; s++)
        memcpy(&columns[s], b + s * b_stride, sizeof columns[s]);
    UNROLL for (size_t r = 0; r < ROWS; r++)
    {
        uint32_t word;
        memcpy(&word, a[r] + at, sizeof word);
        UNROLL for (size_t s = 0; s < strips; s++) sums[r][s] =
            multiplied(sums[r][s], word, columns[s]);
#if LANES == 8
        /* Row by row: 12 sums, 3 columns and one row's word use all 16 registers. */
        __asm__ volatile("" : "+x"(sums[r][0]), "+x"(sums[r][1]), "+x"(sums[r][2]));
#endif
    }
}

/* Prefetches a row of the result, which may not be in a cache. */
INLINE void fetch_result(const struct kernel_tile *t, size_t row, size_t column,
                         const size_t strips)
{
    if (row >= t->rows) return;
    for (size_t at = column; at < column + strips * LANES; at += LANES) {
        if (t->add || !t->out) __builtin_prefetch(t->sum + row * t->sum_stride + at, 1);
        if (t->out) __builtin_prefetch((number *)t->out + row * t->out_stride + at, 1);
    }
}

/* Rows of the result from `row` on, ROWS or the remaining ones, and `strips` strips of columns from
 * `column` on. Few steps fit the window of instructions that a processor looks ahead, so a word
 * from the L3 cache would stop it: while it computes, it prefetches the rows of the result, and the
 * next ROWS rows of a if they lie along k in memory. Strips are in order, which hardware foresees.
 * Prefetches are spread over the steps, since many at once would delay the loads of b. */
INLINE void micro(const struct kernel_tile *t, size_t row, size_t column, const size_t strips,
                  const bool along)
{
    const uint8_t *a[ROWS];
    const size_t step = along ? sizeof(uint32_t) : LANES * sizeof(uint32_t);
    const size_t steps = t->steps, b_stride = t->b_stride;
    const size_t next = ROWS * t->a_stride * sizeof(number); /* bytes to the next rows */
    const uint32_t *b = t->b + column / LANES * b_stride;
    vec sums[ROWS][STRIPS] = {0};
    size_t k = 0;
    words_of_rows(t, row, along, a);
    for (size_t line = 0; k + LINE_STEPS <= steps; line++) {
        if (line < ROWS) fetch_result(t, row + line, column, strips);
        UNROLL for (size_t s = 0; s < LINE_STEPS; s++, k++, b += LANES)
        {
            if (along && s % (LINE_STEPS / ROWS) == 0)
                __builtin_prefetch(a[s / (LINE_STEPS / ROWS)] + next + k * step, 0, 2);
            multiply_step(sums, a, k * step, b, b_stride, strips);
        }
    }
    for (; k < steps; k++, b += LANES) multiply_step(sums, a, k * step, b, b_stride, strips);
    if (row + ROWS <= t->rows && column + strips * LANES <= t->columns) {
        UNROLL for (size_t r = 0; r < ROWS; r++) UNROLL for (size_t s = 0; s < strips; s++)
            put_result(t, row + r, column + s * LANES, sums[r][s], LANES);
        return;
    }
    UNROLL for (size_t r = 0; r < ROWS; r++)
    {
        if (row + r >= t->rows) return;
        UNROLL for (size_t s = 0; s < strips; s++)
        {
            const size_t at = column + s * LANES;
            put_result(t, row + r, at, sums[r][s], lanes_at_most(t->columns - at));
        }
    }
}

INLINE void multiply_tile(const struct kernel_tile *t, const bool along)
{
    size_t left = (t->columns + LANES - 1) / LANES; /* strips */
    for (size_t column = 0; left;) {
        /* 4 as 2 and 2, since 3 and 1 are slower */
        const size_t strips = left == 4 ? 2 : left < STRIPS ? left : STRIPS;
        for (size_t row = 0; row < t->rows; row += ROWS) {
            if (strips == 3) micro(t, row, column, 3, along);
            else if (strips == 2) micro(t, row, column, 2, along);
            else micro(t, row, column, 1, along);
        }
        left -= strips;
        column += strips * LANES;
    }
}

/* Of a copy, since a store of a vector could change the original for all the compiler knows: it
 * would load each field again for each vector of the result. */
static void multiply(const struct kernel_tile *t)
{
    const struct kernel_tile own = *t;
    if ((!BF16 || PAIRS) && own.along) multiply_tile(&own, true);
    else multiply_tile(&own, false);
}
#endif

INLINE float dot_of(const number *a, const void *b, bool floats, size_t n)
{
    vec sums[4] = {0};
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        UNROLL for (size_t s = 0; s < 4; s++) sums[s] +=
            take(a + i + s * LANES, LANES) *
            take_as(element(b, i + s * LANES, floats), floats, LANES);
    EACH(n - i,
         sums[0] += take(a + i + at, count) * take_as(element(b, i + at, floats), floats, count););
    return add_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static float dot(const void *a, const void *b, size_t n) { return dot_of(a, b, false, n); }

static void linear(const struct op_linear *o, size_t first, size_t last)
{
    const number *x = o->x;
    const float *w = o->w;
    for (size_t c = first; c < last; c++)
        for (size_t r = 0; r < o->rows; r++)
            put_one((number *)o->y + r * o->n_out + c,
                    dot_of(x + r * o->n_in, w + c * o->n_in, true, o->n_in));
}

#endif
