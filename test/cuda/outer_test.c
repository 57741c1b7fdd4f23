/* outer_test.c -- the outer step on the GPU has the bits of exact arithmetic, as the CPU's has: the
 * tests of test/outer/outer_test.c once more, on cu/outer.cu; and the whole vector against
 * c/outer/outer.c. */
#include <stdbool.h>
#include <stdint.h>

#include "golden.h"

#include "cu/outer.h"
#include "outer/outer.h"

static bool gpu_quantize_delta(const float *anchor, const float *parameters, size_t n,
                               uint8_t *wire);
static void gpu_accumulate(float *acc, const uint8_t *wire, size_t n, float weight);
static bool gpu_quantize_mean(const float *acc, size_t n, float weight_sum, uint8_t *wire);
static void gpu_step(const struct outer_rule *rule, const float *anchor_in,
                     const float *momentum_in, const uint8_t *mean, size_t n, float *anchor_out,
                     float *momentum_out);

#define outer_quantize_delta gpu_quantize_delta
#define outer_accumulate     gpu_accumulate
#define outer_quantize_mean  gpu_quantize_mean
#define outer_step           gpu_step
#include "../outer/outer_test.c"
#undef outer_quantize_delta
#undef outer_accumulate
#undef outer_quantize_mean
#undef outer_step

/* Device memory with a copy of `from`, or with nothing in it. */
static void *on_gpu(const struct backend *b, const void *from, size_t bytes)
{
    void *p;
    cr_assert_eq(b->alloc(b->self, bytes, &p, NULL), ERR_OK);
    if (from) b->upload(b->self, p, from, bytes);
    return p;
}

static void back(const struct backend *b, void *to, void *from, size_t bytes)
{
    if (to) cr_assert_eq(b->download(b->self, to, from, bytes, NULL), ERR_OK);
    b->free(b->self, from, bytes);
}

static bool gpu_quantize_delta(const float *anchor, const float *parameters, size_t n,
                               uint8_t *wire)
{
    struct device d = device_make(1);
    const struct backend *b = &d.b;
    uint32_t bad = 0;
    float *a = on_gpu(b, anchor, n * 4), *p = on_gpu(b, parameters, n * 4);
    uint8_t *out = on_gpu(b, NULL, outer_wire_bytes(n));
    uint32_t *flag = on_gpu(b, &bad, 4);
    cuda_outer_quantize_delta(b->self, a, p, n, out, flag);
    back(b, NULL, a, n * 4), back(b, NULL, p, n * 4), back(b, wire, out, outer_wire_bytes(n));
    back(b, &bad, flag, 4);
    device_drop(&d);
    return !bad;
}

static void gpu_accumulate(float *acc, const uint8_t *wire, size_t n, float weight)
{
    struct device d = device_make(1);
    const struct backend *b = &d.b;
    float *sum = on_gpu(b, acc, n * 4);
    uint8_t *in = on_gpu(b, wire, outer_wire_bytes(n));
    cuda_outer_accumulate(b->self, sum, in, n, weight);
    back(b, acc, sum, n * 4), back(b, NULL, in, outer_wire_bytes(n));
    device_drop(&d);
}

static bool gpu_quantize_mean(const float *acc, size_t n, float weight_sum, uint8_t *wire)
{
    struct device d = device_make(1);
    const struct backend *b = &d.b;
    uint32_t bad = 0;
    float *sum = on_gpu(b, acc, n * 4);
    uint8_t *out = on_gpu(b, NULL, outer_wire_bytes(n));
    uint32_t *flag = on_gpu(b, &bad, 4);
    cuda_outer_quantize_mean(b->self, sum, n, weight_sum, out, flag);
    back(b, NULL, sum, n * 4), back(b, wire, out, outer_wire_bytes(n)), back(b, &bad, flag, 4);
    device_drop(&d);
    return !bad;
}

static void gpu_step(const struct outer_rule *rule, const float *anchor_in,
                     const float *momentum_in, const uint8_t *mean, size_t n, float *anchor_out,
                     float *momentum_out)
{
    struct device d = device_make(1);
    const struct backend *b = &d.b;
    float *a = on_gpu(b, anchor_in, n * 4), *m = on_gpu(b, momentum_in, n * 4);
    uint8_t *in = on_gpu(b, mean, outer_wire_bytes(n));
    cuda_outer_step_range(b->self, rule, a, m, in, n, NULL, true);
    back(b, anchor_out, a, n * 4), back(b, momentum_out, m, n * 4);
    back(b, NULL, in, outer_wire_bytes(n));
    device_drop(&d);
}

/* Nine chunks, thrice what is on its way at once, the last one short and no whole number of blocks:
 * some ours, some not, some null. */
static void compare_whole_vectors(bool pinned)
{
    enum { N = 8 * 4096 + 1111, CHUNKS = 9 };
    const struct outer_layout l = outer_layout_of(N);
    const struct outer_rule rule = RULE(true);
    const uint8_t null[CHUNKS] = {0, 0, 1, 0, 0, 0, 1, 0, 0},
                  mine[CHUNKS] = {1, 0, 0, 1, 1, 1, 0, 1, 0};
    static struct {
        float a[N], m[N], a_out[N], m_out[N];
        uint8_t wire[2 * N];
    } host;
    static float theta[N], a_wanted[N], m_wanted[N], found[N];
    static uint8_t wanted[2 * N];
    cr_assert_eq(l.chunks, CHUNKS);
    for (size_t i = 0; i < N; i++) {
        host.a[i] = (float)rng_at(1, i) * 0x1p-64f - 0.5f;
        host.m[i] = (float)rng_at(2, i) * 0x1p-68f;
        host.a_out[i] = host.m_out[i] = NAN;
        theta[i] = host.a[i] + ((float)rng_at(3, i) * 0x1p-64f - 0.5f) * 0.01f;
    }
    struct device d = device_make(1);
    const struct backend *b = &d.b;
    if (pinned) b->pin(b->self, &host, sizeof host);
    float *parameters = on_gpu(b, theta, sizeof theta);
    bool finite;
    cr_assert_eq(b->outer_quantize(b->self,
                                   &(struct op_outer_quantize){&l, host.wire, host.a, parameters},
                                   &finite, NULL),
                 ERR_OK);
    cr_assert(finite);
    for (uint32_t c = 0; c < CHUNKS; c++) {
        const size_t at = c * (size_t)l.chunk_elements, n = outer_chunk_count(&l, c);
        outer_quantize_delta(host.a + at, theta + at, n, wanted + outer_wire_offset(&l, c));
        memcpy(a_wanted + at, host.a + at, n * 4), memcpy(m_wanted + at, host.m + at, n * 4);
        if (!null[c])
            outer_step(&rule, host.a + at, host.m + at, wanted + outer_wire_offset(&l, c), n,
                       a_wanted + at, m_wanted + at);
    }
    cr_assert_eq(memcmp(host.wire, wanted,
                        outer_wire_offset(&l, CHUNKS - 1) +
                            outer_wire_bytes(outer_chunk_count(&l, CHUNKS - 1))),
                 0);
    cr_assert_eq(b->outer_step(b->self,
                               &(struct op_outer_step){.layout = &l,
                                                       .rule = &rule,
                                                       .anchor = host.a,
                                                       .momentum = host.m,
                                                       .anchor_out = host.a_out,
                                                       .momentum_out = host.m_out,
                                                       .means = host.wire,
                                                       .null = null,
                                                       .mine = mine,
                                                       .parameters = parameters},
                               NULL),
                 ERR_OK);
    assert_bits(host.a_out, a_wanted, N, "anchor");
    assert_bits(host.m_out, m_wanted, N, "momentum");
    back(b, found, parameters, sizeof found);
    for (size_t i = 0; i < N; i++) {
        const uint32_t c = (uint32_t)(i / l.chunk_elements);
        const float kept = null[c] ? theta[i] : a_wanted[i] + (theta[i] - host.a[i]);
        assert_bits(&found[i], mine[c] ? &a_wanted[i] : &kept, 1, "parameters");
    }
    device_drop(&d);
}

Test(outer, a_whole_vector_has_the_bits_of_the_cpu) { compare_whole_vectors(false); }

Test(outer, chunks_on_their_way_at_the_same_time_do_not_disturb_each_other)
{
    static const char *const streams[] = {"now", "behind", "ahead"};
    for (size_t i = 0; i < 3; i++) {
        setenv("FIBER_STREAMS", streams[i], 1);
        compare_whole_vectors(true);
    }
}

Test(outer, a_vector_that_is_not_finite_is_not_sent)
{
    enum { N = 5000 };
    const struct outer_layout l = outer_layout_of(N);
    static float a[N], theta[N];
    static uint8_t wire[2 * N];
    theta[4999] = NAN;
    struct device d = device_make(1);
    float *parameters = on_gpu(&d.b, theta, sizeof theta);
    bool finite = true;
    cr_assert_eq(d.b.outer_quantize(d.b.self, &(struct op_outer_quantize){&l, wire, a, parameters},
                                    &finite, NULL),
                 ERR_OK);
    cr_assert_not(finite);
    back(&d.b, NULL, parameters, sizeof theta);
    device_drop(&d);
}
