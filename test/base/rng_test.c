#include <criterion/criterion.h>

#include "base/rng.h"

Test(rng, the_nth_number_is_the_same_in_order_and_at_a_place)
{
    struct rng r = rng_init(7);
    for (uint64_t i = 0; i < 100; i++) cr_assert_eq(rng_next(&r), rng_at(7, i));
}

Test(rng, keys_labels_and_places_all_matter)
{
    struct rng r = rng_init(1);
    cr_assert_neq(rng_at(1, 0), rng_at(2, 0));
    cr_assert_neq(rng_at(1, 0), rng_at(1, 1));
    cr_assert_neq(rng_split(r, 1).key, rng_split(r, 2).key);
}

Test(rng, bits_and_ranges_are_even)
{
    struct rng r = rng_init(3);
    int ones[64] = {0}, thirds[3] = {0};
    for (int i = 0; i < 30000; i++) {
        uint64_t v = rng_next(&r);
        for (int b = 0; b < 64; b++) ones[b] += v >> b & 1;
        thirds[rng_below(&r, 3)]++;
        double u = rng_unit(&r);
        cr_assert(u >= 0 && u < 1);
    }
    /* six standard deviations of a fair coin thrown 30000 times: 520 */
    for (int b = 0; b < 64; b++) cr_assert(abs(ones[b] - 15000) < 520, "bit %d: %d", b, ones[b]);
    for (int t = 0; t < 3; t++)
        cr_assert(abs(thirds[t] - 10000) < 490, "third %d: %d", t, thirds[t]);
}
