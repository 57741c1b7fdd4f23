#include <criterion/criterion.h>

#include "base/stop.h"

static const instant start = {5000000000u};

static bool after(struct stop *s, uint64_t ms)
{
    return stop_take(s, instant_after(start, span_ms(ms)));
}

Test(stop, signals_within_a_second_are_one_wish)
{
    struct stop s = {0};
    cr_assert(after(&s, 0));
    cr_assert(!after(&s, 0));
    cr_assert(!after(&s, 999));
    cr_assert_eq(s.count, 1u);
}

Test(stop, a_later_signal_is_a_second_wish)
{
    struct stop s = {0};
    cr_assert(after(&s, 0));
    cr_assert(!after(&s, 900)); /* does not put off the second */
    cr_assert(after(&s, 1000));
    cr_assert_eq(s.count, 2u);
}

Test(stop, a_hangup_counts_unless_it_was_ignored_at_the_start)
{
    sigset_t set;
    signal(SIGHUP, SIG_DFL); /* the tests may run under nohup themselves */
    stop_signals(&set);
    cr_assert(sigismember(&set, SIGHUP) && sigismember(&set, SIGTERM) && sigismember(&set, SIGINT));
    signal(SIGHUP, SIG_IGN);
    stop_signals(&set);
    cr_assert(!sigismember(&set, SIGHUP) && sigismember(&set, SIGTERM));
}

Test(stop, two_signals_in_one_instant_do_not_end_the_process)
{
    signal(SIGHUP, SIG_DFL);
    stop_watch(NULL, "");
    cr_assert_eq(stop_wishes(), 0u);
    raise(SIGTERM);
    raise(SIGTERM);
    raise(SIGHUP);
    cr_assert_eq(stop_wishes(), 1u);
}
