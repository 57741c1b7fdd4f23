#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "swarm/progress.h"

static uint64_t epoch_of(size_t n, const uint64_t *all)
{
    uint64_t copy[32];
    for (size_t i = 0; i < n; i++) copy[i] = all[i];
    return progress_epoch(copy, n);
}

Test(progress, the_epoch_of_up_to_three_is_what_a_majority_has_reached)
{
    cr_assert(eq(u64, epoch_of(1, (uint64_t[]){4}), 4u));
    cr_assert(eq(u64, epoch_of(2, (uint64_t[]){4, 9}), 4u));
    cr_assert(eq(u64, epoch_of(3, (uint64_t[]){9, 4, 5}), 5u));
}

Test(progress, the_epoch_of_more_is_what_a_third_has_reached)
{
    cr_assert(eq(u64, epoch_of(4, (uint64_t[]){7, 4, 9, 4}), 7u));
    cr_assert(eq(u64, epoch_of(6, (uint64_t[]){1, 8, 2, 7, 3, 4}), 7u));
    cr_assert(eq(u64, epoch_of(7, (uint64_t[]){1, 8, 2, 7, 3, 4, 6}), 6u));
    cr_assert(eq(u64, epoch_of(0, NULL), 0u));
}

Test(progress, one_liar_moves_the_epoch_of_four_or_more_no_further_than_to_another_ones)
{
    for (size_t n = 4; n <= 20; n++) {
        uint64_t all[32];
        for (size_t i = 0; i < n; i++) all[i] = 5 + i % 2;
        uint64_t honest = epoch_of(n, all);
        all[0] = UINT64_MAX;
        cr_assert(epoch_of(n, all) <= 6);
        all[0] = 0;
        cr_assert(epoch_of(n, all) >= honest - 1);
    }
}

Test(progress, a_record_is_extrapolated_by_its_age_but_not_for_ever)
{
    struct progress_share p = {true, 1000, 50, span_s(4)};
    cr_assert(eq(u64, progress_tokens(&p, span_s(100), 100000), 1200u));
    p.age = span_s(10);
    cr_assert(eq(u64, progress_tokens(&p, span_s(100), 100000), 1500u));
    p.age = span_s(1000);
    cr_assert(eq(u64, progress_tokens(&p, span_s(100), 100000), 1500u));
}

Test(progress, a_record_of_the_epoch_before_counts_only_its_rate_since_this_one_began)
{
    struct progress_share p = {false, 1000000, 50, span_s(30)};
    cr_assert(eq(u64, progress_tokens(&p, span_s(2), 100000), 100u));
    p.age = span_s(1);
    cr_assert(eq(u64, progress_tokens(&p, span_s(2), 100000), 50u));
}

Test(progress, nobody_counts_for_more_than_twice_its_part)
{
    struct progress_share p = {true, UINT64_MAX, UINT32_MAX, span_s(9)};
    cr_assert(eq(u64, progress_tokens(&p, span_s(9), 1000), 2000u));
    p.tokens = 1999;
    cr_assert(eq(u64, progress_tokens(&p, span_s(9), 1000), 2000u));
}

Test(progress, it_is_time_when_all_together_have_done_their_parts)
{
    struct progress_share all[] = {{true, 1500, 10, span_s(0)}, {true, 500, 10, span_s(0)}};
    struct round_progress mine = {.steps = 5, .tokens = 500};
    struct progress_sum s = progress_sum(all, 2, span_s(1), 1000);
    cr_assert(eq(u64, s.done, 2000u));
    cr_assert(eq(u64, s.target, 2000u));
    cr_assert(progress_ready(&s, &mine, 10, false, false));
    all[0].tokens = 1499;
    s = progress_sum(all, 2, span_s(1), 1000);
    cr_assert_not(progress_ready(&s, &mine, 10, false, false));
    cr_assert(eq(u32, progress_eta_ms(&s, &mine, 10, false), 50u));
}

Test(progress, a_call_makes_ready_from_half_on_and_no_earlier)
{
    struct round_progress mine = {.steps = 5, .tokens = 500};
    struct progress_sum s = {.done = 999, .target = 2000};
    cr_assert_not(progress_ready(&s, &mine, 10, false, true));
    s.done = 1000;
    cr_assert(progress_ready(&s, &mine, 10, false, true));
    cr_assert_not(progress_ready(&s, &mine, 10, false, false));
}

Test(progress, twice_the_steps_are_enough_whatever_the_others_do)
{
    struct round_progress mine = {.steps = 19, .tokens = 1900};
    struct progress_sum s = {.done = 0, .target = 2000};
    cr_assert_not(progress_ready(&s, &mine, 10, false, false));
    mine.steps = 20;
    cr_assert(progress_ready(&s, &mine, 10, false, false));
}

Test(progress, who_has_done_nothing_is_never_ready)
{
    struct round_progress mine = {0};
    struct progress_sum s = {.done = 5000, .target = 2000};
    cr_assert_not(progress_ready(&s, &mine, 10, false, true));
}

Test(progress, with_counted_steps_only_ones_own_steps_decide)
{
    struct round_progress mine = {.steps = 9, .tokens = 900, .step_ms = 70};
    struct progress_sum s = {.done = 5000, .target = 2000};
    cr_assert_not(progress_ready(&s, &mine, 10, true, true));
    cr_assert(eq(u32, progress_eta_ms(&s, &mine, 10, true), 70u));
    mine.steps = 10;
    s.done = 0;
    cr_assert(progress_ready(&s, &mine, 10, true, false));
}
