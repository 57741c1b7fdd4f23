/* tensor.h -- for the tests of cu/tensor.h: matrices with guards around them, chance, bf16, and the
 * three orders in which fibers may run (fiber.h).
 *
 * A matrix lies in host memory and is lent to the device, where it ends as its memory does, but for
 * what its alignment takes; what lies before it and between its rows is 0xff, a NaN. A kernel that
 * reads too far spreads NaNs (or is told by compute-sanitizer), and one that writes too far is seen
 * by matrix_gaps_whole, or by fiber.h behind the end. */
#ifndef SHOAL_TEST_CUDA_TENSOR_H
#define SHOAL_TEST_CUDA_TENSOR_H

#include "golden.h"

#include "cu/tensor.h"

#define LEAD ((size_t)256) /* of a matrix's memory, a multiple: what a device aligns it to */

static const char *const orders[] = {"threads", "warps", "reverse"};
#ifdef CARRIED
#define ORDERS ((size_t)1) /* a GPU has an order of its own */
#else
#define ORDERS (sizeof orders / sizeof *orders)
#endif

static inline void order(size_t i) { setenv("FIBER_SCHEDULE", orders[i], 1); }

static inline double double_of(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &wide, sizeof f);
    return (double)f;
}

/* The nearest, by comparing with both neighbours: not how the kernels do it. */
static inline uint16_t nearest_bf16(double x)
{
    float f = (float)fabs(x);
    uint32_t wide;
    memcpy(&wide, &f, sizeof wide);
    uint16_t low = (uint16_t)(wide >> 16), high = low + 1;
    const double to_low = fabs(x) - double_of(low), to_high = double_of(high) - fabs(x);
    const uint16_t best = to_low < to_high ? low : to_high < to_low ? high : low % 2 ? high : low;
    return best | (signbit(x) ? 0x8000 : 0);
}

/* Evenly in [-1, 1). */
static inline double chance(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 33) / 0x1p30 - 1.0;
}

struct matrix {
    size_t rows, width, stride, each; /* elements, each of so many bytes */
    char *data, *block;
    size_t block_bytes;
};

static inline struct matrix matrix_make(size_t rows, size_t width, size_t stride, size_t each,
                                        size_t alignment)
{
    struct matrix m = {rows, width, stride, each, NULL, NULL, 0};
    const size_t bytes = ((rows - 1) * stride + width) * each;
    m.block_bytes = (bytes + alignment + LEAD - 1) / LEAD * LEAD;
    m.block = aligned_alloc(LEAD, m.block_bytes);
    cr_assert(m.block);
    memset(m.block, 0xff, m.block_bytes);
    m.data = m.block + (m.block_bytes - bytes) / alignment * alignment;
    return m;
}
static inline void matrix_free(struct matrix *m) { free(m->block); }

/* The device's copy, gaps and all; matrix_back or matrix_drop gives its memory back. */
static inline void *matrix_lend(const struct backend *b, const struct matrix *m)
{
    void *device;
    cr_assert_eq(b->alloc(b->self, m->block_bytes, &device, NULL), ERR_OK);
    b->upload(b->self, device, m->block, m->block_bytes);
    return (char *)device + (m->data - m->block);
}
static inline void matrix_drop(const struct backend *b, const struct matrix *m, void *lent)
{
    b->free(b->self, (char *)lent - (m->data - m->block), m->block_bytes);
}
static inline void matrix_back(const struct backend *b, struct matrix *m, void *lent)
{
    struct why w;
    cr_assert_eq(
        b->download(b->self, m->block, (char *)lent - (m->data - m->block), m->block_bytes, &w),
        ERR_OK, "%s", w.text);
    matrix_drop(b, m, lent);
}

static inline uint16_t *bf16_at(const struct matrix *m, size_t row, size_t column)
{
    return (uint16_t *)m->data + row * m->stride + column;
}
static inline float *float_at(const struct matrix *m, size_t row, size_t column)
{
    return (float *)m->data + row * m->stride + column;
}
static inline double get(const struct matrix *m, size_t row, size_t column)
{
    return m->each == 2 ? double_of(*bf16_at(m, row, column)) : (double)*float_at(m, row, column);
}
static inline void put(struct matrix *m, size_t row, size_t column, double x)
{
    if (m->each == 2) *bf16_at(m, row, column) = nearest_bf16(x);
    else *float_at(m, row, column) = (float)x;
}
static inline void fill(struct matrix *m, uint64_t *state)
{
    for (size_t r = 0; r < m->rows; r++)
        for (size_t i = 0; i < m->width; i++) put(m, r, i, chance(state));
}
static inline bool matrix_gaps_whole(const struct matrix *m)
{
    const char *end = m->block + m->block_bytes;
    for (const char *p = m->block; p < end; p++) {
        const size_t at = (size_t)(p - m->data) / m->each;
        const bool inside = p >= m->data && at / m->stride < m->rows && at % m->stride < m->width;
        if (!inside && *p != (char)0xff) return false;
    }
    return true;
}
static inline bool matrix_same(const struct matrix *a, const struct matrix *b)
{
    for (size_t r = 0; r < a->rows; r++)
        if (memcmp(a->data + r * a->stride * a->each, b->data + r * b->stride * b->each,
                   a->width * a->each))
            return false;
    return true;
}

#endif
