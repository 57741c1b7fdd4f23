/* kernels_tiles.h -- the micro-kernel of products of pairs of bf16 on AMX's tiles (Intel SDM volume
 * 1, chapter 18).
 *
 * A tile is 16 rows of 64 bytes: 16 x 16 sums, 16 rows of a for 16 steps (a pair each), or 16 steps
 * of a strip of b. One instruction adds the product of the latter two to the first, 16,384
 * operations in 16 cycles. Of the eight tiles four hold sums, 2 x 2, so that four loads of operands
 * serve four products; each of the four has its own sums, otherwise it would wait for the previous
 * one.
 *
 * Roofline of a Sapphire Rapids at 2.7 GHz: 1,024 operations per cycle, 2.8 TFLOP/s per core, from
 * registers; with operands from the L2 cache, which delivers about 48 of the required 64 bytes per
 * cycle, 1.8 were measured. */
#ifndef SHOAL_CPU_KERNELS_TILES_H
#define SHOAL_CPU_KERNELS_TILES_H

#include "cpu/kernels.h"
#include "cpu/vector.h"

#ifdef AVX512_IN_C
#include "test/cpu/amx.h"
#endif

#define TILE_WORDS (LANES * LANES)
#define TILE_BYTES (LANES * sizeof(uint32_t)) /* of a row */
#define AHEAD      (2 * TILE_WORDS)           /* prefetch distance for b, from the L2 cache */

/* Instructions name their tiles: sums of row tile i and strip j are tile 2 i + j, those of a 4 and
 * 5, those of b 6 and 7. */

/* Configures all eight tiles at full size. Palette 1 of TILECFG: bytes per row from byte 16 on,
 * rows from byte 48 on. */
static void enter(void)
{
    static const struct {
        _Alignas(64) uint8_t palette;
        uint8_t start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } full = {.palette = 1,
              .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
              .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    static_assert(sizeof full == 64, "as LDTILECFG reads it");
    _tile_loadconfig(&full);
}

static void leave(void) { _tile_release(); }

/* Address and strides of a tile's rows of a. */
struct left {
    const uint8_t *at;
    size_t stride, step; /* bytes from row to row, and from square to square */
    size_t rows;         /* existing rows */
};
INLINE struct left left_at(const struct kernel_tile *t, size_t row, const bool along)
{
    const size_t rows = lanes_at_most(t->rows - row);
    if (!along)
        return (struct left){(const uint8_t *)((const uint32_t *)t->a + row / LANES * t->a_stride),
                             TILE_BYTES, TILE_WORDS * sizeof(uint32_t), LANES};
    return (struct left){(const uint8_t *)((const number *)t->a + row * t->a_stride),
                         t->a_stride * sizeof(number), TILE_BYTES, rows};
}

/* Copies rows of a for tiles 4 and 5 when some are missing, since those must not be read. */
static const void *gather(uint8_t *to, const struct left *a, size_t square)
{
    for (size_t r = 0; r < a->rows; r++)
        memcpy(to + r * TILE_BYTES, a->at + square * a->step + r * a->stride, TILE_BYTES);
    return to;
}
static void load_edge(const struct left *a0, const struct left *a1, size_t down, size_t square)
{
    _Alignas(64) uint8_t rows[LANES * TILE_BYTES];
    _tile_loadd(4, gather(rows, a0, square), TILE_BYTES);
    if (down > 1) _tile_loadd(5, gather(rows, a1, square), TILE_BYTES);
}

/* Stores the result of a tile, by way of memory. */
static void put_tile(const struct kernel_tile *t, const float *sums, size_t row, size_t column)
{
    const size_t rows = lanes_at_most(t->rows - row), columns = lanes_at_most(t->columns - column);
    for (size_t r = 0; r < rows; r++)
        put_result(t, row + r, column, take(sums + r * LANES, LANES), columns);
}

/* The same for two whole adjacent tiles, as activations. */
INLINE void put_pair(const struct kernel_tile *t, const float *sums, const float *right, size_t row,
                     size_t column)
{
    uint16_t *out = (uint16_t *)t->out + row * t->out_stride + column;
    const float *before = t->add ? t->sum + row * t->sum_stride + column : NULL;
    UNROLL_BY_4 for (size_t r = 0; r < LANES; r++)
    {
        vec a = take(sums + r * LANES, LANES), b = take(right + r * LANES, LANES);
        if (t->add) {
            a += take(before + r * t->sum_stride, LANES);
            b += take(before + r * t->sum_stride + LANES, LANES);
        }
        const uvec words = (uvec)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
        memcpy(out + r * t->out_stride, &words, sizeof words);
    }
}

/* `down` tiles of rows from `row` on, and `across` strips of columns from `column` on: 1 or 2. */
INLINE void micro(const struct kernel_tile *t, size_t row, size_t column, const size_t down,
                  const size_t across, const bool along)
{
    const struct left a0 = left_at(t, row, along),
                      a1 = down > 1 ? left_at(t, row + LANES, along) : a0;
    const uint32_t *b = t->b + column / LANES * t->b_stride, *b1 = b + t->b_stride;
    const bool full = row + down * LANES <= t->rows && column + across * LANES <= t->columns;
    const bool whole = full && !t->out;
    const size_t sum_bytes = t->sum_stride * sizeof(float);
    float *sum = whole ? t->sum + row * t->sum_stride + column : NULL;
    float *sum1 = whole ? sum + LANES * t->sum_stride : NULL;
    if (whole && t->add) {
        _tile_loadd(0, sum, sum_bytes);
        if (across > 1) _tile_loadd(1, sum + LANES, sum_bytes);
        if (down > 1) _tile_loadd(2, sum1, sum_bytes);
        if (down > 1 && across > 1) _tile_loadd(3, sum1 + LANES, sum_bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    const bool edge = along && (a0.rows < LANES || a1.rows < LANES);
    for (size_t square = 0; square < t->steps / LANES; square++) {
        const size_t at = square * TILE_WORDS;
        UNROLL_BY_4 for (size_t r = 0; r < LANES; r++)
        {
            __builtin_prefetch(b + at + AHEAD + r * LANES);
            if (across > 1) __builtin_prefetch(b1 + at + AHEAD + r * LANES);
        }
        _tile_loadd(6, b + at, TILE_BYTES);
        if (across > 1) _tile_loadd(7, b1 + at, TILE_BYTES);
        if (edge) {
            load_edge(&a0, &a1, down, square);
        } else {
            _tile_loadd(4, a0.at + square * a0.step, a0.stride);
            if (down > 1) _tile_loadd(5, a1.at + square * a1.step, a1.stride);
        }
        _tile_dpbf16ps(0, 4, 6);
        if (across > 1) _tile_dpbf16ps(1, 4, 7);
        if (down > 1) _tile_dpbf16ps(2, 5, 6);
        if (down > 1 && across > 1) _tile_dpbf16ps(3, 5, 7);
    }
    if (whole) {
        _tile_stored(0, sum, sum_bytes);
        if (across > 1) _tile_stored(1, sum + LANES, sum_bytes);
        if (down > 1) _tile_stored(2, sum1, sum_bytes);
        if (down > 1 && across > 1) _tile_stored(3, sum1 + LANES, sum_bytes);
        return;
    }
    _Alignas(64) float sums[4][TILE_WORDS];
    _tile_stored(0, sums[0], TILE_BYTES);
    if (across > 1) _tile_stored(1, sums[1], TILE_BYTES);
    if (down > 1) _tile_stored(2, sums[2], TILE_BYTES);
    if (down > 1 && across > 1) _tile_stored(3, sums[3], TILE_BYTES);
    for (size_t i = 0; i < down; i++)
        if (full && across > 1) put_pair(t, sums[2 * i], sums[2 * i + 1], row + i * LANES, column);
        else
            for (size_t j = 0; j < across; j++)
                put_tile(t, sums[2 * i + j], row + i * LANES, column + j * LANES);
}

INLINE void multiply_rows(const struct kernel_tile *t, size_t column, const size_t across,
                          const bool along)
{
    size_t row = 0;
    for (; row + LANES < t->rows; row += 2 * LANES) micro(t, row, column, 2, across, along);
    if (row < t->rows) micro(t, row, column, 1, across, along);
}

INLINE void multiply_tile(const struct kernel_tile *t, const bool along)
{
    size_t column = 0;
    assert(t->steps % LANES == 0);
    for (; column + LANES < t->columns; column += 2 * LANES) multiply_rows(t, column, 2, along);
    if (column < t->columns) multiply_rows(t, column, 1, along);
}

static void multiply(const struct kernel_tile *t)
{
    if (t->along) multiply_tile(t, true);
    else multiply_tile(t, false);
}

/* Products of four tiles, repeatedly; a round of 24 vectors takes about 12 cycles, one of these
 * 64. */
static double multiply_add(size_t rounds)
{
    rounds /= 5;
    float sums[TILE_WORDS];
    enter();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (size_t r = 0; r < rounds; r++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, TILE_BYTES);
    leave();
    /* Using the result keeps the products from being optimized away. */
    return isfinite(sums[0]) ? 2.0 * NUMBERS_OF_STEP * TILE_WORDS * LANES * 4 * (double)rounds : 0;
}

#endif
