/* cpu_test.c -- what is special about the CPU backend; that its ops are right, test/model/ops_test.c shows. */
#include <criterion/criterion.h>
#include <immintrin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/rng.h"
#include "cpu/blas.h"
#include "cpu/cpu.h"
#include "cpu/kernels.h"

Test(cpu, asks_openblas_for_the_widest_core_that_the_machine_runs)
{
    cr_assert_str_eq(blas_core_wanted("Haswell", true, true), "SkylakeX"); /* Zen 5 in 0.3.21 */
    cr_assert_str_eq(blas_core_wanted("Zen", true, true), "SkylakeX");
    cr_assert_str_eq(blas_core_wanted("Prescott", true, true), "SkylakeX");
    cr_assert_str_eq(blas_core_wanted("Prescott", false, true), "Haswell");
    cr_assert_str_eq(blas_core_wanted("Core2", false, true), "Haswell");
    cr_assert_null(blas_core_wanted("SkylakeX", true, true));
    cr_assert_null(blas_core_wanted("Cooperlake", true, true));
    cr_assert_null(blas_core_wanted("Zen", false, true));
    cr_assert_null(blas_core_wanted("Haswell", false, true));
    cr_assert_null(blas_core_wanted("Prescott", false, false));
}

/* Starts as OpenBLAS would on a machine it does not know, in a process of its own (Criterion forks for each test). */
Test(cpu, corrects_a_core_that_is_too_small)
{
    void gotoblas_dynamic_quit(void);
    void gotoblas_dynamic_init(void);
    setenv("OPENBLAS_CORETYPE", "Prescott", 1);
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv("OPENBLAS_CORETYPE");
    cr_assert_str_eq(blas_core(), "Prescott");
    blas_setup();
    cr_assert_str_eq(blas_core(), kernels_avx512_here() ? "SkylakeX" : "Haswell");
    cr_assert_null(getenv("OPENBLAS_CORETYPE"));
}

Test(cpu, leaves_a_core_that_the_user_has_set)
{
    void gotoblas_dynamic_quit(void);
    void gotoblas_dynamic_init(void);
    setenv("OPENBLAS_CORETYPE", "Prescott", 1);
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    blas_setup();
    cr_assert_str_eq(blas_core(), "Prescott");
}

struct product {
    const float *a, *b;
    float *c;
    size_t n;
};

static void product_piece(void *ctx, size_t index, size_t thread)
{
    const struct product *p = ctx;
    (void)thread;
    blas_product(&(struct blas_product){.m = p->n,
                                        .n = p->n,
                                        .k = p->n,
                                        .alpha = 1,
                                        .a = p->a,
                                        .lda = p->n,
                                        .b = p->b,
                                        .ldb = p->n,
                                        .c = p->c + index * p->n * p->n,
                                        .ldc = p->n});
}

/* OpenBLAS's serial build gives wrong products here. */
Test(cpu, products_are_right_when_eight_threads_ask_at_once)
{
    enum { N = 96, COPIES = 200 };
    struct pool *pool;
    float *a = malloc(N * N * 4), *b = malloc(N * N * 4),
          *c = malloc(sizeof(float) * N * N * COPIES);
    struct rng rng = rng_init(1);
    blas_setup();
    for (size_t i = 0; i < N * N; i++) {
        a[i] = (float)rng_below(&rng, 17) - 8; /* integers: every order of summing is exact */
        b[i] = (float)rng_below(&rng, 17) - 8;
    }
    cr_assert_eq(pool_open(&pool, 8, 0, NULL), ERR_OK);
    pool_run(pool, product_piece, &(struct product){a, b, c, N}, COPIES);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            float sum = 0;
            for (size_t k = 0; k < N; k++) sum += a[i * N + k] * b[k * N + j];
            for (size_t copy = 0; copy < COPIES; copy++)
                cr_assert_eq(c[copy * N * N + i * N + j], sum, "copy %zu", copy);
        }
    pool_close(pool);
    free(a), free(b), free(c);
}

struct modes {
    unsigned found[4];
};
static void mode_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    ((struct modes *)ctx)->found[index] =
        _mm_getcsr() & 0x8040; /* flush to zero, denormals are zero */
}

Test(cpu, keeps_subnormal_numbers)
{
    struct pool *pool;
    struct backend b;
    struct modes modes;
    float tiny[20], *x, *w, *y;
    cr_assert_eq(pool_open(&pool, 2, 0, NULL), ERR_OK);
    cr_assert_eq(cpu_open(&b, pool, NULL), ERR_OK);
    b.take(b.self, 80, (void **)&x, NULL);
    b.take(b.self, 4, (void **)&w, NULL);
    b.take(b.self, 80, (void **)&y, NULL);
    for (int i = 0; i < 20; i++) x[i] = tiny[i] = 1e-40f * (float)(i + 1);
    *w = 1;
    b.linear(b.self, &(struct op_linear){y, x, w, 20, 1, 1});
    cr_assert_eq(memcmp(y, tiny, sizeof tiny), 0);
    kernels_avx2.add(y, x, 20);
    for (int i = 0; i < 20; i++) cr_assert_eq(y[i], 2 * tiny[i]);
    pool_run(pool, mode_piece, &modes, 4);
    for (int i = 0; i < 4; i++) cr_assert_eq(modes.found[i], 0);
    b.give(b.self, x, 80);
    b.give(b.self, w, 4);
    b.give(b.self, y, 80);
    cpu_close(&b);
    pool_close(pool);
}

/* exp as the kernels compute it, seen through swiglu with up = 1: silu(z) = z / (1 + exp(-z)). The error of exp enters at
 * most once, those of sum and quotient half a unit each: 4 units of 2^-24 in all. */
static void check_silu(const struct kernels *k)
{
    enum { N = 4096 };
    float *gate_up = malloc(2 * N * sizeof(float)), *out = malloc(N * sizeof(float));
    double worst = 0;
    for (int part = 0; part < 44; part++) {
        for (size_t i = 0; i < N; i++) {
            gate_up[i] = (float)(-88 + 4 * (part + (double)i / N));
            gate_up[N + i] = 1;
        }
        k->swiglu(&(struct op_swiglu){out, gate_up, 1, N}, 0, 1);
        for (size_t i = 0; i < N; i++) {
            const double z = gate_up[i], right = z / (1 + exp(-z));
            if (fabs(right) > 1e-36) worst = fmax(worst, fabs(out[i] / right - 1));
        }
    }
    cr_assert_leq(worst, 4 * 0x1p-24, "%s is off by %g", k->name, worst);
    free(gate_up), free(out);
}

Test(cpu, exp_is_good_to_the_last_bits_over_its_range)
{
    check_silu(&kernels_avx2);
    if (kernels_avx512_here()) check_silu(&kernels_avx512);
}

Test(cpu, refuses_more_memory_than_the_machine_has)
{
    struct pool *pool;
    struct backend b;
    struct why w;
    void *p = NULL;
    cr_assert_eq(pool_open(&pool, 1, 0, NULL), ERR_OK);
    cr_assert_eq(cpu_open(&b, pool, NULL), ERR_OK);
    cr_assert_eq(b.take(b.self, (size_t)1 << 50, &p, &w), ERR_MEMORY);
    cr_assert_not_null(strstr(w.text, "1073741824.0 MiB of memory are needed"), "%s", w.text);
    cpu_close(&b);
    pool_close(pool);
}
