/* ops_test.c -- every op against PyTorch in float64 (test/golden/model.py), at sizes that fill no
 * vector or block.
 *
 * Tolerances are errors relative to the largest element of the result. One fp32 operation is off by
 * 2^-24 = 6e-8 at most; sums of n terms in several strands by some sqrt(n) of that, n at most 260
 * here; exp adds 2 ulp. So 2e-6; and 5e-6 where terms cancel that are larger than the result:
 * accumulated weight gradients, and attention's backward pass, which goes through five sums one
 * after the other. */
#include "golden.h"

#define TIGHT   2e-6
#define CANCELS 5e-6

/* In bf16 the same inputs, rounded before, give what fp32 gives, but for the rounding of results:
 * 2^-8 of themselves at most. One that comes of another one, or of probabilities, was rounded
 * twice; attention's gradients, four times on the longest way (probabilities, outputs, scores'
 * gradients, themselves). What comes out in fp32 without having been rounded on the way is as good
 * as ever. */
#define TIGHT_BF16   (2 * 0x1p-8)
#define CANCELS_BF16 (4 * 0x1p-8)

#define TAKEN_MAX   32
#define RECORDS_MAX 64

struct rig {
    struct device d;
    const struct backend *b;
    struct golden g;
    char at[32]; /* "norm.2." */
    uint32_t *shape;
    void *taken[TAKEN_MAX];
    size_t bytes[TAKEN_MAX], count;
    size_t device; /* which backend has its turn */
    bool round;    /* inputs are rounded to bf16 */
    bool record;   /* results are kept, for the backends in bf16 */
    struct {
        float *values;
        size_t count;
    } records[RECORDS_MAX];
    size_t recorded, compared;
};

static struct rig rig;

/* Backend after backend: false when all had their turn. */
static bool open_rig(const char *file, size_t threads)
{
    if (!device_open_number(&rig.d, rig.device, threads)) return false;
    rig.round = rig.d.b.activation_bytes == sizeof(uint16_t);
    rig.record = rig.round && !rig.recorded;
    if (rig.record) { /* the first in bf16 waits: what it will be compared with is made first */
        device_drop(&rig.d);
        cr_assert(device_open_number(&rig.d, 0, threads));
    }
    rig.compared = 0;
    rig.b = &rig.d.b;
    rig.g = golden_open(file);
    cr_assert_eq(
        rig.b->prepare(
            rig.b->self,
            &(struct op_sizes){.rows = 512, .dim = 256, .heads = 4, .head_dim = 256, .length = 512},
            NULL),
        ERR_OK);
    return true;
}
static void release(void)
{
    while (rig.count) {
        rig.count--;
        rig.b->free(rig.b->self, rig.taken[rig.count], rig.bytes[rig.count]);
    }
    free(rig.shape);
    rig.shape = NULL;
}
static void close_rig(void)
{
    release();
    golden_close(&rig.g);
    device_drop(&rig.d);
    if (!rig.record) rig.device++;
    rig.recorded += rig.record && !rig.recorded; /* a test that expects nothing */
}

static const char *full(const char *name)
{
    static char text[64];
    snprintf(text, sizeof text, "%s%s", rig.at, name);
    return text;
}

/* Starts a case of an op; its shape goes to rig.shape. */
static void begin(const char *op, int number)
{
    size_t n;
    release();
    snprintf(rig.at, sizeof rig.at, "%s.%d.", op, number);
    rig.shape = golden_integers(&rig.g, &n, full("shape"));
}

static bool bf16(void) { return rig.b->activation_bytes == sizeof(uint16_t); }

/* The bound of a result that comes of activations. */
static double bound(double fp32)
{
    return !bf16() || fp32 == 0 ? fp32 : fp32 == TIGHT ? TIGHT_BF16 : CANCELS_BF16;
}

/* Element `n` of activations. */
static void *at(const void *x, size_t n) { return (uint8_t *)x + n * rig.b->activation_bytes; }

/* The nearest bf16, ties to even, of a number; and that as fp32. */
static uint16_t nearest(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)(isnan(x) ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
static float widened(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Device memory for n numbers of either kind that holds none yet, so that what an op leaves
 * unwritten is seen. */
static void *room(size_t n)
{
    void *p;
    uint32_t *poison = malloc(n * sizeof *poison + 1);
    cr_assert_lt(rig.count, (size_t)TAKEN_MAX);
    cr_assert_eq(rig.b->alloc(rig.b->self, n * sizeof *poison, &p, NULL), ERR_OK);
    memset(poison, 0xff, n * sizeof *poison); /* NaN, in bf16 too */
    rig.b->upload(rig.b->self, p, poison, n * sizeof *poison);
    free(poison);
    rig.taken[rig.count] = p;
    rig.bytes[rig.count++] = n * sizeof *poison;
    return p;
}
/* Writes activations, and to `host` what they are on the device. */
static void upload(void *device, float *host, size_t n)
{
    uint16_t *half = malloc(n * sizeof *half + 1);
    for (size_t i = 0; i < n && rig.round; i++) host[i] = widened(half[i] = nearest(host[i]));
    rig.b->upload(rig.b->self, device, bf16() ? (void *)half : host, n * rig.b->activation_bytes);
    free(half);
}
/* The same of a matrix, which the backend may round itself. */
static void upload_matrix(void *device, float *host, size_t n)
{
    if (!bf16() || rig.b->bf16_weights) {
        upload(device, host, n);
        return;
    }
    rig.b->upload(rig.b->self, device, host, n * sizeof(float));
    for (size_t i = 0; i < n; i++) host[i] = widened(nearest(host[i]));
}
static void download(float *host, const void *device, size_t n)
{
    uint16_t *half = malloc(n * sizeof *half + 1);
    cr_assert_eq(rig.b->download(rig.b->self, bf16() ? (void *)half : host, device,
                                 n * rig.b->activation_bytes, NULL),
                 ERR_OK);
    for (size_t i = 0; i < n && bf16(); i++) host[i] = widened(half[i]);
    free(half);
}
static void upload_floats(void *device, float *host, size_t n)
{
    rig.b->upload(rig.b->self, device, host, n * sizeof(float));
}
static void *given_of(const char *name, void (*write)(void *, float *, size_t))
{
    size_t n;
    float *host = golden_floats(&rig.g, &n, full(name)), *p = room(n);
    write(p, host, n);
    free(host);
    return p;
}
static void *given(const char *name) { return given_of(name, upload); }
static void *given_matrix(const char *name) { return given_of(name, upload_matrix); }
static float *given_floats(const char *name) { return given_of(name, upload_floats); }
static uint32_t *given_integers(const char *name)
{
    size_t n;
    uint32_t *host = golden_integers(&rig.g, &n, full(name));
    void *p = room(n);
    rig.b->upload(rig.b->self, p, host, n * sizeof(uint32_t));
    free(host);
    return p;
}
/* `found` against PyTorch or, where inputs were rounded, what fp32 made of them. */
static void compare(float *found, size_t n, float *pytorch, const char *name, double tolerance)
{
    const float *wanted = pytorch;
    if (rig.record) {
        cr_assert_lt(rig.recorded, (size_t)RECORDS_MAX);
        rig.records[rig.recorded].values = found;
        rig.records[rig.recorded++].count = n;
        free(pytorch);
        return;
    }
    if (rig.round) {
        cr_assert_lt(rig.compared, rig.recorded);
        cr_assert_eq(rig.records[rig.compared].count, n);
        wanted = rig.records[rig.compared++].values;
    }
    double error = golden_error(found, wanted, n);
    cr_assert(error <= tolerance, "%s is off by %.2e, more than %.0e, on device %zu", full(name),
              error, tolerance, rig.device);
    free(found);
    free(pytorch);
}

/* Activations. */
static void expect(const void *device, const char *name, double fp32)
{
    size_t n;
    float *wanted = golden_floats(&rig.g, &n, full(name)), *found = malloc(n * sizeof(float) + 1);
    download(found, device, n);
    compare(found, n, wanted, name, bound(fp32));
}
/* Activations, bit for bit. */
static void expect_same(const void *device, const void *wanted, size_t n)
{
    const size_t bytes = n * rig.b->activation_bytes;
    void *a = malloc(bytes), *b = malloc(bytes);
    cr_assert_eq(rig.b->download(rig.b->self, a, device, bytes, NULL), ERR_OK);
    cr_assert_eq(rig.b->download(rig.b->self, b, wanted, bytes, NULL), ERR_OK);
    cr_assert_eq(memcmp(a, b, bytes), 0, "%s on device %zu", rig.at, rig.device);
    free(a), free(b);
}
static void expect_floats(const float *device, const char *name, double tolerance)
{
    size_t n;
    float *wanted = golden_floats(&rig.g, &n, full(name)), *found = malloc(n * sizeof(float) + 1);
    cr_assert_eq(rig.b->download(rig.b->self, found, device, n * sizeof(float), NULL), ERR_OK);
    compare(found, n, wanted, name, tolerance);
}

Test(ops, memory_is_zero_when_it_is_taken_and_when_it_is_zeroed)
{
    while (open_rig("model_ops.bin", 1)) {
        enum { COUNT = 1001 };
        float host[COUNT];
        void *p;
        for (size_t round = 0; round < 2; round++) {
            cr_assert_eq(rig.b->alloc(rig.b->self, sizeof host, &p, NULL), ERR_OK);
            for (size_t zeroed = 0; zeroed < 2; zeroed++) {
                cr_assert_eq(rig.b->download(rig.b->self, host, p, sizeof host, NULL), ERR_OK);
                for (size_t i = 0; i < COUNT; i++) cr_assert_eq(host[i], 0, "element %zu", i);
                for (size_t i = 0; i < COUNT; i++) host[i] = NAN;
                rig.b->upload(rig.b->self, p, host, sizeof host);
                if (!zeroed) rig.b->zero(rig.b->self, p, sizeof host);
            }
            rig.b->free(rig.b->self, p, sizeof host); /* full of NaN, for the next to take */
        }
        close_rig();
    }
}

Test(ops, norm_and_its_gradients_are_those_of_pytorch)
{
    while (open_rig("model_ops.bin", 2)) {
        for (int i = 0; i < 4; i++) {
            begin("norm", i);
            const size_t rows = rig.shape[0], dim = rig.shape[1];
            void *sum = room(rows * dim), *out = room(rows * dim);
            float *inverse = room(rows), *gain = given_floats("gain");
            rig.b->norm(rig.b->self, &(struct op_norm){.sum = sum,
                                                       .out = out,
                                                       .inverse = inverse,
                                                       .x = given("x"),
                                                       .add = given("add"),
                                                       .gain = gain,
                                                       .rows = rows,
                                                       .dim = dim,
                                                       .eps = 1e-5f});
            expect(sum, "sum", TIGHT);
            expect(out, "out", TIGHT);
            rig.b->norm(rig.b->self, &(struct op_norm){.out = out,
                                                       .inverse = inverse,
                                                       .x = sum,
                                                       .gain = gain,
                                                       .rows = rows,
                                                       .dim = dim,
                                                       .eps = 1e-5f});
            expect(out, "out", TIGHT);

            void *x_grad = given("residual_grad"), *again = room(rows * dim);
            float *gain_grad = room(dim);
            rig.b->zero(rig.b->self, gain_grad, dim * sizeof(float));
            struct op_norm_backward back = {.out = again,
                                            .x_grad = x_grad,
                                            .add = true,
                                            .gain_grad = gain_grad,
                                            .out_grad = given("out_grad"),
                                            .x = sum,
                                            .inverse = inverse,
                                            .gain = gain,
                                            .rows = rows,
                                            .dim = dim};
            rig.b->norm_backward(rig.b->self, &back);
            expect_same(again, out, rows * dim);
            expect(x_grad, "x_grad", TIGHT);
            expect_floats(gain_grad, "gain_grad", bound(TIGHT));
        }
        close_rig();
    }
}

Test(ops, rotary_turns_halves_and_its_inverse_is_its_gradient)
{
    while (open_rig("model_ops.bin", 1)) {
        for (int i = 0; i < 3; i++) {
            begin("rotary", i);
            const size_t length = rig.shape[1], start = rig.shape[2], heads = rig.shape[3];
            const size_t head_dim = rig.shape[4], half = head_dim / 2, positions = start + length;
            float *cosine = room(positions * half), *sine = room(positions * half);
            float *table = malloc(2 * positions * half * sizeof(float));
            for (size_t p = 0; p < positions; p++)
                for (size_t k = 0; k < half; k++) {
                    double angle = (double)p * pow(10000, -(double)k / (double)half);
                    table[p * half + k] = (float)cos(angle);
                    table[(positions + p) * half + k] = (float)sin(angle);
                }
            rig.b->upload(rig.b->self, cosine, table, positions * half * sizeof(float));
            rig.b->upload(rig.b->self, sine, table + positions * half,
                          positions * half * sizeof(float));
            free(table);
            struct op_rotary o = {.x = given("x"),
                                  .rows = rig.shape[0] * length,
                                  .length = length,
                                  .start = start,
                                  .heads = heads,
                                  .head_dim = head_dim,
                                  .stride = heads * head_dim,
                                  .cosine = cosine,
                                  .sine = sine};
            rig.b->rotary(rig.b->self, &o);
            expect(o.x, "out", TIGHT);
            o.inverse = true;
            o.x = given("out_grad");
            rig.b->rotary(rig.b->self, &o);
            expect(o.x, "x_grad", TIGHT);
        }
        close_rig();
    }
}

Test(ops, attention_and_its_gradients_are_those_of_pytorch)
{
    while (open_rig("model_attention.bin", 2)) {
        for (int i = 0; i < 5; i++) {
            begin("attention", i);
            const size_t sequences = rig.shape[0], length = rig.shape[1], heads = rig.shape[2];
            const size_t kv_heads = rig.shape[3], head_dim = rig.shape[4],
                         rows = sequences * length;
            void *qkv = given("qkv"), *out = room(rows * heads * head_dim);
            void *grad = room(rows * (heads + 2 * kv_heads) * head_dim);
            float *logsum = room(rows * heads);
            rig.b->attention(rig.b->self, &(struct op_attention){.out = out,
                                                                 .logsum = logsum,
                                                                 .qkv = qkv,
                                                                 .sequences = sequences,
                                                                 .length = length,
                                                                 .heads = heads,
                                                                 .kv_heads = kv_heads,
                                                                 .head_dim = head_dim});
            expect(out, "out", TIGHT);
            expect_floats(logsum, "logsum", TIGHT);
            struct op_attention_backward back = {.qkv_grad = grad,
                                                 .out_grad = given("out_grad"),
                                                 .out = out,
                                                 .qkv = qkv,
                                                 .logsum = logsum,
                                                 .sequences = sequences,
                                                 .length = length,
                                                 .heads = heads,
                                                 .kv_heads = kv_heads,
                                                 .head_dim = head_dim};
            rig.b->attention_backward(rig.b->self, &back);
            expect(grad, "qkv_grad", CANCELS);
        }
        close_rig();
    }
}

/* Fills room for `n` activations on the device with some numbers from -1 to 1, and gives those to
 * `host` too. */
static void *invented(float *host, size_t n, double step)
{
    void *p = room(n);
    for (size_t i = 0; i < n; i++) host[i] = (float)sin(step * (double)(i + 1));
    upload(p, host, n);
    return p;
}

/* The error of `n` activations on the device, or of floats. */
static double error_of(const void *device, const float *wanted, size_t n)
{
    float *found = malloc(n * sizeof(float));
    download(found, device, n);
    double error = golden_error(found, wanted, n);
    free(found);
    return error;
}
static double error_of_floats(const float *device, const float *wanted, size_t n)
{
    float *found = malloc(n * sizeof(float));
    cr_assert_eq(rig.b->download(rig.b->self, found, device, n * sizeof(float), NULL), ERR_OK);
    double error = golden_error(found, wanted, n);
    free(found);
    return error;
}

static double dot_of(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

struct attention_case {
    size_t sequences, length, heads, kv_heads, head_dim;
};

/* Attention of one query as its formula says it, in fp64; adds to grad what comes of its
 * gradient. */
static void attend(struct attention_case c, const float *qkv, const float *out_grad,
                   size_t sequence, size_t row, size_t head, float *out, double *grad)
{
    const size_t d = c.head_dim, stride = (c.heads + 2 * c.kv_heads) * d,
                 first = sequence * c.length;
    const size_t key = (c.heads + head / (c.heads / c.kv_heads)) * d, value = key + c.kv_heads * d;
    const size_t query = (first + row) * stride + head * d;
    const size_t at = ((first + row) * c.heads + head) * d;
    const double scale = 1 / sqrt((double)d);
    double p[512], total = 0, delta = 0;
    for (size_t k = 0; k <= row; k++)
        total += p[k] = exp(scale * dot_of(qkv + query, qkv + (first + k) * stride + key, d));
    for (size_t k = 0; k <= row; k++) {
        p[k] /= total;
        delta += p[k] * dot_of(out_grad + at, qkv + (first + k) * stride + value, d);
    }
    for (size_t i = 0; i < d; i++) {
        double sum = 0;
        for (size_t k = 0; k <= row; k++) sum += p[k] * qkv[(first + k) * stride + value + i];
        out[at + i] = (float)sum;
    }
    for (size_t k = 0; k <= row; k++) {
        const size_t there = (first + k) * stride;
        const double ds = p[k] * (dot_of(out_grad + at, qkv + there + value, d) - delta) * scale;
        for (size_t i = 0; i < d; i++) {
            grad[query + i] += ds * qkv[there + key + i];
            grad[there + key + i] += ds * qkv[query + i];
            grad[there + value + i] += p[k] * out_grad[at + i];
        }
    }
}

/* Heads and sequences as long as real models have them, which PyTorch's file would be too large
 * for; 72 and 200 fill no 64, and 299 queries go over several blocks of queries and of keys, on a
 * CPU of 128 and of 64 keys. */
Test(ops, attention_is_right_for_long_heads_and_sequences)
{
    static const struct attention_case cases[] = {
        {2, 37, 4, 2, 72}, {1, 35, 2, 1, 128}, {1, 33, 2, 2, 200}, {1, 299, 2, 1, 20}};
    while (open_rig("model_ops.bin", 2)) {
        for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
            release();
            const struct attention_case c = cases[n];
            const size_t rows = c.sequences * c.length, outs = rows * c.heads * c.head_dim;
            const size_t all = rows * (c.heads + 2 * c.kv_heads) * c.head_dim;
            float *hqkv = malloc(all * sizeof(float)), *hout_grad = malloc(outs * sizeof(float));
            float *hout = malloc(outs * sizeof(float)), *hgrad = malloc(all * sizeof(float));
            double *sums = calloc(all, sizeof(double));
            void *qkv = invented(hqkv, all, 1.7), *out_grad = invented(hout_grad, outs, 2.3);
            for (size_t i = 0; i < rows * c.heads; i++)
                attend(c, hqkv, hout_grad, i / c.heads / c.length, i / c.heads % c.length,
                       i % c.heads, hout, sums);
            for (size_t i = 0; i < all; i++) hgrad[i] = (float)sums[i];

            void *out = room(outs), *grad = room(all);
            float *logsum = room(rows * c.heads);
            rig.b->attention(rig.b->self, &(struct op_attention){.out = out,
                                                                 .logsum = logsum,
                                                                 .qkv = qkv,
                                                                 .sequences = c.sequences,
                                                                 .length = c.length,
                                                                 .heads = c.heads,
                                                                 .kv_heads = c.kv_heads,
                                                                 .head_dim = c.head_dim});
            cr_assert_leq(error_of(out, hout, outs), bound(TIGHT), "head_dim %zu", c.head_dim);
            rig.b->attention_backward(rig.b->self,
                                      &(struct op_attention_backward){.qkv_grad = grad,
                                                                      .out_grad = out_grad,
                                                                      .out = out,
                                                                      .qkv = qkv,
                                                                      .logsum = logsum,
                                                                      .sequences = c.sequences,
                                                                      .length = c.length,
                                                                      .heads = c.heads,
                                                                      .kv_heads = c.kv_heads,
                                                                      .head_dim = c.head_dim});
            cr_assert_leq(error_of(grad, hgrad, all), bound(CANCELS), "head_dim %zu", c.head_dim);
            free(hqkv), free(hout_grad), free(hout), free(hgrad), free(sums);
        }
        close_rig();
    }
}

/* A sequence fed in pieces of 1, 2, 3, ... tokens. */
Test(ops, cached_attention_gives_what_attention_of_the_whole_gives)
{
    while (open_rig("model_attention.bin", 2)) {
        for (int i = 0; i < 5; i++) {
            begin("attention", i);
            if (rig.shape[0] != 1) continue;
            const size_t length = rig.shape[1], heads = rig.shape[2], kv_heads = rig.shape[3];
            const size_t head_dim = rig.shape[4], width = (heads + 2 * kv_heads) * head_dim;
            void *qkv = given("qkv"), *out = room(length * heads * head_dim);
            void *keys = room(length * kv_heads * head_dim),
                 *values = room(length * kv_heads * head_dim);
            size_t piece = 1;
            for (size_t past = 0; past < length; past += piece++) {
                if (piece > length - past) piece = length - past;
                struct op_attention_cached o = {.out = at(out, past * heads * head_dim),
                                                .qkv = at(qkv, past * width),
                                                .keys = keys,
                                                .values = values,
                                                .rows = piece,
                                                .past = past,
                                                .heads = heads,
                                                .kv_heads = kv_heads,
                                                .head_dim = head_dim};
                rig.b->attention_cached(rig.b->self, &o);
            }
            expect(out, "out", TIGHT);
        }
        close_rig();
    }
}

Test(ops, swiglu_and_its_gradients_are_those_of_pytorch)
{
    while (open_rig("model_ops.bin", 1)) {
        for (int i = 0; i < 4; i++) {
            begin("swiglu", i);
            const size_t rows = rig.shape[0], ffn = rig.shape[1];
            void *out = room(rows * ffn), *grad = room(rows * 2 * ffn), *gate_up = given("gate_up");
            rig.b->swiglu(rig.b->self, &(struct op_swiglu){out, gate_up, rows, ffn});
            expect(out, "out", TIGHT);
            void *again = room(rows * ffn);
            rig.b->swiglu_backward(
                rig.b->self,
                &(struct op_swiglu_backward){again, grad, given("out_grad"), gate_up, rows, ffn});
            expect_same(again, out, rows * ffn);
            expect(grad, "gate_up_grad", TIGHT);
        }
        close_rig();
    }
}

Test(ops, linear_and_its_gradients_are_those_of_pytorch)
{
    while (open_rig("model_ops.bin", 2)) {
        for (int i = 0; i < 4; i++) {
            begin("linear", i);
            const size_t rows = rig.shape[0], n_in = rig.shape[1], n_out = rig.shape[2];
            void *x = given("x"), *w = given_matrix("w"), *y = room(rows * n_out);
            void *x_grad = room(rows * n_in), *y_grad = given("y_grad");
            float *w_grad = given_floats("w_before");
            rig.b->linear(rig.b->self, &(struct op_linear){y, x, w, rows, n_in, n_out});
            expect(y, "y", TIGHT);
            rig.b->linear_input(rig.b->self,
                                &(struct op_linear_input){x_grad, y_grad, w, rows, n_in, n_out});
            expect(x_grad, "x_grad", TIGHT);
            rig.b->linear_weight(rig.b->self, &(struct op_linear_weight){w_grad, true, y_grad, x,
                                                                         rows, n_in, n_out});
            expect_floats(w_grad, "w_grad", CANCELS);
        }
        close_rig();
    }
}

Test(ops, cross_entropy_and_its_gradient_are_those_of_pytorch)
{
    while (open_rig("model_ops.bin", 2)) {
        for (int i = 0; i < 4; i++) {
            begin("cross_entropy", i);
            size_t n;
            float *scale = golden_floats(&rig.g, &n, full("scale")), *loss = room(rig.shape[0]);
            struct op_cross_entropy o = {.loss = loss,
                                         .logits = given("logits"),
                                         .targets = given_integers("targets"),
                                         .rows = rig.shape[0],
                                         .vocab = rig.shape[1],
                                         .gradient = true,
                                         .scale = *scale};
            rig.b->cross_entropy(rig.b->self, &o);
            expect_floats(loss, "loss", TIGHT);
            expect(o.logits, "logits_grad", TIGHT);
            o.logits = given("logits");
            o.gradient = false;
            rig.b->cross_entropy(rig.b->self, &o);
            expect_floats(loss, "loss", TIGHT);
            free(scale);
        }
        close_rig();
    }
}

/* Logits whose exponential is infinite, one a row and at each place once: the largest must be found
 * wherever it is. */
Test(ops, cross_entropy_holds_where_one_logit_is_large)
{
    while (open_rig("model_ops.bin", 2)) {
        enum { VOCAB = 300 };
        float host[VOCAB * VOCAB] = {0}, wanted[VOCAB];
        uint32_t target[VOCAB];
        float *loss = room(VOCAB);
        void *logits = room(VOCAB * VOCAB), *targets = room(VOCAB);
        for (uint32_t r = 0; r < VOCAB; r++) {
            host[r * VOCAB + r] = 200;
            target[r] = r % 2 ? r : 0;
            wanted[r] = target[r] == r ? 0 : 200;
        }
        upload(logits, host, VOCAB * VOCAB);
        rig.b->upload(rig.b->self, targets, target, sizeof target);
        rig.b->cross_entropy(rig.b->self, &(struct op_cross_entropy){.loss = loss,
                                                                     .logits = logits,
                                                                     .targets = targets,
                                                                     .rows = VOCAB,
                                                                     .vocab = VOCAB,
                                                                     .gradient = true,
                                                                     .scale = 1});
        cr_assert_leq(error_of_floats(loss, wanted, VOCAB), TIGHT, "losses");
        for (uint32_t r = 0; r < VOCAB; r++) {
            host[r * VOCAB + r] = 1;
            host[r * VOCAB + target[r]] -= 1;
        }
        cr_assert_leq(error_of(logits, host, VOCAB * VOCAB), bound(TIGHT), "gradients");
        close_rig();
    }
}

/* Where whoever adds up a long row may leave out the end of it: exp(200) is no float. */
Test(ops, cross_entropy_holds_wherever_in_a_long_row_the_large_logit_is)
{
    while (open_rig("model_ops.bin", 2)) {
        enum { VOCAB = 4096, ROWS = 16 };
        static float host[ROWS * VOCAB], wanted[ROWS];
        uint32_t target[ROWS];
        float *loss = room(ROWS);
        void *logits = room(ROWS * VOCAB), *targets = room(ROWS);
        memset(host, 0, sizeof host);
        for (uint32_t r = 0; r < ROWS; r++) {
            host[r * VOCAB + (r + 1) * (VOCAB / ROWS) - 1] = 200;
            target[r] = 0;
            wanted[r] = 200;
        }
        upload(logits, host, ROWS * VOCAB);
        rig.b->upload(rig.b->self, targets, target, sizeof target);
        rig.b->cross_entropy(rig.b->self, &(struct op_cross_entropy){.loss = loss,
                                                                     .logits = logits,
                                                                     .targets = targets,
                                                                     .rows = ROWS,
                                                                     .vocab = VOCAB,
                                                                     .scale = 1});
        cr_assert_leq(error_of_floats(loss, wanted, ROWS), TIGHT, "losses");
        close_rig();
    }
}

Test(ops, embedding_adds_up_the_gradients_of_a_token_that_comes_again)
{
    while (open_rig("model_ops.bin", 2)) {
        for (int i = 0; i < 3; i++) {
            begin("embed", i);
            const size_t rows = rig.shape[0], dim = rig.shape[2];
            void *out = room(rows * dim);
            float *table_grad = given_floats("before");
            uint32_t *tokens = given_integers("tokens");
            rig.b->embed(rig.b->self,
                         &(struct op_embed){out, given_matrix("table"), tokens, rows, dim});
            expect(out, "out", 0);
            rig.b->embed_backward(
                rig.b->self,
                &(struct op_embed_backward){table_grad, given("out_grad"), tokens, rows, dim});
            expect_floats(table_grad, "table_grad", TIGHT);
        }
        close_rig();
    }
}

Test(ops, adamw_takes_the_steps_of_pytorch_and_decays_the_first_elements_only)
{
    while (open_rig("model_ops.bin", 2)) {
        for (int i = 0; i < 3; i++) {
            begin("adamw", i);
            const size_t n = rig.shape[0];
            float *p = given_floats("before"), *m = room(n), *v = room(n);
            rig.b->zero(rig.b->self, m, n * sizeof(float));
            rig.b->zero(rig.b->self, v, n * sizeof(float));
            for (int step = 0; step < 3; step++) {
                char name[32];
                snprintf(name, sizeof name, "gradient.%d", step);
                struct op_adamw o = adamw_of_step(step + 1, 3e-3f, 0.5f);
                o.parameters = p, o.moment1 = m, o.moment2 = v, o.gradient = given_floats(name);
                o.count = n, o.decayed_count = rig.shape[1];
                rig.b->adamw(rig.b->self, &o);
                snprintf(name, sizeof name, "after.%d", step);
                expect_floats(p, name, TIGHT);
            }
        }
        close_rig();
    }
}

/* Gradients of 1e-8, where epsilon counts as much as they do; and moments, of which PyTorch's file
 * says nothing. */
Test(ops, adamw_adds_epsilon_to_the_corrected_root_and_keeps_both_moments)
{
    enum { COUNT = 300, DECAYED = 100 };
    const double lr = 3e-3f, b1 = 0.9f, b2 = 0.95f, eps = 1e-8f, decay = 0.1f, scale = 0.5f;
    const double c1 = 0.271f, c2 = 0.142625f; /* of step 3 */
    while (open_rig("model_ops.bin", 2)) {
        float host[4][COUNT], wanted[3][COUNT], *p[4];
        for (size_t k = 0; k < 4; k++) {
            p[k] = room(COUNT);
            for (size_t i = 0; i < COUNT; i++)
                host[k][i] = (float)sin((0.7 + (double)k) * (double)(i + 1));
        }
        for (size_t i = 0; i < COUNT; i++) {
            host[1][i] *= 1e-8f;
            host[2][i] *= 1e-16f * host[2][i];
            host[3][i] *= 2e-8f;
            const double g = scale * host[3][i];
            const double m = b1 * host[1][i] + (1 - b1) * g, v = b2 * host[2][i] + (1 - b2) * g * g;
            wanted[0][i] = (float)((i < DECAYED ? 1 - lr * decay : 1) * host[0][i] -
                                   lr / c1 * m / (sqrt(v) / sqrt(c2) + eps));
            wanted[1][i] = (float)m;
            wanted[2][i] = (float)v;
        }
        for (size_t k = 0; k < 4; k++) rig.b->upload(rig.b->self, p[k], host[k], sizeof host[k]);
        struct op_adamw o = adamw_of_step(3, 3e-3f, 0.5f);
        o.parameters = p[0], o.moment1 = p[1], o.moment2 = p[2], o.gradient = p[3];
        o.count = COUNT, o.decayed_count = DECAYED;
        rig.b->adamw(rig.b->self, &o);
        for (size_t k = 0; k < 3; k++)
            cr_assert_leq(error_of_floats(p[k], wanted[k], COUNT), TIGHT, "result %zu", k);
        close_rig();
    }
}

/* Sizes that leave a rest at every tile border of the CPU backend (and 1), and sums so long that
 * they go in several blocks (of 512 steps there): sqrt(4100) * 2^-24 = 4e-6. The reference is
 * summed in fp64. */
Test(ops, linear_is_right_where_matrices_are_cut_into_tiles)
{
    while (open_rig("model_ops.bin", 2)) {
        static const size_t shapes[][3] = {{257, 65, 513}, {1, 129, 1030}, {130, 515, 259},
                                           {5, 37, 16},    {67, 2053, 50}, {9, 4100, 3},
                                           {2051, 3, 20},  {7, 30, 2070}};
        for (size_t c = 0; c < sizeof shapes / sizeof shapes[0]; c++) {
            release();
            const size_t rows = shapes[c][0], n_in = shapes[c][1], n_out = shapes[c][2];
            void *x = room(rows * n_in), *w = room(n_out * n_in), *y = room(rows * n_out);
            float *hx = malloc(rows * n_in * sizeof(float)),
                  *hw = malloc(n_out * n_in * sizeof(float));
            float *hy = malloc(rows * n_out * sizeof(float));
            float *wanted = malloc((rows * n_out + rows * n_in + n_out * n_in) * sizeof(float));
            for (size_t i = 0; i < rows * n_in; i++) hx[i] = (float)sin((double)i);
            for (size_t i = 0; i < n_out * n_in; i++) hw[i] = (float)cos(1.7 * (double)i);
            upload(x, hx, rows * n_in);
            upload_matrix(w, hw, n_out * n_in);
            for (size_t r = 0; r < rows; r++)
                for (size_t o = 0; o < n_out; o++) {
                    double sum = 0;
                    for (size_t k = 0; k < n_in; k++)
                        sum += (double)hx[r * n_in + k] * hw[o * n_in + k];
                    wanted[r * n_out + o] = (float)sum;
                }
            rig.b->linear(rig.b->self, &(struct op_linear){y, x, w, rows, n_in, n_out});
            download(hy, y, rows * n_out);
            cr_assert_leq(golden_error(hy, wanted, rows * n_out), bound(CANCELS));

            /* y's values serve as a gradient: x_grad = y w, w_grad = y^T x. */
            void *x_grad = room(rows * n_in);
            float *w_grad = room(n_out * n_in);
            float *found = malloc((rows + n_out) * n_in * sizeof(float));
            memset(wanted, 0, rows * n_in * sizeof(float));
            for (size_t r = 0; r < rows; r++)
                for (size_t k = 0; k < n_in; k++) {
                    double sum = 0;
                    for (size_t o = 0; o < n_out; o++)
                        sum += (double)hy[r * n_out + o] * hw[o * n_in + k];
                    wanted[r * n_in + k] = (float)sum;
                }
            rig.b->linear_input(rig.b->self,
                                &(struct op_linear_input){x_grad, y, w, rows, n_in, n_out});
            download(found, x_grad, rows * n_in);
            cr_assert_leq(golden_error(found, wanted, rows * n_in), bound(CANCELS));
            for (size_t o = 0; o < n_out; o++)
                for (size_t k = 0; k < n_in; k++) {
                    double sum = 0;
                    for (size_t r = 0; r < rows; r++)
                        sum += (double)hy[r * n_out + o] * hx[r * n_in + k];
                    wanted[o * n_in + k] = (float)sum;
                }
            rig.b->linear_weight(
                rig.b->self, &(struct op_linear_weight){w_grad, false, y, x, rows, n_in, n_out});
            rig.b->download(rig.b->self, found, w_grad, n_out * n_in * sizeof(float), NULL);
            cr_assert_leq(golden_error(found, wanted, n_out * n_in), CANCELS);
            free(hx), free(hw), free(hy), free(wanted), free(found);
        }
        close_rig();
    }
}

Test(ops, sum_and_norm_are_taken_in_fp64_over_any_length)
{
    while (open_rig("model_ops.bin", 2)) {
        /* the last one is 65 pieces of cu/reduce.cu */
        static const size_t lengths[] = {1, 31, 65537, 200001, ((size_t)1 << 22) + 77};
        for (size_t c = 0; c < sizeof lengths / sizeof *lengths; c++) {
            release();
            const size_t n = lengths[c];
            float *x = room(n), *host = malloc(n * sizeof(float));
            long double sum = 0, squares = 0;
            double found;
            for (size_t i = 0; i < n; i++) {
                host[i] = 1e4f + (float)sin((double)i);
                sum += host[i];
                squares += (long double)host[i] * host[i];
            }
            rig.b->upload(rig.b->self, x, host, n * sizeof(float));
            cr_assert_eq(rig.b->sum(rig.b->self, x, n, &found, NULL), ERR_OK);
            cr_assert_float_eq(found / (double)sum, 1,
                               1e-13); /* fp32 would be off by 1e-5 at this length */
            cr_assert_eq(rig.b->norm2(rig.b->self, x, n, &found, NULL), ERR_OK);
            cr_assert_float_eq(found / sqrt((double)squares), 1, 1e-13);
            free(host);
        }
        close_rig();
    }
}

/* A model that diverged must be seen: not-a-number may not turn into a number on its way to the
 * loss. */
Test(ops, what_is_not_a_number_stays_so)
{
    while (open_rig("model_ops.bin", 1)) {
        float values[40] = {[7] = NAN, [39] = 1}, host[40];
        const float ones[40] = {[0] = 1, [7] = 1};
        void *x = room(40), *out = room(40);
        float *gain = room(40), *inverse = room(1);
        uint32_t *target = (uint32_t *)room(1);
        rig.b->upload(rig.b->self, target, &(uint32_t){3}, sizeof *target);
        upload(x, values, 40);
        rig.b->upload(rig.b->self, gain, ones, sizeof ones);
        rig.b->norm(
            rig.b->self,
            &(struct op_norm){
                .out = out, .inverse = inverse, .x = x, .gain = gain, .rows = 1, .dim = 40});
        download(host, out, 40);
        cr_assert(isnan(host[0]) && isnan(host[7]));
        rig.b->swiglu(rig.b->self, &(struct op_swiglu){out, x, 1, 20});
        download(host, out, 40);
        cr_assert(isnan(host[7]) && !isnan(host[6]));
        rig.b->cross_entropy(
            rig.b->self,
            &(struct op_cross_entropy){
                .loss = inverse, .logits = x, .targets = target, .rows = 1, .vocab = 40});
        rig.b->download(rig.b->self, host, inverse, sizeof host[0], NULL);
        cr_assert(isnan(host[0]));
        close_rig();
    }
}
