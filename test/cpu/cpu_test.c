/* cpu_test.c -- what is special about the CPU backend; that its ops are right,
 * test/model/ops_test.c shows. */
#include <criterion/criterion.h>
#include <immintrin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/rng.h"
#include "cpu/choose.h"
#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include "cpu/product.h"
#include "test/cpu/amx.h"
#include "test/folder.h"

/* All kernels that this machine runs. */
static const struct kernels *kernels_in_turn(size_t number)
{
    static const char *const names[] = {"AVX2", "AVX-512", "AVX-512 BF16", "AMX"};
    for (size_t i = 0; i < 8; i++) {
        const struct kernels *k = kernels_named(names[i / 2], i % 2);
        if (i == 4 || i == 6) continue; /* in fp32 the last two are those before */
        if (k && number-- == 0) return k;
    }
    return NULL;
}

Test(cpu, takes_the_fastest_kernels_and_has_none_of_an_unknown_name)
{
    for (int bf16 = 0; bf16 < 2; bf16++) {
        const struct kernels *best = kernels_named("AVX2", bf16);
        cr_assert_not_null(best);
        if (kernels_named("AVX-512", bf16)) best = kernels_named("AVX-512", bf16);
        if (kernels_named("AVX-512 BF16", bf16)) best = kernels_named("AVX-512 BF16", bf16);
        if (kernels_named("AMX", bf16)) best = kernels_named("AMX", bf16);
        cr_assert_eq(kernels_here(bf16), best);
        cr_assert_eq(best->bf16, bf16);
    }
    cr_assert_null(kernels_named("AVX3", false));
}

static uint16_t half_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)(bits >> 16);
}
static float float_of(const struct kernels *k, const void *x, size_t i)
{
    if (!k->bf16) return ((const float *)x)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)x)[i] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Activations of small integers, which are exact in bf16, and so is every order of adding up their
 * products in fp32. */
static void *integers(const struct kernels *k, size_t n, uint64_t seed)
{
    struct rng rng = rng_init(seed);
    void *x = malloc(n * 4);
    for (size_t i = 0; i < n; i++) {
        const float f = (float)rng_below(&rng, 17) - 8;
        if (k->bf16) ((uint16_t *)x)[i] = half_of(f);
        else ((float *)x)[i] = f;
    }
    return x;
}

struct shape {
    size_t m, n, k;
};

/* Its `a` is to be freed. */
static struct product_room room_for_products(void)
{
    struct product_room room = {.a = malloc(PRODUCT_ROOM * sizeof(uint32_t))};
    room.b = room.a + PRODUCT_WORDS;
    room.sums = (float *)(room.b + PRODUCT_WORDS);
    return room;
}

/* Each way in which operands may lie, with 1, 2 and 7 threads; what lies behind the result must
 * stay as it was. */
static void check_product(const struct kernels *k, struct shape s, const struct product_room *room)
{
    void *a = integers(k, s.m * s.k, 1), *b = integers(k, s.k * s.n, 2);
    float *wanted = malloc(s.m * s.n * sizeof(float));
    for (int way = 0; way < 4; way++) {
        const bool a_along = way & 1, b_along = way & 2;
        for (size_t i = 0; i < s.m; i++)
            for (size_t j = 0; j < s.n; j++) {
                float sum = 0;
                for (size_t l = 0; l < s.k; l++)
                    sum += float_of(k, a, a_along ? i * s.k + l : l * s.m + i) *
                           float_of(k, b, b_along ? j * s.k + l : l * s.n + j);
                wanted[i * s.n + j] = sum;
            }
        struct product p = {.a = a,
                            .b = b,
                            .a_along = a_along,
                            .b_along = b_along,
                            .a_stride = a_along ? s.k : s.m,
                            .b_stride = b_along ? s.k : s.n,
                            .m = s.m,
                            .n = s.n,
                            .k = s.k};
        static const size_t threads[] = {1, 2, 7};
        struct pool *pool;
        cr_assert_eq(pool_open(&pool, threads[way % 3], 0, NULL), ERR_OK);
        float *sums = malloc((s.m * s.n + 1) * sizeof(float));
        for (size_t i = 0; i <= s.m * s.n; i++) sums[i] = 5;
        p.sums = sums;
        for (int add = 0; add < 2; add++) {
            p.add = add;
            product_run(pool, k, room, &p);
            for (size_t i = 0; i < s.m * s.n; i++)
                cr_assert_eq(sums[i], wanted[i] * (float)(1 + add), "%s: %zu of %zu %zu %zu",
                             k->name, i, s.m, s.n, s.k);
        }
        cr_assert_eq(sums[s.m * s.n], 5);
        p.add = false;

        void *out = integers(k, s.m * s.n + 1, 3);
        const float behind = float_of(k, out, s.m * s.n);
        p.sums = NULL;
        p.out = out;
        product_run(pool, k, room, &p);
        for (size_t i = 0; i < s.m * s.n; i++) { /* rounded once: 2^-8 */
            const float found = float_of(k, out, i);
            if (k->bf16) cr_assert_leq(fabsf(found - wanted[i]), fabsf(wanted[i]) * 0x1p-8f);
            else cr_assert_eq(found, wanted[i]);
        }
        cr_assert_eq(float_of(k, out, s.m * s.n), behind);
        pool_close(pool);
        free(sums), free(out);
    }
    free(a), free(b), free(wanted);
}

/* Sizes about those of micro-kernel, strip, tile and block; 2600 is more steps than a block has, in
 * pairs too. */
Test(cpu, products_of_all_kernels_are_exact_on_integers)
{
    static const struct shape shapes[] = {
        {1, 1, 1},     {8, 48, 2},    {9, 49, 3},      {15, 17, 33},    {64, 64, 64},
        {65, 193, 31}, {70, 97, 129}, {17, 200, 2600}, {1100, 5, 1030}, {3, 1100, 1030}};
    struct product_room room = room_for_products();
    const struct kernels *k;
    for (size_t number = 0; (k = kernels_in_turn(number)); number++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            check_product(k, shapes[i], &room);
    free(room.a);
}

/* Fractions, of which every order of adding up gives other bits; odd ends, and more tiles than
 * threads want. */
Test(cpu, products_have_the_same_bits_with_any_number_of_threads)
{
    static const struct shape shapes[] = {{70, 410, 688}, {33, 1500, 96}, {256, 2056, 1100}};
    struct product_room room = room_for_products();
    const struct kernels *k;
    for (size_t number = 0; (k = kernels_in_turn(number)); number++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            const struct shape s = shapes[i];
            struct rng rng = rng_init(5);
            float *x = malloc((s.m + s.n) * s.k * sizeof(float)), *sums[2];
            void *a = malloc(s.m * s.k * 4), *b = malloc(s.n * s.k * 4);
            for (size_t j = 0; j < (s.m + s.n) * s.k; j++) x[j] = (float)rng_unit(&rng) - 0.5f;
            k->round(a, x, s.m * s.k);
            k->round(b, x + s.m * s.k, s.n * s.k);
            for (int many = 0; many < 2; many++) {
                struct pool *pool;
                cr_assert_eq(pool_open(&pool, many ? 7 : 1, 0, NULL), ERR_OK);
                sums[many] = malloc(s.m * s.n * sizeof(float));
                for (size_t j = 0; j < s.m * s.n; j++) sums[many][j] = x[j % s.k];
                product_run(pool, k, &room,
                            &(struct product){.a = a,
                                              .b = b,
                                              .a_stride = s.k,
                                              .b_stride = s.n,
                                              .a_along = true,
                                              .m = s.m,
                                              .n = s.n,
                                              .k = s.k,
                                              .sums = sums[many],
                                              .add = true});
                pool_close(pool);
            }
            cr_assert_arr_eq(sums[0], sums[1], s.m * s.n * sizeof(float), "%s: %zu", k->name, i);
            free(x), free(a), free(b), free(sums[0]), free(sums[1]);
        }
    free(room.a);
}

/* Where word `step` of row `r` lies in strips of so many steps (kernels.h). */
static size_t word_at(const struct kernels *k, bool left, size_t steps, size_t r, size_t step)
{
    const size_t lanes = k->lanes, strip = r / lanes * steps * lanes;
    return strip + (left && k->left
                        ? step / lanes * lanes * lanes + r % lanes * lanes + step % lanes
                        : step * lanes + r % lanes);
}

/* A strip has a step's numbers side by side, or a row's in squares, and zeros where there are
 * none. */
Test(cpu, packing_fills_up_with_zeros)
{
    enum { DEPTH = 69 }; /* two squares of tiles and some */
    const struct kernels *k;
    for (size_t number = 0; (k = kernels_in_turn(number)); number++) {
        const size_t lanes = k->lanes, rows = lanes + 3, step = k->numbers_of_step;
        const size_t steps = kernels_steps(k, DEPTH), words = 2 * steps * lanes;
        uint32_t *strips = aligned_alloc(64, words * sizeof *strips);
        void *x = integers(k, rows * DEPTH, 4);
        float *wide =
            malloc(rows * DEPTH * sizeof *wide); /* as fp32, a little off what it is rounded to */
        for (size_t i = 0; i < rows * DEPTH; i++)
            wide[i] = float_of(k, x, i) * (k->bf16 ? 1 + 0x1p-10f : 1);
        for (int way = 0; way < 8; way++) {
            const bool along = way & 1, floats = way & 2, left = way & 4;
            memset(strips, 0xff, words * sizeof *strips);
            k->pack(&(struct kernel_pack){strips, floats ? wide : x, along ? DEPTH : rows, along,
                                          floats, left, rows, DEPTH});
            for (size_t r = 0; r < 2 * lanes; r++)
                for (size_t i = 0; i < steps * step; i++) {
                    const uint32_t *word = strips + word_at(k, left, steps, r, i / step);
                    const float found = step == 2 ? float_of(k, word, i % 2) : *(const float *)word;
                    const float wanted = r < rows && i < DEPTH
                                             ? float_of(k, x, along ? r * DEPTH + i : i * rows + r)
                                             : 0;
                    cr_assert_eq(found, wanted, "%s: row %zu, %zu", k->name, r, i);
                }
        }
        free(strips), free(x), free(wide);
    }
}

/* Of any bits: subnormal numbers, infinities and what is not a number among them. */
static void any_bits(void *x, size_t bytes, struct rng *rng)
{
    for (size_t i = 0; i < bytes; i += 8) {
        const uint64_t word = rng_next(rng);
        memcpy((uint8_t *)x + i, &word, 8);
    }
}

/* Exponents near 0, so that sums round and do not overflow. */
static void moderate(uint32_t *words, size_t count, bool halves)
{
    for (size_t i = 0; i < count; i++)
        words[i] =
            halves ? (words[i] & 0x81ff81ff) | 0x3e003e00 : (words[i] & 0x81ffffff) | 0x3e000000;
}

/* Those in C (amx.h) stand for the processor's wherever it has none: the same bits, of any
 * operands. */
Test(cpu, tiles_in_c_give_the_bits_of_the_processor)
{
    static _Alignas(64) uint32_t a[256], b[256], sums[256], in_c[256];
    static _Alignas(64)
        uint8_t config[64] = {1, [16] = 64, [18] = 64, [20] = 64, [48] = 16, 16, 16};
    const struct kernels *k = kernels_named("AMX", true);
    if (!k) cr_skip_test("this processor lacks AMX");
    struct rng rng = rng_init(11);
    for (int round = 0; round < 400; round++) {
        any_bits(a, sizeof a, &rng);
        any_bits(b, sizeof b, &rng);
        any_bits(sums, sizeof sums, &rng);
        if (round % 4) {
            moderate(a, 256, true);
            moderate(b, 256, true);
            moderate(sums, 256, false);
        }
        amx_loadconfig(config);
        amx_load(0, sums, 64);
        amx_load(1, a, 64);
        amx_load(2, b, 64);
        amx_dpbf16ps(0, 1, 2);
        amx_store(0, in_c, 64);
        amx_release();
        kernels_enter(k);
        k->multiply(&(struct kernel_tile){.a = a,
                                          .b = b,
                                          .a_stride = 256,
                                          .b_stride = 256,
                                          .rows = 16,
                                          .columns = 16,
                                          .steps = 16,
                                          .sum = (float *)sums,
                                          .sum_stride = 16,
                                          .add = true});
        kernels_leave(k);
        for (size_t i = 0; i < 256; i++) {
            float x, y;
            memcpy(&x, &sums[i], sizeof x);
            memcpy(&y, &in_c[i], sizeof y);
            cr_assert(sums[i] == in_c[i] || (isnan(x) && isnan(y)),
                      "round %d, %zu: %08x, in C %08x", round, i, sums[i], in_c[i]);
        }
    }
}

/* Every pattern of the upper half with some of the lower ones: those that decide ties among
 * them. */
Test(cpu, rounds_to_the_nearest_bf16_with_ties_to_even)
{
    static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    const struct kernels *k;
    for (size_t number = 0; (k = kernels_in_turn(number)); number++)
        for (uint32_t high = 0; high < 1u << 16 && k->bf16; high++) {
            float x[6];
            uint16_t out[6];
            for (size_t i = 0; i < 6; i++) memcpy(&x[i], &(uint32_t){high << 16 | low[i]}, 4);
            k->round(out, x, 6);
            for (size_t i = 0; i < 6; i++) {
                const uint32_t up = low[i] > 0x8000 || (low[i] == 0x8000 && (high & 1));
                if (isnan(x[i])) cr_assert(isnan(float_of(k, out, i)), "%x", high);
                else cr_assert_eq(out[i], (uint16_t)(high + up), "%x %x", high, low[i]);
            }
        }
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
    cr_assert_eq(cpu_open(&b, pool, false, NULL), ERR_OK);
    b.prepare(b.self, &(struct op_sizes){.rows = 20, .dim = 1, .length = 1}, NULL);
    b.alloc(b.self, 80, (void **)&x, NULL);
    b.alloc(b.self, 4, (void **)&w, NULL);
    b.alloc(b.self, 80, (void **)&y, NULL);
    for (int i = 0; i < 20; i++) x[i] = tiny[i] = 1e-40f * (float)(i + 1);
    *w = 1;
    b.linear(b.self, &(struct op_linear){y, x, w, 20, 1, 1});
    cr_assert_eq(memcmp(y, tiny, sizeof tiny), 0);
    kernels_avx2.add_floats(y, x, 20);
    for (int i = 0; i < 20; i++) cr_assert_eq(y[i], 2 * tiny[i]);
    pool_run(pool, mode_piece, &modes, 4);
    for (int i = 0; i < 4; i++) cr_assert_eq(modes.found[i], 0);
    b.free(b.self, x, 80);
    b.free(b.self, w, 4);
    b.free(b.self, y, 80);
    cpu_close(&b);
    pool_close(pool);
}

/* exp as the kernels compute it, seen through swiglu with up = 1: silu(z) = z / (1 + exp(-z)). The
 * error of exp enters at most once, those of sum and quotient half a unit each: 4 units of 2^-24 in
 * all. */
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
    const struct kernels *k;
    for (size_t number = 0; (k = kernels_in_turn(number)); number++)
        if (!k->bf16) check_silu(k);
}

Test(cpu, refuses_more_memory_than_the_machine_has)
{
    struct pool *pool;
    struct backend b;
    struct why w;
    void *p = NULL;
    cr_assert_eq(pool_open(&pool, 1, 0, NULL), ERR_OK);
    cr_assert_eq(cpu_open(&b, pool, false, NULL), ERR_OK);
    cr_assert_eq(b.alloc(b.self, (size_t)1 << 50, &p, &w), ERR_MEMORY);
    cr_assert_not_null(strstr(w.text, "1073741824.0 MiB of memory are needed"), "%s", w.text);
    cpu_close(&b);
    pool_close(pool);
}

/* Choosing by measurement. */

Test(cpu, the_fastest_kernels_are_taken_and_of_even_ones_the_widest)
{
    const struct choice_time times[] = {
        {.seconds = 4}, {.seconds = 1}, {.seconds = 1.05}, {.seconds = 1.3}};
    cr_assert_eq(choose_fastest(times, 4), 2);
    cr_assert_eq(choose_fastest(times, 2), 1);
    cr_assert_eq(choose_fastest(times, 1), 0);
    const struct choice_time slow[] = {{.seconds = 1}, {.seconds = 2}};
    cr_assert_eq(choose_fastest(slow, 2), 0);
}

static struct choice chosen(struct choice_of of, size_t threads, const char *cache, size_t dim)
{
    struct pool *pool;
    struct choice c;
    struct why w;
    const struct op_sizes sizes = {.rows = 64,
                                   .dim = dim,
                                   .heads = 4,
                                   .kv_heads = 2,
                                   .head_dim = dim / 4,
                                   .ffn = 96,
                                   .length = 64};
    cr_assert_eq(pool_open(&pool, threads, 0, &w), ERR_OK);
    cr_assert_eq(choose_kernels(pool, &of, &sizes, cache, &c, &w), ERR_OK, "%s", w.text);
    pool_close(pool);
    return c;
}

static struct choice chosen_of(size_t threads, const char *cache, bool bf16, size_t dim)
{
    return chosen((struct choice_of){.fp32 = !bf16, .bf16 = bf16}, threads, cache, dim);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs(text, f) >= 0 && !fclose(f));
}

/* One that is damaged, or names what is not here, is not believed. */
Test(cpu, what_was_chosen_is_kept_and_taken_again, .init = folder_make, .fini = folder_drop)
{
    char cache[300], text[400];
    snprintf(cache, sizeof cache, "%s/a/b/kernels", folder);
    struct choice c = chosen_of(1, cache, true, 64);
    if (c.count == 1) cr_skip_test("this processor has one set of kernels only");
    cr_assert(c.measured && kernels_named(c.name, true));
    cr_assert_not_null(strstr(c.text, c.name));
    for (size_t i = 0; i < c.count; i++) cr_assert(c.times[i].seconds > 0, "%s", c.times[i].name);
    for (int again = 0; again < 2; again++) {
        const struct choice kept = chosen_of(1, cache, true, 64);
        cr_assert(!kept.measured);
        cr_assert_str_eq(kept.name, c.name);
    }
    cr_assert(chosen_of(1, cache, true, 128).measured, "another shape");
    cr_assert(chosen_of(2, cache, true, 64).measured, "other threads");
    cr_assert(!chosen_of(1, cache, true, 64).measured, "others do not displace it");

    FILE *f = fopen(cache, "r");
    cr_assert(f && fgets(text, sizeof text, f) && !fclose(f));
    *strchr(text, ' ') = 0;
    const char *const other = c.times[strcmp(c.name, c.times[0].name) ? 0 : 1].name;
    char lines[500];
    snprintf(lines, sizeof lines, "nonsense\n%s %s\n", text, other);
    write_text(cache, lines);
    cr_assert_str_eq(chosen_of(1, cache, true, 64).name, other);
    snprintf(lines, sizeof lines, "%s AVX-1024\n%s\n", text, text);
    write_text(cache, lines);
    cr_assert(chosen_of(1, cache, true, 64).measured);
    cr_assert(chosen_of(1, "/dev/null/kernels", true, 64).measured, "no place to keep it");
}

Test(cpu, the_precision_is_chosen_where_either_will_do, .init = folder_make, .fini = folder_drop)
{
    char cache[300], other[300];
    snprintf(cache, sizeof cache, "%s/kernels", folder);
    snprintf(other, sizeof other, "%s/named", folder); /* where there is one set, it is either's */
    const struct choice_of either = {.fp32 = true, .bf16 = true},
                           one = {.fp32 = true, .bf16 = true, .kernels = "AVX2"};
    const struct choice c = chosen(either, 1, cache, 64), again = chosen(either, 1, cache, 64);
    cr_assert(c.measured && kernels_named(c.name, c.bf16));
    size_t bf16 = 0;
    for (size_t i = 0; i < c.count; i++) {
        cr_assert(c.times[i].seconds > 0);
        bf16 += c.times[i].bf16;
    }
    cr_assert(bf16 > 0 && bf16 < c.count, "both were measured");
    cr_assert_not_null(strstr(c.text, "measured: bf16 AVX2 "), "%s", c.text);
    cr_assert_not_null(strstr(c.text, ", fp32 AVX2 "), "%s", c.text);
    cr_assert(!again.measured && again.bf16 == c.bf16, "and kept");
    cr_assert_str_eq(again.name, c.name);
    const struct choice named = chosen(one, 1, other, 64);
    cr_assert(named.measured && named.count == 2, "of the set that was named");
    cr_assert_str_eq(named.name, "AVX2");
}
