/* attention_test.c -- attention on tensor cores (cu/attention_bf16.cu) against float64.
 *
 * Each element has a bound of its own. The softmax's weights p, and ds backward, are rounded to
 * bf16 before they weigh vectors: 2^-8 of the sum of the magnitudes of what is added up. The result
 * is rounded once more: 2^-8 of itself. What remains is in fp32: a score is off by d 2^-23 of the
 * magnitudes of its terms, at most 2^-12 with the factor 4 by which queries are longer here, and p
 * by as much of itself. One key too many or too few moves a result by far more. */
#include "tensor.h"

#define BF16     0x1p-8
#define FP32     0x1p-12
#define VANISHED 0x1p-120 /* near the smallest normal number */

struct sizes {
    size_t sequences, length, heads, kv_heads, d;
    double factor; /* of queries: long ones have sharp softmaxes */
};

struct attention {
    struct sizes z;
    struct matrix qkv, out_grad;       /* given */
    struct matrix out, logsum;         /* forward's; the right ones, as backward is given them */
    struct matrix run_out, run_logsum; /* the kernels' */
    struct matrix qkv_grad;
    double *p; /* [length, length] of one head: the right weights */
};

static size_t rows(const struct sizes *z) { return z->sequences * z->length; }
static size_t slots(const struct sizes *z) { return z->heads + 2 * z->kv_heads; }
static size_t key_slot(const struct sizes *z, size_t h)
{
    return z->heads + h / (z->heads / z->kv_heads);
}
static struct matrix dense(size_t n, size_t width, size_t each, size_t alignment)
{
    return matrix_make(n, width, width, each, alignment);
}
static struct matrix sums(const struct sizes *z)
{
    return dense(z->sequences * z->heads, z->length, 4, 4);
}

/* The weights of head h, and the logs of their sums. */
static void weigh(struct attention *a, size_t sequence, size_t h)
{
    const size_t n = a->z.length, d = a->z.d, first = sequence * n;
    for (size_t r = 0; r < n; r++) {
        double *p = a->p + r * n, top = -INFINITY, total = 0;
        for (size_t k = 0; k <= r; k++) {
            p[k] = 0;
            for (size_t i = 0; i < d; i++)
                p[k] += get(&a->qkv, first + r, h * d + i) *
                        get(&a->qkv, first + k, key_slot(&a->z, h) * d + i);
            p[k] /= sqrt((double)d);
            top = fmax(top, p[k]);
        }
        for (size_t k = 0; k <= r; k++) total += exp(p[k] - top);
        for (size_t k = 0; k <= r; k++) p[k] = exp(p[k] - top) / total;
        put(&a->logsum, sequence * a->z.heads + h, r, top + log(total));
    }
}

/* How far a result may be from `wanted`, with `size` of error before its own rounding. */
static double limit(double wanted, double size)
{
    return size + BF16 * (fabs(wanted) + size) + VANISHED;
}

static void expect_near(const struct sizes *z, const char *what, size_t row, size_t at,
                        double found, double wanted, double most)
{
    cr_assert(fabs(found - wanted) <= most,
              "%s of length %zu, %zu heads on %zu, d %zu: row %zu, %zu is off by %.2e, more than "
              "%.2e, from %.3f",
              what, z->length, z->heads, z->kv_heads, z->d, row, at, fabs(found - wanted), most,
              wanted);
}

/* Computes the right results, and holds the kernel's forward ones to them where `check`. */
static void forward(struct attention *a, bool check)
{
    const struct sizes *z = &a->z;
    const size_t n = z->length, d = z->d;
    const double slop = FP32 * z->factor / 4;
    for (size_t s = 0; s < z->sequences; s++)
        for (size_t h = 0; h < z->heads; h++) {
            weigh(a, s, h);
            for (size_t r = 0; r < n; r++) {
                const double logsum = get(&a->logsum, s * z->heads + h, r);
                const double found = get(&a->run_logsum, s * z->heads + h, r);
                if (check) expect_near(z, "logsum", s * n + r, h, found, logsum, slop);
                for (size_t i = 0; i < d; i++) {
                    double sum = 0, size = 0;
                    for (size_t k = 0; k <= r; k++) {
                        const size_t at = (key_slot(z, h) + z->kv_heads) * d + i;
                        const double v = a->p[r * n + k] * get(&a->qkv, s * n + k, at);
                        sum += v;
                        size += fabs(v) * (BF16 + slop);
                    }
                    put(&a->out, s * n + r, h * d + i, sum);
                    const double out = get(&a->run_out, s * n + r, h * d + i);
                    if (check)
                        expect_near(z, "out", s * n + r, h * d + i, out, sum, limit(sum, size));
                }
            }
        }
}

/* Adds what one query's meeting with one key gives to `sum` of qkv_grad, and its bounds to
 * `size`. */
static void meet(struct attention *a, double *sum, double *size, size_t query, size_t key, size_t h,
                 double p)
{
    const struct sizes *z = &a->z;
    const size_t d = z->d, keys = key_slot(z, h) * d, values = keys + z->kv_heads * d;
    const double slop = FP32 * z->factor / 4, scale = 1 / sqrt((double)d);
    double ds = 0, ds_size = 0;
    for (size_t i = 0; i < d; i++) {
        const double grad = get(&a->out_grad, query, h * d + i);
        const double v = grad * get(&a->qkv, key, values + i);
        const double o = grad * get(&a->out, query, h * d + i);
        ds += v - o;
        ds_size += fabs(v) + fabs(o);
    }
    ds *= p;
    ds_size = BF16 * fabs(ds) + slop * p * ds_size;
    for (size_t i = 0; i < d; i++) {
        const double grad = p * get(&a->out_grad, query, h * d + i);
        const double q = scale * get(&a->qkv, query, h * d + i);
        const double k = scale * get(&a->qkv, key, keys + i);
        const size_t q_at = query * slots(z) * d + h * d + i, k_at = key * slots(z) * d + i;
        sum[q_at] += ds * k;
        size[q_at] += ds_size * fabs(k);
        sum[k_at + keys] += ds * q;
        size[k_at + keys] += ds_size * fabs(q);
        sum[k_at + values] += grad;
        size[k_at + values] += (BF16 + slop) * fabs(grad);
    }
}

static void expect_gradients(struct attention *a)
{
    const struct sizes *z = &a->z;
    const size_t n = z->length, width = slots(z) * z->d;
    double *sum = calloc(rows(z) * width, sizeof *sum),
           *size = calloc(rows(z) * width, sizeof *sum);
    for (size_t s = 0; s < z->sequences; s++)
        for (size_t h = 0; h < z->heads; h++) {
            weigh(a, s, h);
            for (size_t r = 0; r < n; r++)
                for (size_t k = 0; k <= r; k++)
                    meet(a, sum, size, s * n + r, s * n + k, h, a->p[r * n + k]);
        }
    for (size_t r = 0; r < rows(z); r++)
        for (size_t i = 0; i < width; i++) {
            const char *what = i < z->heads * z->d                   ? "gradient of queries"
                               : i < (z->heads + z->kv_heads) * z->d ? "gradient of keys"
                                                                     : "gradient of values";
            const size_t at = r * width + i;
            expect_near(z, what, r, i, get(&a->qkv_grad, r, i), sum[at], limit(sum[at], size[at]));
        }
    free(sum);
    free(size);
}

static struct attention attention_make(struct sizes z)
{
    struct attention a = {.z = z};
    uint64_t state = z.length * 7919 + z.heads * 104729 + z.d;
    a.qkv = dense(rows(&z), slots(&z) * z.d, 2, 16);
    a.qkv_grad = dense(rows(&z), slots(&z) * z.d, 2, 16);
    a.out_grad = dense(rows(&z), z.heads * z.d, 2, 16);
    a.out = dense(rows(&z), z.heads * z.d, 2, 16);
    a.run_out = dense(rows(&z), z.heads * z.d, 2, 16);
    a.logsum = sums(&z);
    a.run_logsum = sums(&z);
    a.p = calloc(z.length * z.length, sizeof *a.p);
    fill(&a.qkv, &state);
    fill(&a.out_grad, &state);
    for (size_t r = 0; r < rows(&z); r++)
        for (size_t i = 0; i < z.heads * z.d; i++) put(&a.qkv, r, i, z.factor * get(&a.qkv, r, i));
    return a;
}
static void attention_free(struct attention *a)
{
    struct matrix *all[] = {&a->qkv,     &a->qkv_grad, &a->out_grad,  &a->out,
                            &a->run_out, &a->logsum,   &a->run_logsum};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) matrix_free(all[i]);
    free(a->p);
}

static struct device open_device(const struct sizes *z, size_t i)
{
    order(i);
    device_bf16 = true;
    struct device d = device_make(1);
    cr_assert_eq(d.b.prepare(d.b.self,
                             &(struct op_sizes){.rows = rows(z), .dim = 1, .heads = z->heads},
                             NULL),
                 ERR_OK);
    return d;
}

static void run_forward(struct attention *a, size_t i)
{
    const struct sizes *z = &a->z;
    struct device d = open_device(z, i);
    void *out = matrix_lend(&d.b, &a->run_out), *logsum = matrix_lend(&d.b, &a->run_logsum);
    void *qkv = matrix_lend(&d.b, &a->qkv);
    cuda_attention_bf16(d.b.self, &(struct op_attention){out, logsum, qkv, z->sequences, z->length,
                                                         z->heads, z->kv_heads, z->d});
    matrix_back(&d.b, &a->run_out, out);
    matrix_back(&d.b, &a->run_logsum, logsum);
    matrix_drop(&d.b, &a->qkv, qkv);
    device_drop(&d);
    cr_assert(matrix_gaps_whole(&a->run_out));
    cr_assert(matrix_gaps_whole(&a->run_logsum));
}

/* Of the right results of forward. */
static void run_backward(struct attention *a, size_t i)
{
    const struct sizes *z = &a->z;
    struct device d = open_device(z, i);
    void *qkv_grad = matrix_lend(&d.b, &a->qkv_grad), *qkv = matrix_lend(&d.b, &a->qkv);
    void *out_grad = matrix_lend(&d.b, &a->out_grad), *out = matrix_lend(&d.b, &a->out);
    void *logsum = matrix_lend(&d.b, &a->logsum);
    cuda_attention_bf16_backward(d.b.self, &(struct op_attention_backward){
                                               qkv_grad, out_grad, out, qkv, logsum, z->sequences,
                                               z->length, z->heads, z->kv_heads, z->d});
    matrix_back(&d.b, &a->qkv_grad, qkv_grad);
    matrix_drop(&d.b, &a->qkv, qkv);
    matrix_drop(&d.b, &a->out_grad, out_grad);
    matrix_drop(&d.b, &a->out, out);
    matrix_drop(&d.b, &a->logsum, logsum);
    device_drop(&d);
    cr_assert(matrix_gaps_whole(&a->qkv_grad));
}

static void empty(struct matrix *m)
{
    memset(m->data, 0xff, ((m->rows - 1) * m->stride + m->width) * m->each);
}

static struct matrix copy_of(const struct matrix *m)
{
    struct matrix c = dense(m->rows, m->width, m->each, m->each);
    memcpy(c.data, m->data, m->rows * m->width * m->each);
    return c;
}

static void expect_forward(struct sizes z)
{
    struct attention a = attention_make(z);
    run_forward(&a, 0);
    forward(&a, true);
    struct matrix out = copy_of(&a.run_out), logsum = copy_of(&a.run_logsum);
    for (size_t i = 1; i < ORDERS; i++) {
        empty(&a.run_out);
        empty(&a.run_logsum);
        run_forward(&a, i);
        cr_assert(matrix_same(&out, &a.run_out), "the order %s gives other bits", orders[i]);
        cr_assert(matrix_same(&logsum, &a.run_logsum), "the order %s gives other bits", orders[i]);
    }
    matrix_free(&out);
    matrix_free(&logsum);
    attention_free(&a);
}

static void expect_backward(struct sizes z)
{
    struct attention a = attention_make(z);
    forward(&a, false);
    run_backward(&a, 0);
    expect_gradients(&a);
    struct matrix grad = copy_of(&a.qkv_grad);
    for (size_t i = 1; i < ORDERS; i++) {
        empty(&a.qkv_grad);
        run_backward(&a, i);
        cr_assert(matrix_same(&grad, &a.qkv_grad), "the order %s gives other bits", orders[i]);
    }
    matrix_free(&grad);
    attention_free(&a);
}

/* A tile is 64 rows. Sequences, heads and keys' heads differ, so that none stands in for
 * another. */
static void all_lengths(void (*expect)(struct sizes), size_t d)
{
    expect((struct sizes){1, 1, 1, 1, d, 4});
    expect((struct sizes){3, 17, 2, 1, d, 4});
    expect((struct sizes){1, 64, 2, 2, d, 4});
    expect((struct sizes){2, 65, 4, 2, d, 4});
    expect((struct sizes){1, 130, 3, 1, d, 4});
}

Test(attention, forward_is_right_at_any_length_with_heads_of_32)
{
    all_lengths(expect_forward, 32);
}
Test(attention, forward_is_right_at_any_length_with_heads_of_64)
{
    all_lengths(expect_forward, 64);
}
Test(attention, forward_is_right_at_any_length_with_heads_of_128)
{
    all_lengths(expect_forward, 128);
}
Test(attention, backward_is_right_at_any_length_with_heads_of_32)
{
    all_lengths(expect_backward, 32);
}
Test(attention, backward_is_right_at_any_length_with_heads_of_64)
{
    all_lengths(expect_backward, 64);
}
Test(attention, backward_is_right_at_any_length_with_heads_of_128)
{
    all_lengths(expect_backward, 128);
}

/* Scores of some hundreds: exp alone would be infinite. */
Test(attention, sharp_softmaxes_neither_overflow_nor_vanish)
{
    expect_forward((struct sizes){1, 130, 2, 1, 64, 1024});
    expect_backward((struct sizes){1, 130, 2, 1, 64, 1024});
}
