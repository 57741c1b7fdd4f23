/* tensor_test.c -- the matrix product on tensor cores (cu/product_bf16.cu) against sums in float64, on fibers.
 *
 * A product of two bf16 is exact in fp32, and a sum of n terms in fp32 is off by n 2^-23 of the sum of their magnitudes at
 * most, in any order and even where a tensor core cuts instead of rounding; a result in bf16 adds 2^-8 of itself. With n
 * below 300 a single missing term is far outside of that. */
#include "tensor.h"

#define FP32 0x1p-23
#define BF16 0x1p-8

/* How operands lie: as the fast path wants them, or with such strides but starting anywhere, or with any strides too. */
enum lie { ALIGNED, START_ANYWHERE, ANYHOW };

struct given {
    enum product_form form;
    size_t rows, columns, depth;
    enum lie lie;
    bool c_bf16, add;
    int tile;
};

struct product {
    struct matrix a, b, before; /* before: what c held */
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

/* c, by the kernel, its fibers in order `i`. */
static struct matrix product_run(const struct product *p, size_t i)
{
    const struct matrix *like = &p->before;
    struct matrix c = matrix_make(like->rows, like->width, like->stride, like->each, like->each);
    struct op_product o = p->o;
    struct backend b;
    for (size_t r = 0; r < c.rows; r++)
        memcpy(c.data + r * c.stride * c.each, like->data + r * like->stride * like->each,
               c.width * c.each);
    o.c = c.data;
    order(i);
    cr_assert_eq(cuda_open(&b, &(struct cuda_options){.bf16 = true}, NULL), ERR_OK);
    cuda_product_bf16(b.self, &o);
    cuda_close(&b);
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

/* Right in the first order, and the same bits in the others. */
static void expect_product(struct given g)
{
    struct product p = product_make(&g);
    struct matrix first = product_run(&p, 0);
    expect_right(&p, &first);
    for (size_t i = 1; i < ORDERS; i++) {
        struct matrix c = product_run(&p, i);
        cr_assert(matrix_same(&c, &first), "the order %s gives other bits", orders[i]);
        matrix_free(&c);
    }
    matrix_free(&first);
    product_free(&p);
}

/* Rows, columns, depth: tiles are 64 or 128, slices 32, ten rows of tiles more than a group of eight. */
static const size_t sizes[][3] = {
    {1, 1, 1},      {31, 33, 1},   {33, 31, 63},  {64, 64, 64}, {65, 63, 33},
    {127, 129, 97}, {128, 65, 32}, {1, 130, 257}, {67, 1, 31},  {577, 65, 16},
};

static void all_sizes(enum product_form form, enum lie lie)
{
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++)
        for (int tile = 64; tile <= 128; tile += 64) {
            const size_t kind =
                n + (tile == 128); /* bf16, fp32, fp32 added to: each with each tile */
            expect_product((struct given){form, sizes[n][0], sizes[n][1], sizes[n][2], lie,
                                          kind % 3 == 0, kind % 3 == 2, tile});
        }
}

Test(tensor, the_forward_product_is_right_at_any_size) { all_sizes(PRODUCT_FORWARD, ALIGNED); }
Test(tensor, the_gradient_of_inputs_is_right_at_any_size) { all_sizes(PRODUCT_INPUT, ALIGNED); }
Test(tensor, the_gradient_of_weights_is_right_at_any_size) { all_sizes(PRODUCT_WEIGHT, ALIGNED); }

Test(tensor, operands_may_lie_anywhere_with_any_stride)
{
    for (enum product_form form = PRODUCT_FORWARD; form <= PRODUCT_WEIGHT; form++) {
        all_sizes(form, START_ANYWHERE);
        all_sizes(form, ANYHOW);
    }
}

Test(tensor, a_product_has_the_same_bits_whichever_tile_makes_it)
{
    for (enum product_form form = PRODUCT_FORWARD; form <= PRODUCT_WEIGHT; form++) {
        struct product p =
            product_make(&(struct given){form, 130, 67, 203, ALIGNED, false, true, 64});
        struct matrix small = product_run(&p, 0), large, chosen;
        p.o.tile = 128;
        large = product_run(&p, 0);
        p.o.tile = 0;
        chosen = product_run(&p, 0);
        cr_assert(matrix_same(&small, &large));
        cr_assert(matrix_same(&small, &chosen));
        matrix_free(&small);
        matrix_free(&large);
        matrix_free(&chosen);
        product_free(&p);
    }
}

/* One term has 16 bits: half of them lie between two bf16, many in the middle. */
Test(tensor, a_result_in_bf16_is_the_nearest_and_ties_go_to_even)
{
    struct product p =
        product_make(&(struct given){PRODUCT_FORWARD, 64, 64, 1, ALIGNED, true, false, 0});
    size_t ties = 0;
    for (size_t i = 0; i < 64; i++) {
        put(&p.a, i, 0, (128.0 + (double)i) * (i % 2 ? 1 : -1));
        put(&p.b, i, 0, 128.0 + (double)i * 2);
    }
    struct matrix c = product_run(&p, 0);
    for (size_t i = 0; i < 64; i++)
        for (size_t j = 0; j < 64; j++) {
            const double exact = get(&p.a, i, 0) * get(&p.b, j, 0);
            const uint16_t wanted = nearest_bf16(exact);
            const double low = double_of(wanted - 1), high = double_of(wanted + 1);
            ties += fabs(exact - low) == fabs(exact - double_of(wanted)) ||
                    fabs(exact - high) == fabs(exact - double_of(wanted));
            cr_assert_eq(*bf16_at(&c, i, j), wanted);
        }
    cr_assert_gt(ties, 20);
    matrix_free(&c);
    product_free(&p);
}

Test(tensor, an_empty_sum_is_zero_and_adds_nothing)
{
    struct product p =
        product_make(&(struct given){PRODUCT_WEIGHT, 33, 65, 1, ALIGNED, false, true, 0});
    p.o.depth = 0;
    struct matrix c = product_run(&p, 0);
    cr_assert(matrix_same(&c, &p.before));
    p.o.add = false;
    matrix_free(&c);
    c = product_run(&p, 0);
    for (size_t i = 0; i < 33; i++)
        for (size_t j = 0; j < 65; j++) cr_assert_eq(get(&c, i, j), 0);
    matrix_free(&c);
    product_free(&p);
}
