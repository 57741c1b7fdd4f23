/* curve.h -- a curve of bounded size, however many points go in: rows of up to six numbers, in the
 * order of time.
 *
 * Each row kept stands for `stride` rows given, by their mean. When CURVE_ROWS_MAX are kept,
 * neighbours are merged and the stride doubles: half of CURVE_ROWS_MAX to all of it are kept of any
 * longer series, evenly spread. A number that is not finite has no part in a mean. */
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
    double sums[CURVE_COLUMNS_MAX];             /* of rows that are not yet one that is kept */
    uint64_t finite[CURVE_COLUMNS_MAX], summed; /* numbers in each sum; rows in all of them */
};

/* False without memory. */
bool curve_init(struct curve *c, size_t columns);
void curve_fini(struct curve *c);

/* Adds a row of `columns` numbers. */
void curve_add(struct curve *c, const double *row);

/* Rows to read: those kept and, as the last, what has been summed since. NAN where no number was
 * finite. */
size_t curve_count(const struct curve *c);
double curve_at(const struct curve *c, size_t row, size_t column);

#endif
