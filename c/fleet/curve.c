#include "fleet/curve.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool curve_init(struct curve *c, size_t columns)
{
    assert(columns >= 1 && columns <= CURVE_COLUMNS_MAX);
    *c = (struct curve){.columns = columns, .stride = 1};
    c->rows = malloc(CURVE_ROWS_MAX * sizeof *c->rows);
    return c->rows;
}

void curve_fini(struct curve *c) { free(c->rows); }

static double mean(double a, double b) { return !isfinite(a) ? b : !isfinite(b) ? a : (a + b) / 2; }

static void halve(struct curve *c)
{
    for (size_t i = 0; i < c->count / 2; i++)
        for (size_t k = 0; k < c->columns; k++)
            c->rows[i][k] = mean(c->rows[2 * i][k], c->rows[2 * i + 1][k]);
    c->count /= 2;
    c->stride *= 2;
}

static double summed(const struct curve *c, size_t column)
{
    return c->finite[column] ? c->sums[column] / (double)c->finite[column] : NAN;
}

void curve_add(struct curve *c, const double *row)
{
    for (size_t k = 0; k < c->columns; k++) {
        if (!isfinite(row[k])) continue;
        c->sums[k] += row[k];
        c->finite[k]++;
    }
    if (++c->summed < c->stride) return;
    if (c->count == CURVE_ROWS_MAX) {
        halve(c); /* the pending sum is now half a row */
        return;
    }
    for (size_t k = 0; k < c->columns; k++) c->rows[c->count][k] = summed(c, k);
    c->count++;
    c->summed = 0;
    memset(c->sums, 0, sizeof c->sums);
    memset(c->finite, 0, sizeof c->finite);
}

size_t curve_count(const struct curve *c) { return c->count + (c->summed > 0); }

double curve_at(const struct curve *c, size_t row, size_t column)
{
    return row < c->count ? c->rows[row][column] : summed(c, column);
}
