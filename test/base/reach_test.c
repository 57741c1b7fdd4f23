#include <criterion/criterion.h>

#include "base/link.h"
#include "base/reach.h"

Test(reach, has_a_word_for_every_reason)
{
    for (int r = 0; r < REACH_REASONS; r++)
        cr_assert_str_neq(reach_word((enum reach_reason)r), "another reason");
    cr_assert_str_eq(reach_word((enum reach_reason)200), "another reason");
}

Test(reach, is_what_the_end_of_a_dial_or_a_link_means)
{
    cr_assert_eq(reach_reason_of(CLOSE_TIMEOUT, false), REACH_SILENT);
    cr_assert_eq(reach_reason_of(CLOSE_IDLE, true), REACH_REASONS, "lost is not unreachable");
    cr_assert_eq(reach_reason_of(CLOSE_WRONG_KEY, false), REACH_KEY);
    cr_assert_eq(reach_reason_of(CLOSE_RUN, true), REACH_RUN);
    cr_assert_eq(reach_reason_of(CLOSE_ALPN, false), REACH_VERSION);
    cr_assert_eq(reach_reason_of(CLOSE_VERSION, true), REACH_VERSION);
    cr_assert_eq(reach_reason_of(CLOSE_BUSY, true), REACH_FULL);
    cr_assert_eq(reach_reason_of(CLOSE_SELF, false), REACH_CLONE);
    cr_assert_eq(reach_reason_of(CLOSE_FAMILY, false), REACH_FAMILY);
    cr_assert_eq(reach_reason_of(CLOSE_TLS, false), REACH_OTHER);
    cr_assert_eq(reach_reason_of(CLOSE_LEAVING, true), REACH_REASONS);
}
