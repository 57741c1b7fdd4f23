#include <criterion/criterion.h>

#include "base/err.h"

Test(err, each_layer_puts_what_it_was_doing_before_the_story)
{
    struct why w = {0};
    cr_assert_eq(why(&w, ERR_IO, "opening %s: no such file", "a"), ERR_IO);
    cr_assert_eq(why_while(&w, ERR_IO, "reading checkpoint %s", "a"), ERR_IO);
    cr_assert_str_eq(w.text, "reading checkpoint a: opening a: no such file");
    cr_assert_eq(w.err, ERR_IO);
}

Test(err, a_story_that_is_too_long_is_cut_and_stays_terminated)
{
    struct why w = {0};
    why(&w, ERR_IO, "%2000s", "x");
    why_while(&w, ERR_IO, "%2000s", "y");
    cr_assert_eq(strlen(w.text), WHY_BYTES - 1);
}

Test(err, nobody_has_to_listen)
{
    cr_assert_eq(why(NULL, ERR_WIRE, "x"), ERR_WIRE);
    cr_assert_eq(why_while(NULL, ERR_WIRE, "x"), ERR_WIRE);
}
