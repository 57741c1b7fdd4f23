#include "outer/mean.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "outer/blocks.h"

#define CLIP_NORMS    4 /* medians that a contribution may have as its norm */
#define CLIP_WEIGHTS  4 /* the same of its weight, where robust */
#define CENTER_ROUNDS 3
#define LANES         8 /* partial sums, so that they are vectorized */

/* ---- norms ---- */

double outer_wire_norm(const uint8_t *wire, size_t n)
{
    double sum = 0;
    for (size_t b = 0; b < blocks_of(n); b++) {
        size_t count = block_count(n, b);
        const int8_t *q = block_at(wire, n, b);
        double s = (double)scale_at(wire, b);
        int32_t squares = 0;
        for (size_t i = 0; i < count; i++) squares += q[i] * q[i];
        sum += s * s * (double)squares;
    }
    return sqrt(sum);
}

/* The lower median of those above 0; 0 with *count of 0 where there is none. */
static double median(const double *of, uint32_t all, uint32_t *count)
{
    double sorted[OUTER_MEAN_MAX];
    *count = 0;
    for (uint32_t i = 0; i < all; i++) {
        if (!(of[i] > 0)) continue;
        uint32_t at = (*count)++;
        for (; at > 0 && sorted[at - 1] > of[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = of[i];
    }
    return *count ? sorted[(*count - 1) / 2] : 0;
}

/* By what each counts: its weight, less where its norm is too large. */
static void clip(const struct outer_given *of, uint32_t count, size_t n, float *counts,
                 uint32_t *clipped)
{
    double norms[OUTER_MEAN_MAX], weights[OUTER_MEAN_MAX];
    uint32_t some, same;
    for (uint32_t i = 0; i < count; i++) {
        counts[i] = (float)of[i].weight;
        norms[i] = count < OUTER_CLIP_FROM ? 0 : outer_wire_norm(of[i].wire, n);
        weights[i] = norms[i] > 0 ? (double)of[i].weight : 0;
    }
    double usual = median(norms, count, &some), weight = median(weights, count, &same);
    for (uint32_t i = 0; some >= OUTER_CLIP_FROM && i < count; i++) {
        /* Who trained more may have moved further. */
        double more = fmax(1, (double)of[i].weight / weight), most = CLIP_NORMS * usual * more;
        if (norms[i] <= most) continue;
        counts[i] = (float)((double)of[i].weight * (most / norms[i]));
        *clipped |= (uint32_t)1 << i;
    }
}

/* ---- CenteredClip ---- */

/* The distance of a contribution from the center. */
static double distance(const uint8_t *wire, size_t n, const float *center)
{
    double sum = 0;
    for (size_t b = 0; b < blocks_of(n); b++) {
        size_t count = block_count(n, b);
        const int8_t *q = block_at(wire, n, b);
        const float *v = center + b * OUTER_BLOCK;
        float s = scale_at(wire, b), lanes[LANES] = {0};
        size_t whole = count / LANES * LANES;
        for (size_t i = 0; i < whole; i += LANES)
            for (size_t k = 0; k < LANES; k++) {
                float d = s * (float)q[i + k] - v[i + k];
                lanes[k] += d * d;
            }
        for (size_t i = whole; i < count; i++) {
            float d = s * (float)q[i] - v[i];
            lanes[0] += d * d;
        }
        for (size_t k = 0; k < LANES; k++) sum += (double)lanes[k];
    }
    return sqrt(sum);
}

static void move(float *moved, const uint8_t *wire, size_t n, const float *center, float by)
{
    for (size_t b = 0; b < blocks_of(n); b++) {
        size_t count = block_count(n, b);
        const int8_t *q = block_at(wire, n, b);
        const float *v = center + b * OUTER_BLOCK;
        float s = scale_at(wire, b), *to = moved + b * OUTER_BLOCK;
        for (size_t i = 0; i < count; i++) to[i] = to[i] + by * (s * (float)q[i] - v[i]);
    }
}

static void center_once(const struct outer_given *of, uint32_t count, size_t n, float *center,
                        float *moved)
{
    double far[OUTER_MEAN_MAX], weights = 0;
    uint32_t some;
    for (uint32_t i = 0; i < count; i++) weights += (double)of[i].weight;
    for (uint32_t i = 0; i < count; i++) far[i] = distance(of[i].wire, n, center);
    double usual = median(far, count, &some);
    memset(moved, 0, n * sizeof *moved);
    for (uint32_t i = 0; i < count; i++) {
        double part = (double)of[i].weight / weights * (far[i] > usual ? usual / far[i] : 1);
        move(moved, of[i].wire, n, center, (float)part);
    }
    for (size_t i = 0; i < n; i++) center[i] = center[i] + moved[i];
}

/* The sum, each counting as clipped; returns the sum of the weights. */
static uint64_t add_up(const struct outer_given *of, uint32_t count, size_t n, float *total,
                       uint32_t *clipped)
{
    float counts[OUTER_MEAN_MAX];
    uint64_t weights = 0;
    clip(of, count, n, counts, clipped);
    memset(total, 0, n * sizeof *total);
    for (uint32_t i = 0; i < count; i++) {
        outer_accumulate(total, of[i].wire, n, counts[i]);
        weights += of[i].weight;
    }
    return weights;
}

/* A weight is what its author says. */
static void cap_weights(struct outer_given *of, uint32_t count, uint32_t *clipped)
{
    double weights[OUTER_MEAN_MAX];
    uint32_t some;
    for (uint32_t i = 0; i < count; i++) weights[i] = (double)of[i].weight;
    uint64_t most = CLIP_WEIGHTS * (uint64_t)median(weights, count, &some);
    for (uint32_t i = 0; i < count; i++) {
        if (of[i].weight <= most) continue;
        of[i].weight = most;
        *clipped |= (uint32_t)1 << i;
    }
}

bool outer_mean(const struct outer_given *of, uint32_t count, size_t n, bool robust,
                const struct outer_mean_room *room, uint8_t *wire, uint32_t *clipped)
{
    assert(count > 0 && count <= OUTER_MEAN_MAX);
    *clipped = 0;
    if (!robust || count < OUTER_CLIP_FROM) {
        uint64_t weights = add_up(of, count, n, room->total, clipped);
        return outer_quantize_mean(room->total, n, (float)weights, wire);
    }
    struct outer_given capped[OUTER_MEAN_MAX];
    memcpy(capped, of, count * sizeof *of);
    cap_weights(capped, count, clipped);
    uint64_t weights = add_up(capped, count, n, room->total, clipped);
    for (size_t i = 0; i < n; i++) room->center[i] = room->total[i] / (float)weights;
    for (int k = 0; k < CENTER_ROUNDS; k++)
        center_once(capped, count, n, room->center, room->moved);
    return outer_quantize_mean(room->center, n, 1, wire);
}
