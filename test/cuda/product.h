/* product.h -- for the tests of matrix products: operands of any lie, and the sums in float64 that
 * a result must be near to.
 *
 * A product of two bf16 is exact in fp32, and a sum of n terms in fp32 is off by n 2^-23 of the sum
 * of their magnitudes at most, in any order and even where a tensor core cuts instead of rounding;
 * a result in bf16 adds 2^-8 of itself. With n below 300 a single missing term is far outside of
 * that. */
#ifndef SHOAL_TEST_CUDA_PRODUCT_H
#define SHOAL_TEST_CUDA_PRODUCT_H

#include "tensor.h"

#define FP32 0x1p-23
#define BF16 0x1p-8

/* How operands lie: as the fast path wants them, or with such strides but starting anywhere, or
 * with any strides too. */
enum lie { ALIGNED, START_ANYWHERE, ANYHOW };

/* Rows, columns, depth: tiles are 64 or 128, slices 32, ten rows of tiles more than a group of
 * eight. */
static const size_t sizes[][3] = {
    {1, 1, 1},      {31, 33, 1},   {33, 31, 63},  {64, 64, 64}, {65, 63, 33},
    {127, 129, 97}, {128, 65, 32}, {1, 130, 257}, {67, 1, 31},  {577, 65, 16},
};

struct given {
    enum product_form form;
    size_t rows, columns, depth;
    enum lie lie;
    bool c_bf16, add;
    int tile;
};

struct product {
    struct matrix a, b, before; /* before: what c held */
    size_t alignment;           /* of c, bytes */
    struct op_product o;
};

static struct matrix operand(const struct given *g, size_t rows, size_t width)
{
    const size_t stride = g->lie == ANYHOW ? width + 3 : (width + 7) / 8 * 8 + 8;
    return matrix_make(rows, width, stride, 2, g->lie == ALIGNED ? 16 : 2);
}

static struct product product_make(const struct given *g)
{
    const bool turned = g->form == PRODUCT_WEIGHT, b_turned = g->form != PRODUCT_FORWARD;
    const size_t each = g->c_bf16 ? 2 : 4;
    struct product p;
    uint64_t state = g->rows * 7919 + g->columns * 104729 + g->depth;
    p.a = turned ? operand(g, g->depth, g->rows) : operand(g, g->rows, g->depth);
    p.b = b_turned ? operand(g, g->depth, g->columns) : operand(g, g->columns, g->depth);
    p.alignment = g->lie == ALIGNED ? 16 : each;
    p.before =
        matrix_make(g->rows, g->columns, g->columns + (g->lie == ALIGNED ? 2 : 5), each, each);
    fill(&p.a, &state);
    fill(&p.b, &state);
    if (g->add) fill(&p.before, &state);
    p.o = (struct op_product){g->form,    NULL,     p.a.data,        p.b.data,   g->rows,
                              g->columns, g->depth, p.before.stride, p.a.stride, p.b.stride,
                              g->c_bf16,  g->add,   g->tile};
    return p;
}
static void product_free(struct product *p)
{
    matrix_free(&p->a);
    matrix_free(&p->b);
    matrix_free(&p->before);
}

/* c, by this function; operands lie on the device as they lie here. */
static struct matrix product_by(const struct product *p, struct backend *b,
                                void (*multiply)(void *self, const struct op_product *o))
{
    const struct matrix *like = &p->before;
    struct matrix c = matrix_make(like->rows, like->width, like->stride, like->each, p->alignment);
    struct op_product o = p->o;
    for (size_t r = 0; r < c.rows; r++)
        memcpy(c.data + r * c.stride * c.each, like->data + r * like->stride * like->each,
               c.width * c.each);
    char *lent_a = matrix_lend(b, &p->a), *lent_b = matrix_lend(b, &p->b);
    o.a = lent_a + ((const char *)p->o.a - p->a.data);
    o.b = lent_b + ((const char *)p->o.b - p->b.data);
    o.c = matrix_lend(b, &c);
    multiply(b->self, &o);
    matrix_back(b, &c, o.c);
    matrix_drop(b, &p->a, lent_a);
    matrix_drop(b, &p->b, lent_b);
    return c;
}

static void expect_right(const struct product *p, const struct matrix *c)
{
    const struct op_product *o = &p->o;
    for (size_t i = 0; i < o->rows; i++)
        for (size_t j = 0; j < o->columns; j++) {
            double sum = o->add ? get(&p->before, i, j) : 0, size = fabs(sum);
            for (size_t k = 0; k < o->depth; k++) {
                const double a = o->form == PRODUCT_WEIGHT ? get(&p->a, k, i) : get(&p->a, i, k);
                const double b = o->form == PRODUCT_FORWARD ? get(&p->b, j, k) : get(&p->b, k, j);
                sum += a * b;
                size += fabs(a * b);
            }
            const double most =
                (double)(o->depth + 1) * FP32 * size + (o->c_bf16 ? BF16 * fabs(sum) : 0);
            const double error = fabs(get(c, i, j) - sum);
            cr_assert(error <= most,
                      "form %d, %zu x %zu x %zu, tile %d: (%zu, %zu) is off by %.2e, more than "
                      "%.2e",
                      o->form, o->rows, o->columns, o->depth, o->tile, i, j, error, most);
        }
    cr_assert(matrix_gaps_whole(c), "form %d, %zu x %zu x %zu wrote beyond the result", o->form,
              o->rows, o->columns, o->depth);
}

#endif
