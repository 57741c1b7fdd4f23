#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "outer/mean.h"

#define N      1000 /* the last block is short */
#define GIVERS 8

static float vectors[GIVERS][N], total[N], center[N], moved[N];
static uint8_t wires[GIVERS][4 * 4 + N], mean[4 * 4 + N];
static struct outer_given given[GIVERS];
static const struct outer_mean_room room = {total, center, moved};
static struct rng dice;

static float noise(void) { return (float)(rng_unit(&dice) - 0.5); }

/* All have learned the same, by `same`, and something of their own. */
static void learn(float same, float own)
{
    dice = rng_init(7);
    float common[N];
    for (int i = 0; i < N; i++) common[i] = same * noise();
    for (int k = 0; k < GIVERS; k++)
        for (int i = 0; i < N; i++) vectors[k][i] = common[i] + own * noise();
}

static void give(int k, uint64_t weight)
{
    static const float zeros[N];
    float minus[N]; /* anchor - parameters */
    for (int i = 0; i < N; i++) minus[i] = -vectors[k][i];
    cr_assert(outer_quantize_delta(zeros, minus, N, wires[k]));
    given[k] = (struct outer_given){wires[k], weight};
}

static void dequantize(const uint8_t *wire, double *to)
{
    for (int i = 0; i < N; i++) {
        float s;
        memcpy(&s, wire + 4 * (i / OUTER_BLOCK), 4);
        to[i] = (double)s * (double)(int8_t)wire[16 + i];
    }
}

static double norm_of(const double *x)
{
    double sum = 0;
    for (int i = 0; i < N; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

/* How far the mean is from this, in steps of the mean's own quantization. */
static double error_of(const double *wanted)
{
    double got[N], worst = 0, most = 0;
    dequantize(mean, got);
    for (int i = 0; i < N; i++) most = fmax(most, fabs(wanted[i]));
    for (int i = 0; i < N; i++) worst = fmax(worst, fabs(got[i] - wanted[i]));
    return worst / (most / 127);
}

static void mean_by(const double *counts, double *out)
{
    double all = 0, x[N];
    memset(out, 0, N * sizeof *out);
    for (int k = 0; k < GIVERS; k++) {
        dequantize(wires[k], x);
        for (int i = 0; i < N; i++) out[i] += counts[k] * x[i];
        all += (double)given[k].weight;
    }
    for (int i = 0; i < N; i++) out[i] /= all;
}

Test(mean, the_norm_is_that_of_the_numbers)
{
    double x[N];
    learn(1, 1);
    give(0, 1);
    dequantize(wires[0], x);
    cr_assert_float_eq(outer_wire_norm(wires[0], N), norm_of(x), 1e-9 * norm_of(x));
}

/* Steps in one direction, or as of a random walk: fast workers have moved further. */
Test(mean, speeds_of_one_to_ten_clip_nothing)
{
    for (int walk = 0; walk < 2; walk++) {
        uint32_t clipped;
        double counts[GIVERS], wanted[N];
        learn(1, 0.5f);
        for (int k = 0; k < GIVERS; k++) {
            double speed = 1 + 9.0 * k / (GIVERS - 1);
            for (int i = 0; i < N; i++) vectors[k][i] *= (float)(walk ? sqrt(speed) : speed);
            give(k, (uint64_t)(1000 * speed));
            counts[k] = (double)given[k].weight;
        }
        cr_assert(outer_mean(given, GIVERS, N, false, &room, mean, &clipped));
        cr_assert_eq(clipped, 0);
        mean_by(counts, wanted);
        cr_assert_leq(error_of(wanted), 0.51);
    }
}

Test(mean, a_contribution_that_is_too_large_counts_with_four_medians)
{
    uint32_t clipped;
    double counts[GIVERS], wanted[N], norms[GIVERS], sorted[GIVERS];
    learn(1, 0.5f);
    for (int k = 0; k < GIVERS; k++) {
        for (int i = 0; i < N; i++) vectors[k][i] *= k == 5 ? -100.0f : 1.0f;
        give(k, 1000);
        norms[k] = sorted[k] = outer_wire_norm(wires[k], N);
        counts[k] = 1000;
    }
    for (int a = 0; a < GIVERS; a++)
        for (int b = a + 1; b < GIVERS; b++)
            if (sorted[b] < sorted[a]) {
                double t = sorted[a];
                sorted[a] = sorted[b];
                sorted[b] = t;
            }
    counts[5] = 1000 * 4 * sorted[(GIVERS - 1) / 2] / norms[5];
    cr_assert(outer_mean(given, GIVERS, N, false, &room, mean, &clipped));
    cr_assert_eq(clipped, 1u << 5);
    mean_by(counts, wanted);
    cr_assert_leq(error_of(wanted), 0.52);
}

Test(mean, of_three_none_is_clipped_nor_for_those_who_have_nothing)
{
    uint32_t clipped;
    learn(1, 0.5f);
    for (int k = 0; k < GIVERS; k++) {
        for (int i = 0; i < N; i++) vectors[k][i] *= k == 0 ? 100.0f : k > 2 ? 0.0f : 1.0f;
        give(k, 1000);
    }
    cr_assert(outer_mean(given, 3, N, true, &room, mean, &clipped));
    cr_assert_eq(clipped, 0);
    cr_assert(outer_mean(given, GIVERS, N, false, &room, mean, &clipped));
    cr_assert_eq(clipped, 0, "five have learned nothing here, and three is no majority");
}

Test(mean, the_largest_numbers_there_are_are_clipped_too)
{
    uint32_t clipped;
    learn(1, 0.5f);
    for (int k = 0; k < GIVERS; k++) give(k, 1000);
    const float most = 2e36f; /* times 127 is finite */
    for (int b = 0; b < 4; b++) memcpy(wires[3] + 4 * b, &most, 4);
    for (int robust = 0; robust < 2; robust++) {
        cr_assert(outer_mean(given, GIVERS, N, robust, &room, mean, &clipped));
        cr_assert_eq(clipped, 1u << 3);
    }
}

/* CenteredClip as its paper has it, in binary64. */
static void center_by(double *v)
{
    for (int turn = 0; turn < 3; turn++) {
        double far[GIVERS], sorted[GIVERS], x[GIVERS][N], next[N], all = 0;
        memcpy(next, v, sizeof next);
        for (int k = 0; k < GIVERS; k++) {
            dequantize(wires[k], x[k]);
            for (int i = 0; i < N; i++) x[k][i] -= v[i];
            far[k] = norm_of(x[k]);
            int at = k;
            for (; at > 0 && sorted[at - 1] > far[k]; at--) sorted[at] = sorted[at - 1];
            sorted[at] = far[k];
            all += (double)given[k].weight;
        }
        for (int k = 0; k < GIVERS; k++) {
            double by = (double)given[k].weight / all * fmin(1, sorted[(GIVERS - 1) / 2] / far[k]);
            for (int i = 0; i < N; i++) next[i] += by * x[k][i];
        }
        memcpy(v, next, sizeof next);
    }
}

Test(mean, a_robust_mean_is_centered_clips)
{
    uint32_t clipped;
    double counts[GIVERS], wanted[N];
    learn(1, 0.7f);
    for (int k = 0; k < GIVERS; k++) {
        for (int i = 0; i < N; i++)
            vectors[k][i] *= k == 2 ? -3.0f : 1.0f; /* less than clipping sees */
        give(k, 500 + 100 * (uint64_t)k);
        counts[k] = (double)given[k].weight;
    }
    cr_assert(outer_mean(given, GIVERS, N, true, &room, mean, &clipped));
    cr_assert_eq(clipped, 0);
    mean_by(counts, wanted);
    center_by(wanted);
    cr_assert_leq(error_of(wanted), 0.52);
}

Test(mean, a_robust_mean_counts_no_weight_above_four_medians)
{
    uint32_t clipped;
    uint8_t wanted[sizeof mean];
    learn(1, 0.7f);
    for (int k = 0; k < GIVERS; k++) give(k, k == 6 ? 4000 : 1000);
    cr_assert(outer_mean(given, GIVERS, N, true, &room, wanted, &clipped));
    cr_assert_eq(clipped, 0);
    given[6].weight = (uint64_t)1 << 48;
    cr_assert(outer_mean(given, GIVERS, N, true, &room, mean, &clipped));
    cr_assert_eq(clipped, 1u << 6);
    cr_assert_arr_eq(mean, wanted, sizeof mean);
}

/* What one of eight sends hardly matters. */
Test(mean, one_of_eight_does_not_turn_a_robust_mean)
{
    static const float factors[] = {10, -10, -3, 0, 1000};
    double honest[N], counts[GIVERS];
    for (size_t f = 0; f < sizeof factors / sizeof *factors; f++) {
        uint32_t clipped;
        double got[N], product = 0;
        learn(1, 0.7f);
        for (int k = 0; k < GIVERS; k++) {
            for (int i = 0; i < N && k == 4; i++) vectors[k][i] *= factors[f];
            give(k, 1000);
            counts[k] = k == 4 ? 0 : 1000.0 * 8 / 7;
        }
        mean_by(counts, honest);
        cr_assert(outer_mean(given, GIVERS, N, true, &room, mean, &clipped));
        dequantize(mean, got);
        for (int i = 0; i < N; i++) product += got[i] * honest[i];
        double alike = product / norm_of(got) / norm_of(honest);
        cr_assert_gt(alike, 0.97, "times %g: %g", (double)factors[f], alike);
        double size = norm_of(got) / norm_of(honest);
        cr_assert(size > 0.8 && size < 1.2, "times %g: %g", (double)factors[f], size);
    }
}
