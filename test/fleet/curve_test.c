#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "fleet/curve.h"

static struct curve c;

static void begin(void) { cr_assert(curve_init(&c, 2)); }
static void end(void) { curve_fini(&c); }

TestSuite(curve, .init = begin, .fini = end);

static void add(double t, double y) { curve_add(&c, (double[]){t, y}); }

Test(curve, keeps_a_short_series_as_it_is)
{
    for (int i = 0; i < CURVE_ROWS_MAX; i++) add(i, -i);
    cr_assert(eq(sz, curve_count(&c), CURVE_ROWS_MAX));
    for (size_t i = 0; i < CURVE_ROWS_MAX; i++) {
        cr_assert(eq(dbl, curve_at(&c, i, 0), (double)i));
        cr_assert(eq(dbl, curve_at(&c, i, 1), -(double)i));
    }
}

Test(curve, stays_bounded_in_order_and_evenly_spread_however_long_it_gets)
{
    const double n = 1234567;
    for (double i = 0; i < n; i++) add(i, 2 * i + 1);
    const size_t count = curve_count(&c);
    cr_assert(le(sz, count, CURVE_ROWS_MAX + 1));
    cr_assert(ge(sz, count, CURVE_ROWS_MAX / 2));
    const double stride = (double)c.stride;
    for (size_t i = 0; i < count; i++) {
        const double t = curve_at(&c, i, 0);
        if (i < c.count) cr_assert(eq(dbl, t, (double)i * stride + (stride - 1) / 2));
        else cr_assert(gt(dbl, t, curve_at(&c, i - 1, 0)));
        cr_assert(eq(dbl, curve_at(&c, i, 1), 2 * t + 1)); /* a straight line stays one */
    }
}

Test(curve, shows_what_is_not_yet_a_row_of_its_own)
{
    for (int i = 0; i < 2 * CURVE_ROWS_MAX + 1; i++) add(i, i);
    const size_t last = curve_count(&c) - 1;
    cr_assert(gt(sz, last, 0));
    cr_assert(ge(dbl, curve_at(&c, last, 0), 2.0 * CURVE_ROWS_MAX - 1));
}

Test(curve, takes_numbers_that_are_not_finite_into_no_mean)
{
    for (int i = 0; i < 4 * CURVE_ROWS_MAX; i++) add(i, i % 2 ? NAN : 7);
    for (size_t i = 0; i < curve_count(&c); i++) cr_assert(eq(dbl, curve_at(&c, i, 1), 7.0));
    for (int i = 0; i < 4 * CURVE_ROWS_MAX; i++) add(i, NAN);
    cr_assert(isnan(curve_at(&c, curve_count(&c) - 1, 1)));
}
