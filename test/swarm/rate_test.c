#include <criterion/criterion.h>

#include "base/rng.h"
#include "swarm/rate.h"

Test(rate, is_a_guess_until_there_are_some_trains)
{
    struct rate r = {0};
    for (int i = 0; i < 3; i++) rate_train(&r, 100000, span_ms(100));
    cr_assert_eq(rate_kbps(&r, 4321), 4321);
    rate_train(&r, 100000, span_ms(100));
    cr_assert_eq(rate_kbps(&r, 4321), 8000);
}

Test(rate, is_in_bounds_whatever_the_train)
{
    struct rate r = {0};
    for (int i = 0; i < 64; i++) rate_train(&r, 1 << 20, span_ns(0));
    cr_assert_eq(rate_kbps(&r, 1), 8388608, "a millisecond at least");
    for (int i = 0; i < 64; i++) rate_train(&r, UINT64_MAX, span_ns(1));
    cr_assert_eq(rate_kbps(&r, 1), UINT32_MAX);
    for (int i = 0; i < 64; i++) rate_train(&r, 20000, span_s(1000000));
    cr_assert_eq(rate_kbps(&r, 7), 1);
}

/* Most trains of a fast machine go at the pace of a slow one, and some were held up and arrived at
 * once: neither hides its rate. */
Test(rate, is_that_of_the_line_though_others_are_slower_and_some_trains_bunch)
{
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct rate r = {0};
        for (uint64_t i = 0; i < 200; i++) {
            double part = (double)(rng_at(seed, i) >> 11) * 0x1p-53;
            span took = span_ms(part < 0.5 ? 800 : part < 0.9 ? 80 : 8);
            rate_train(&r, 100000, took);
        }
        cr_assert_eq(rate_kbps(&r, 1), 10000, "seed %lu: %u", seed, rate_kbps(&r, 1));
    }
}

Test(rate, follows_a_line_that_changes)
{
    struct rate r = {0};
    for (int i = 0; i < 1000; i++) rate_train(&r, 100000, span_ms(80));
    cr_assert_eq(rate_kbps(&r, 1), 10000);
    for (int i = 0; i < 50; i++) rate_train(&r, 100000, span_ms(800));
    cr_assert_eq(rate_kbps(&r, 1), 1000);
    for (int i = 0; i < 17; i++) rate_train(&r, 100000, span_ms(80));
    cr_assert_eq(rate_kbps(&r, 1), 10000);
}
