/* tensor_test.c -- the matrix product on tensor cores (cu/product_bf16.cu). */
#include "product.h"

/* c, by the kernel, where it runs on fibers in order `i`. */
static struct matrix product_run(const struct product *p, size_t i)
{
    order(i);
    device_bf16 = true;
    struct device d = device_make(1);
    struct matrix c = product_by(p, &d.b, cuda_product_bf16);
    device_drop(&d);
    return c;
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

/* On fibers it is our own product; on a GPU, cuBLASLt where it is installed. */
Test(tensor, what_multiplies_on_this_device_is_right_at_any_size)
{
    device_bf16 = true;
    struct device d = device_make(1);
    for (enum product_form form = PRODUCT_FORWARD; form <= PRODUCT_WEIGHT; form++)
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
            const size_t kind = (n + form) % 3;
            struct product p = product_make(&(struct given){
                form, sizes[n][0], sizes[n][1], sizes[n][2], ALIGNED, kind == 0, kind == 2, 0});
            struct matrix c = product_by(&p, &d.b, cuda_multiply_bf16);
            expect_right(&p, &c);
            matrix_free(&c);
            product_free(&p);
        }
    device_drop(&d);
}
