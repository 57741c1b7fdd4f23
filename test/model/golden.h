/* golden.h -- reads what test/golden/model.py wrote, and says how far two vectors are apart. */
#ifndef SHOAL_TEST_MODEL_GOLDEN_H
#define SHOAL_TEST_MODEL_GOLDEN_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/rng.h"
#include "cpu/cpu.h"

struct golden {
    uint8_t *data;
    size_t bytes;
};

static inline struct golden golden_open(const char *name)
{
    struct golden g = {0};
    struct why w;
    char path[200];
    snprintf(path, sizeof path, "test/golden/%s", name);
    cr_assert_eq(file_read(path, 1 << 20, &g.data, &g.bytes, &w), ERR_OK, "%s", w.text);
    return g;
}
static inline void golden_close(struct golden *g) { free(g->data); }

/* The values of a tensor, copied (the caller frees); fails the test when there is none of this kind
 * and name. */
static inline void *golden_find(const struct golden *g, int kind, size_t *count, const char *name)
{
    struct reader r = reader_init(bytes_of(g->data, g->bytes));
    while (reader_left(&r)) {
        struct bytes label = reader_bytes(&r, reader_u32(&r));
        int is = reader_u8(&r);
        uint32_t n = reader_u32(&r);
        struct bytes values = reader_bytes(&r, (size_t)n * 4);
        cr_assert(!r.bad);
        if (is != kind || label.count != strlen(name) || memcmp(label.data, name, label.count))
            continue;
        *count = n;
        void *copy = malloc(values.count + 4);
        memcpy(copy, values.data, values.count);
        return copy;
    }
    cr_assert(false, "the golden file has no %s", name);
    return NULL;
}
static inline float *golden_floats(const struct golden *g, size_t *count, const char *name)
{
    return golden_find(g, 0, count, name);
}
static inline uint32_t *golden_integers(const struct golden *g, size_t *count, const char *name)
{
    return golden_find(g, 1, count, name);
}
/* The largest |a - b| over the largest |b|: the error on the scale of the result. Infinite for a
 * number that is none. */
static inline double golden_error(const float *a, const float *b, size_t n)
{
    double worst = 0, scale = 1e-30;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= 1e300)) return INFINITY;
        worst = fmax(worst, d);
        scale = fmax(scale, fabs((double)b[i]));
    }
    return worst / scale;
}

/* What computes here: a backend, and its activations. A test that matters to each runs on each. */
struct device {
    struct pool *pool;
    struct backend b;
};

/* A test that wants bf16 says so: each runs in a process of its own. */
static bool device_bf16;

/* The CPU, as a user gets it. */
static inline struct device device_open_cpu(size_t threads)
{
    struct device d;
    struct why w;
    cr_assert_eq(pool_open(&d.pool, threads, 0, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(cpu_open(&d.b, d.pool, false, &w), ERR_OK, "%s", w.text);
    return d;
}

#ifdef SHOAL_CUDA /* the program that tests cu/, on a GPU or on fibers (test/cuda/fiber.h) */
#include "cu/cuda.h"

/* As device_bf16. */
static const char *device_cublaslt;

static inline bool device_open_number(struct device *d, size_t number, size_t threads)
{
    struct why w;
    if (number > 0) return false;
    if (cuda_devices() == 0) cr_skip("no GPU");
    cr_assert_eq(pool_open(&d->pool, threads, 0, &w), ERR_OK, "%s", w.text);
    const struct cuda_options o = {.bf16 = device_bf16, .cublaslt = device_cublaslt};
    cr_assert_eq(cuda_open(&d->b, &o, &w), ERR_OK, "%s", w.text);
    return true;
}
static inline bool device_next(void) { return false; }
static inline struct device device_make(size_t threads)
{
    struct device d;
    cr_assert(device_open_number(&d, 0, threads));
    return d;
}
static inline void device_drop(struct device *d)
{
    (d->b.host ? cpu_close : cuda_close)(&d->b);
    pool_close(d->pool);
}
#else
/* The kernels of c/cpu/, those of this machine first to last: fp32, then bf16. */
static const struct {
    const char *kernels;
    bool bf16;
} device_kinds[] = {{"AVX2", false},   {"AVX-512", false},     {"AVX2", true},
                    {"AVX-512", true}, {"AVX-512 BF16", true}, {"AMX", true}};
#define DEVICE_KINDS (sizeof device_kinds / sizeof device_kinds[0])

static inline bool device_open_kind(struct device *d, size_t kind, size_t threads)
{
    struct why w;
    cr_assert_eq(pool_open(&d->pool, threads, 0, &w), ERR_OK, "%s", w.text);
    if (cpu_open_as(&d->b, d->pool, device_kinds[kind].kernels, device_kinds[kind].bf16, &w) ==
        ERR_OK)
        return true;
    cr_assert(strcmp(device_kinds[kind].kernels, "AVX2"), "%s", w.text);
    pool_close(d->pool);
    return false;
}
/* Number 0, 1, ... of those that are here; false when there are no more. */
static inline bool device_open_number(struct device *d, size_t number, size_t threads)
{
    for (size_t kind = 0; kind < DEVICE_KINDS; kind++)
        if (device_open_kind(d, kind, threads)) {
            if (number-- == 0) return true;
            cpu_close(&d->b);
            pool_close(d->pool);
        }
    return false;
}

/* Whose turn it is, of those with device_bf16's activations; and the next one's turn, false after
 * the last. */
static size_t device_turn;
static inline bool device_has_turn(void)
{
    struct device d;
    if (device_kinds[device_turn].bf16 != device_bf16 || !device_open_kind(&d, device_turn, 1))
        return false;
    cpu_close(&d.b);
    pool_close(d.pool);
    return true;
}
static inline bool device_next(void)
{
    while (++device_turn < DEVICE_KINDS)
        if (device_has_turn()) return true;
    device_turn = 0;
    return false;
}
static inline struct device device_make(size_t threads)
{
    struct device d;
    cr_assert(device_has_turn() || device_next());
    cr_assert(device_open_kind(&d, device_turn, threads));
    return d;
}
static inline void device_drop(struct device *d)
{
    cpu_close(&d->b);
    pool_close(d->pool);
}
#endif

/* A test that runs once for each of them, in turn; its body opens devices with device_make. */
#define TEST_EACH(suite, name)                                                                     \
    static void suite##_##name(void);                                                              \
    Test(suite, name)                                                                              \
    {                                                                                              \
        do suite##_##name();                                                                       \
        while (device_next());                                                                     \
    }                                                                                              \
    static void suite##_##name(void)

/* AdamW's hyperparameters as the tests have them, with the bias corrections of that step, from 1.
 * Vectors and counts are left to the caller. */
static inline struct op_adamw adamw_of_step(int step, float lr, float gradient_scale)
{
    return (struct op_adamw){.lr = lr,
                             .beta1 = 0.9f,
                             .beta2 = 0.95f,
                             .eps = 1e-8f,
                             .decay = 0.1f,
                             .gradient_scale = gradient_scale,
                             .correction1 = (float)(1 - pow(0.9, step)),
                             .correction2 = (float)(1 - pow(0.95, step))};
}

#endif
