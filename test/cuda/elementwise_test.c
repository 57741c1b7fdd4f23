/* elementwise_test.c -- the gradient of the embedding, whose order of additions is promised
 * (cu/embed.cu), and rotary with sixteen bytes a thread against one element a thread
 * (cu/rotary.cu). */
#include "tensor.h"

#define WORDS ((size_t)40)

/* Low ones are frequent, as words are, and 0 is every second. */
static uint32_t token(uint64_t *state)
{
    const double x = chance(state);
    return x < 0 ? 0 : (uint32_t)(x * x * (double)WORDS);
}

static void add_up(struct matrix *table, const struct matrix *grad, const uint32_t *tokens)
{
    for (size_t r = 0; r < grad->rows; r++)
        for (size_t i = 0; i < grad->width; i++)
            *float_at(table, tokens[r], i) += (float)get(grad, r, i);
}

/* `rows` tokens of `dim` numbers each, in order `i` of the fibers. */
static void expect_embedding(size_t rows, size_t dim, bool bf16, size_t i)
{
    uint64_t state = rows * 31 + dim;
    order(i);
    device_bf16 = bf16;
    struct device d = device_make(1);
    const struct op_sizes most = {.rows = rows, .dim = dim, .heads = 1, .head_dim = dim};
    cr_assert_eq(d.b.prepare(d.b.self, &most, NULL), ERR_OK);
    struct matrix table = matrix_make(WORDS, dim, dim, 4, 4), found;
    struct matrix grad = matrix_make(rows, dim, dim, bf16 ? 2 : 4, bf16 ? 2 : 4);
    struct matrix tokens = matrix_make(1, rows, rows, 4, 4);
    fill(&table, &state);
    fill(&grad, &state);
    for (size_t r = 0; r < rows; r++) ((uint32_t *)tokens.data)[r] = token(&state);
    void *to = matrix_lend(&d.b, &table), *from = matrix_lend(&d.b, &grad);
    void *ids = matrix_lend(&d.b, &tokens);
    d.b.embed_backward(d.b.self, &(struct op_embed_backward){to, from, ids, rows, dim});
    found = matrix_make(WORDS, dim, dim, 4, 4);
    matrix_back(&d.b, &found, to);
    matrix_drop(&d.b, &grad, from);
    matrix_drop(&d.b, &tokens, ids);
    add_up(&table, &grad, (const uint32_t *)tokens.data);
    cr_assert(matrix_same(&found, &table), "%zu rows of %zu, order %s", rows, dim, orders[i]);
    matrix_free(&found);
    matrix_free(&table);
    matrix_free(&grad);
    matrix_free(&tokens);
    device_drop(&d);
}

Test(ops, the_embedding_adds_gradients_in_the_order_of_rows_in_every_column)
{
    for (size_t i = 0; i < ORDERS; i++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            expect_embedding(1, 1, bf16, i);
            expect_embedding(2, 129, bf16, i);
            expect_embedding(150, 300, bf16, i);
        }
}

#define LENGTH ((size_t)5)
#define START  ((size_t)3)

/* `n` numbers, always the same; `shifted`: not on a boundary of 16 bytes. */
static struct matrix numbers(size_t n, size_t each, bool shifted)
{
    uint64_t state = n;
    struct matrix m = matrix_make(1, n + shifted, n + shifted, each, each);
    cr_assert_eq((uintptr_t)m.data % 16 != 0, shifted);
    fill(&m, &state);
    return m;
}

/* Rotary's result in rows of 4 heads, of which it turns 3. */
static struct matrix turn(size_t head_dim, bool bf16, bool x_shifted, bool tables_shifted)
{
    const size_t rows = 2 * LENGTH, half = head_dim / 2, stride = 4 * head_dim;
    device_bf16 = bf16;
    struct device d = device_make(1);
    struct matrix x = numbers(rows * stride, bf16 ? 2 : 4, x_shifted);
    struct matrix cosine = numbers((START + LENGTH) * half, 4, tables_shifted), sine = cosine;
    void *at = matrix_lend(&d.b, &x), *c = matrix_lend(&d.b, &cosine);
    void *s = matrix_lend(&d.b, &sine);
    d.b.rotary(d.b.self, &(struct op_rotary){.x = at,
                                             .rows = rows,
                                             .length = LENGTH,
                                             .start = START,
                                             .heads = 3,
                                             .head_dim = head_dim,
                                             .stride = stride,
                                             .cosine = c,
                                             .sine = s});
    matrix_back(&d.b, &x, at);
    matrix_drop(&d.b, &cosine, c);
    matrix_drop(&d.b, &sine, s);
    matrix_free(&cosine);
    device_drop(&d);
    cr_assert(matrix_gaps_whole(&x));
    x.width = rows * stride;
    return x;
}

/* Sums of two products of numbers below 1; a GPU may round one of the products, or neither. */
static bool near(const struct matrix *a, const struct matrix *b)
{
    for (size_t i = 0; i < a->width; i++)
        if (!(fabs(get(a, 0, i) - get(b, 0, i)) <= (a->each == 2 ? 0x1p-7 : 0x1p-22))) return false;
    return true;
}

Test(ops, rotary_gives_the_same_wherever_its_operands_lie)
{
    static const size_t head_dims[] = {8, 16, 48, 128};
    for (size_t n = 0; n < sizeof head_dims / sizeof *head_dims; n++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            struct matrix packed = turn(head_dims[n], bf16, false, false);
            struct matrix single = turn(head_dims[n], bf16, true, false);
            struct matrix tables = turn(head_dims[n], bf16, false, true);
            cr_assert(near(&packed, &single), "heads of %zu", head_dims[n]);
            cr_assert(near(&packed, &tables), "heads of %zu", head_dims[n]);
            matrix_free(&packed);
            matrix_free(&single);
            matrix_free(&tables);
        }
}
