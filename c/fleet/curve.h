/* curve.h -- a curve of bounded size for any number of points: rows of up to six numbers, in order
 * of time.
 *
 * Each stored row is the mean of `stride` added rows. When CURVE_ROWS_MAX are stored, neighbours
 * are merged and the stride doubles: so a longer series is stored as between half of CURVE_ROWS_MAX
 * and CURVE_ROWS_MAX evenly spaced rows. Numbers that are not finite are left out of the means. */
#ifndef SHOAL_FLEET_CURVE_H
#define SHOAL_FLEET_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CURVE_COLUMNS_MAX 6
#define CURVE_ROWS_MAX    2000

struct curve {
    size_t columns;
    double (*rows)[CURVE_COLUMNS_MAX]; /* [CURVE_ROWS_MAX] */
    size_t count;
    uint64_t stride;
    double sums[CURVE_COLUMNS_MAX];             /* of rows not yet merged into a stored one */
    uint64_t finite[CURVE_COLUMNS_MAX], summed; /* numbers in each sum; rows summed */
};

/* False without memory. */
bool curve_init(struct curve *c, size_t columns);
void curve_fini(struct curve *c);

/* Adds a row of `columns` numbers. */
void curve_add(struct curve *c, const double *row);

/* Rows to read: the stored ones and, as the last, the mean of those summed since. NAN where no
 * number was finite. */
size_t curve_count(const struct curve *c);
double curve_at(const struct curve *c, size_t row, size_t column);

#endif
