/* large_test.c -- sizes of real training, on a GPU alone: products of the presets by cuBLASLt
 * beside our own, attention over 2048 tokens with eight queries' heads on one of keys beside the
 * plain kernel in fp32, and more than 2^31 elements.
 *
 * Operands are numbers of [-1, 1). A sum of n products is about sqrt(n / 9), its parts at most four
 * times that; a tensor core adds 8 or more terms at once and may cut what it adds by 2^-22. A
 * missing term is a quarter in the mean: far outside. */
#include "golden.h"

#include "cu/tensor.h"

#define BLOCK                                                                                      \
    ((size_t)1000003) /* elements of chance, again and again: a prime, so that rows differ */
#define BF16   0x1p-8
#define ROWS   ((size_t)4096)
#define MANY   ((size_t)2200000003) /* elements; 2^31 is 2147483648 */
#define WINDOW ((size_t)1000)
#define LEASES 8

struct gpu {
    struct backend b;
    void *leases[LEASES];
    size_t bytes[LEASES], count;
};

static struct gpu gpu_open(bool bf16)
{
    struct gpu g = {.count = 0};
    struct why w;
#ifndef CARRIED
    cr_skip("takes a GPU: fibers would take hours");
#endif
    if (cuda_devices() == 0) cr_skip("no GPU");
    cr_assert_eq(cuda_open(&g.b, &(struct cuda_options){.bf16 = bf16}, &w), ERR_OK, "%s", w.text);
    return g;
}
static void gpu_close(struct gpu *g)
{
    while (g->count) {
        g->count--;
        g->b.free(g->b.self, g->leases[g->count], g->bytes[g->count]);
    }
    cuda_close(&g->b);
}

/* Zeros. A GPU that has not so much is no failure. */
static void *room(struct gpu *g, size_t bytes)
{
    struct why w;
    void *p = NULL;
    const enum err e = g->b.alloc(g->b.self, bytes, &p, &w);
    if (e == ERR_MEMORY) cr_skip("this GPU has too little memory free");
    cr_assert_eq(e, ERR_OK, "%s", w.text);
    cr_assert(g->count < LEASES);
    g->leases[g->count] = p;
    g->bytes[g->count++] = bytes;
    return p;
}

static uint64_t state = 1;
static float chance(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 33) / 0x1p30 - 1.0);
}

/* Numbers that are exact in bf16, as bf16 or as fp32: `seed` says which. */
static void *numbers(struct gpu *g, size_t n, bool bf16, uint64_t seed)
{
    const size_t each = bf16 ? 2 : 4;
    char *p = room(g, n * each), *block = malloc(BLOCK * each);
    state = seed;
    for (size_t i = 0; i < BLOCK; i++) {
        const float x = chance();
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        bits &= 0xffff0000;
        if (bf16) bits >>= 16;
        memcpy(block + i * each, &bits, each);
    }
    for (size_t at = 0; at < n; at += BLOCK)
        g->b.upload(g->b.self, p + at * each, block, (n - at < BLOCK ? n - at : BLOCK) * each);
    cr_assert_eq(g->b.download(g->b.self, block, p, each, NULL), ERR_OK); /* it has been read */
    free(block);
    return p;
}

static float float_at(const void *data, size_t i, bool bf16)
{
    float x;
    uint32_t bits;
    if (!bf16) return ((const float *)data)[i];
    bits = (uint32_t)((const uint16_t *)data)[i] << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void *fetch(struct gpu *g, const void *p, size_t bytes)
{
    struct why w;
    void *host = malloc(bytes);
    cr_assert(host);
    cr_assert_eq(g->b.download(g->b.self, host, p, bytes, &w), ERR_OK, "%s", w.text);
    return host;
}

/* ---- products ---- */

/* Of a layer from n_in to n_out, on `rows` tokens: forward in bf16, the inputs' gradient in bf16,
 * the weights' added up in fp32. */
static void expect_product(enum product_form form, size_t rows, size_t n_in, size_t n_out)
{
    struct gpu g = gpu_open(true);
    const bool bf16 = form != PRODUCT_WEIGHT;
    const size_t m = form == PRODUCT_WEIGHT ? n_out : rows,
                 n = form == PRODUCT_FORWARD ? n_out : n_in;
    const size_t k = form == PRODUCT_WEIGHT ? rows : form == PRODUCT_FORWARD ? n_in : n_out;
    struct op_product o = {.form = form,
                           .a = numbers(&g, m * k, true, 1),
                           .b = numbers(&g, k * n, true, 2),
                           .rows = m,
                           .columns = n,
                           .depth = k,
                           .c_stride = n,
                           .a_stride = form == PRODUCT_WEIGHT ? m : k,
                           .b_stride = form == PRODUCT_FORWARD ? k : n,
                           .c_bf16 = bf16,
                           .add = !bf16};
    const size_t bytes = m * n * (bf16 ? 2 : 4);
    o.c = bf16 ? room(&g, bytes) : numbers(&g, m * n, false, 3);
    cuda_multiply_bf16(g.b.self, &o);
    void *theirs = fetch(&g, o.c, bytes);
    o.c = bf16 ? room(&g, bytes) : numbers(&g, m * n, false, 3);
    cuda_product_bf16(g.b.self, &o);
    void *ours = fetch(&g, o.c, bytes);
    const double most = (double)k / 8 * 0x1p-22 * 4 * sqrt((double)k / 9) + 1e-6;
    for (size_t i = 0; i < m * n; i++) {
        const double x = float_at(theirs, i, bf16), y = float_at(ours, i, bf16);
        cr_assert(fabs(x - y) <= most + (bf16 ? BF16 * (fabs(x) + fabs(y)) : 0),
                  "form %d, %zu x %zu x %zu by %s: (%zu, %zu) is %g, and %g by our own product",
                  form, m, n, k, cuda_describe(&g.b), i / n, i % n, x, y);
    }
    free(theirs);
    free(ours);
    gpu_close(&g);
}

static void all_layers(enum product_form form, size_t dim, size_t qkv, size_t ffn)
{
    expect_product(form, ROWS, dim, qkv);
    expect_product(form, ROWS, dim, dim);
    expect_product(form, ROWS, dim, 2 * ffn);
    expect_product(form, ROWS, ffn, dim);
    expect_product(form, 1024, dim, 32000);
}
Test(large, forward_products_of_the_150m_preset) { all_layers(PRODUCT_FORWARD, 1024, 3072, 2688); }
Test(large, gradients_of_inputs_of_the_150m_preset) { all_layers(PRODUCT_INPUT, 1024, 3072, 2688); }
Test(large, gradients_of_weights_of_the_150m_preset)
{
    all_layers(PRODUCT_WEIGHT, 1024, 3072, 2688);
}
Test(large, forward_products_of_the_1b_preset) { all_layers(PRODUCT_FORWARD, 2048, 2560, 5632); }
Test(large, gradients_of_inputs_of_the_1b_preset) { all_layers(PRODUCT_INPUT, 2048, 2560, 5632); }
Test(large, gradients_of_weights_of_the_1b_preset) { all_layers(PRODUCT_WEIGHT, 2048, 2560, 5632); }

/* ---- attention ---- */

#define LENGTH ((size_t)2048)
#define HEADS  ((size_t)32)
#define KEYS   ((size_t)4)
#define D      ((size_t)64)
#define WIDTH  ((HEADS + 2 * KEYS) * D)

struct found { /* on the host */
    void *out, *logsum, *qkv_grad;
};

static struct found attend(bool bf16)
{
    struct gpu g = gpu_open(bf16);
    const struct op_sizes sizes = {.rows = LENGTH,
                                   .dim = HEADS * D,
                                   .heads = HEADS,
                                   .kv_heads = KEYS,
                                   .head_dim = D,
                                   .length = LENGTH};
    const size_t each = bf16 ? 2 : 4;
    struct why w;
    cr_assert_eq(g.b.prepare(g.b.self, &sizes, &w), ERR_OK, "%s", w.text);
    void *qkv = numbers(&g, LENGTH * WIDTH, bf16, 4),
         *out_grad = numbers(&g, LENGTH * HEADS * D, bf16, 5);
    void *out = room(&g, LENGTH * HEADS * D * each), *qkv_grad = room(&g, LENGTH * WIDTH * each);
    float *logsum = room(&g, HEADS * LENGTH * sizeof *logsum);
    g.b.attention(g.b.self, &(struct op_attention){out, logsum, qkv, 1, LENGTH, HEADS, KEYS, D});
    g.b.attention_backward(g.b.self,
                           &(struct op_attention_backward){qkv_grad, out_grad, out, qkv, logsum, 1,
                                                           LENGTH, HEADS, KEYS, D});
    const struct found f = {fetch(&g, out, LENGTH * HEADS * D * each),
                            fetch(&g, logsum, HEADS * LENGTH * sizeof *logsum),
                            fetch(&g, qkv_grad, LENGTH * WIDTH * each)};
    gpu_close(&g);
    return f;
}

/* Weights are rounded to bf16, each in its own direction: together they are off by far less than
 * 2^-6 of the result. */
static void expect_alike(const char *what, const void *bf16, const void *fp32, size_t first,
                         size_t width, size_t stride)
{
    double error = 0, size = 0;
    for (size_t r = 0; r < LENGTH; r++)
        for (size_t i = first; i < first + width; i++) {
            const double x = float_at(bf16, r * stride + i, true),
                         y = float_at(fp32, r * stride + i, false);
            cr_assert(isfinite(x));
            error += (x - y) * (x - y);
            size += y * y;
        }
    cr_assert_gt(size, 0);
    cr_assert(sqrt(error / size) < 0x1p-6, "%s is off by %.2e of its size", what,
              sqrt(error / size));
}

Test(large, attention_over_2048_tokens_with_eight_heads_on_one)
{
    const struct found a = attend(true), b = attend(false);
    for (size_t i = 0; i < HEADS * LENGTH; i++)
        cr_assert_float_eq(float_at(a.logsum, i, false), float_at(b.logsum, i, false), 1e-3);
    expect_alike("out", a.out, b.out, 0, HEADS * D, HEADS * D);
    expect_alike("queries' gradient", a.qkv_grad, b.qkv_grad, 0, HEADS * D, WIDTH);
    expect_alike("keys' gradient", a.qkv_grad, b.qkv_grad, HEADS * D, KEYS * D, WIDTH);
    expect_alike("values' gradient", a.qkv_grad, b.qkv_grad, (HEADS + KEYS) * D, KEYS * D, WIDTH);
}

/* ---- more than 2^31 elements ---- */

/* Where something may be forgotten: the first, around 2^31, the last. */
static const size_t windows[] = {0, ((size_t)1 << 31) - WINDOW / 2, MANY - WINDOW};
#define WINDOWS (sizeof windows / sizeof *windows)

static float gradient_at(size_t i) { return (float)(i % 7) - 3.5f; }

Test(large, adamw_and_rounding_of_more_than_2_31_elements)
{
    struct gpu g = gpu_open(true);
    float *p = room(&g, MANY * 4), *m = room(&g, MANY * 4), *v = room(&g, MANY * 4),
          *gradient = room(&g, MANY * 4);
    uint16_t *weights = room(&g, MANY * 2);
    double total = 0, expected = 0;
    float some[WINDOW];
    for (size_t w = 0; w < WINDOWS; w++) {
        for (size_t i = 0; i < WINDOW; i++) some[i] = gradient_at(i);
        g.b.upload(g.b.self, gradient + windows[w], some, sizeof some);
    }
    /* The first step of AdamW goes by lr against the gradient's sign. */
    g.b.adamw(g.b.self, &(struct op_adamw){.parameters = p,
                                           .moment1 = m,
                                           .moment2 = v,
                                           .gradient = gradient,
                                           .bf16_weights = weights,
                                           .count = MANY,
                                           .decayed_count = MANY,
                                           .lr = 0.25f,
                                           .beta1 = 0.5f,
                                           .beta2 = 0.5f,
                                           .eps = 1e-8f,
                                           .gradient_scale = 1,
                                           .correction1 = 0.5f,
                                           .correction2 = 0.5f});
    for (size_t w = 0; w < WINDOWS; w++) {
        float *now = fetch(&g, p + windows[w], sizeof some);
        uint16_t *copy = fetch(&g, weights + windows[w], WINDOW * 2);
        for (size_t i = 0; i < WINDOW; i++) {
            const float wanted = gradient_at(i) > 0 ? -0.25f : 0.25f;
            cr_assert_float_eq(now[i], wanted, 1e-6, "element %zu", windows[w] + i);
            cr_assert_float_eq(float_at(copy, i, true), wanted, 1e-3, "copy %zu", windows[w] + i);
            expected += (double)now[i];
        }
        free(now);
        free(copy);
    }
    cr_assert_eq(g.b.sum(g.b.self, p, MANY, &total, NULL), ERR_OK);
    cr_assert_float_eq(total, expected, 1e-3, "other elements are not zero: %g, not %g", total,
                       expected);
    g.b.zero(g.b.self, weights, MANY * 2);
    g.b.round(g.b.self, &(struct op_round){weights, p, MANY});
    for (size_t w = 0; w < WINDOWS; w++) {
        uint16_t *copy = fetch(&g, weights + windows[w], WINDOW * 2);
        for (size_t i = 0; i < WINDOW; i++)
            cr_assert_float_eq(float_at(copy, i, true), gradient_at(i) > 0 ? -0.25f : 0.25f, 1e-3,
                               "rounded element %zu", windows[w] + i);
        free(copy);
    }
    gpu_close(&g);
}
