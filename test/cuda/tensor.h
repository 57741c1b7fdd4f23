/* tensor.h -- for the tests of cu/tensor.h: matrices with guards around them, chance, bf16, and the three orders in which
 * fibers may run (fiber.h).
 *
 * A matrix ends at a page that nobody may touch, and what lies before it and between its rows is 0xff, a NaN: a kernel
 * that reads too far crashes or spreads NaNs, and one that writes too far is seen by matrix_gaps_whole. The memory is the
 * host's, where fibers read it as well: this is no help on a GPU. */
#ifndef SHOAL_TEST_CUDA_TENSOR_H
#define SHOAL_TEST_CUDA_TENSOR_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cu/cuda.h"
#include "cu/tensor.h"

#define PAGE ((size_t)4096)

static const char *const orders[] = {"threads", "warps", "reverse"};
#define ORDERS (sizeof orders / sizeof *orders)

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
    char *data, *pages;
    size_t pages_bytes;
};

static inline struct matrix matrix_make(size_t rows, size_t width, size_t stride, size_t each,
                                        size_t alignment)
{
    struct matrix m = {rows, width, stride, each, NULL, NULL, 0};
    const size_t bytes = ((rows - 1) * stride + width) * each;
    const size_t used = (bytes + alignment + PAGE - 1) / PAGE * PAGE;
    m.pages_bytes = used + PAGE;
    m.pages = mmap(NULL, m.pages_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(m.pages != MAP_FAILED);
    cr_assert_eq(mprotect(m.pages + used, PAGE, PROT_NONE), 0);
    memset(m.pages, 0xff, used);
    m.data = m.pages + (used - bytes) / alignment * alignment;
    return m;
}
static inline void matrix_free(struct matrix *m) { munmap(m->pages, m->pages_bytes); }

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
    const char *end = m->pages + m->pages_bytes - PAGE;
    for (const char *p = m->pages; p < end; p++) {
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
