#include <criterion/criterion.h>
#include <math.h>

#include "model/schedule.h"

static struct experiment run_of(enum schedule_kind kind)
{
    struct experiment x = {0};
    x.train.steps = 1000;
    x.train.optimizer.lr = 2;
    x.train.schedule.kind = kind;
    x.train.schedule.warmup = 100;
    x.train.schedule.final = 0.1;
    x.train.schedule.decay = 0.2;
    return x;
}

Test(schedule, rises_in_a_line_through_the_warmup)
{
    for (int kind = SCHEDULE_COSINE; kind <= SCHEDULE_CONSTANT; kind++) {
        struct experiment x = run_of((enum schedule_kind)kind);
        cr_assert_float_eq(schedule_lr(&x, 0), 0.02, 1e-12);
        cr_assert_float_eq(schedule_lr(&x, 49), 1, 1e-12);
        cr_assert_float_eq(schedule_lr(&x, 49.5), 1.01, 1e-12);
        cr_assert_float_eq(schedule_lr(&x, 99.5), 2, 1e-12);
        cr_assert_float_eq(schedule_lr(&x, 100), 2, 1e-12);
    }
}

Test(schedule, cosine_falls_to_its_final_share_and_stays)
{
    struct experiment x = run_of(SCHEDULE_COSINE);
    cr_assert_float_eq(schedule_lr(&x, 550), 2 * 0.55, 1e-12);
    cr_assert_float_eq(schedule_lr(&x, 325), 2 * (0.1 + 0.9 * (1 + sqrt(0.5)) / 2), 1e-12);
    cr_assert_float_eq(schedule_lr(&x, 1000), 0.2, 1e-12);
    cr_assert_float_eq(schedule_lr(&x, 5000), 0.2, 1e-12);
}

Test(schedule, wsd_holds_until_the_last_share_and_cools_by_a_root)
{
    struct experiment x = run_of(SCHEDULE_WSD);
    cr_assert_float_eq(schedule_lr(&x, 800), 2, 1e-12);
    cr_assert_float_eq(schedule_lr(&x, 850), 2 * (0.1 + 0.9 * 0.5), 1e-12);
    cr_assert_float_eq(schedule_lr(&x, 1000), 0.2, 1e-12);
    cr_assert_float_eq(schedule_lr(&x, 2000), 0.2, 1e-12);
    x.train.schedule.decay = 0;
    cr_assert_float_eq(schedule_lr(&x, 1000), 2, 1e-12);
}

Test(schedule, constant_stays)
{
    struct experiment x = run_of(SCHEDULE_CONSTANT);
    cr_assert_float_eq(schedule_lr(&x, 500), 2, 1e-12);
    cr_assert_float_eq(schedule_lr(&x, 1e9), 2, 1e-12);
}

Test(schedule, without_warmup_or_a_rest_after_it_is_finite)
{
    struct experiment x = run_of(SCHEDULE_COSINE);
    x.train.schedule.warmup = 0;
    cr_assert_float_eq(schedule_lr(&x, 0), 2, 1e-12);
    x.train.schedule.warmup = 1000;
    cr_assert_float_eq(schedule_lr(&x, 999), 2, 1e-12);
    cr_assert_float_eq(schedule_lr(&x, 1000), 0.2, 1e-12);
}
