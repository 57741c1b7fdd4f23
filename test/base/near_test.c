#include <criterion/criterion.h>
#include <string.h>

#include "base/near.h"

Test(near, distance_counts_letters_added_dropped_changed_and_swapped)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {{"", "", 0},           {"", "abc", 3},
                 {"steps", "steps", 0}, {"steps", "step", 1},
                 {"steps", "setps", 1}, {"every", "evry", 1},
                 {"abcd", "badc", 2},   {"kitten", "sitting", 3},
                 {"ca", "abc", 3} /* restricted: a swap is not edited again */};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(near_distance(cases[i].a, strlen(cases[i].a), cases[i].b, strlen(cases[i].b)),
                     cases[i].distance, "%s %s", cases[i].a, cases[i].b);
}

Test(near, names_the_word_that_was_meant_and_none_for_another)
{
    static const char *const words[] = {"steps", "device", "fresh", NULL};
    cr_assert_str_eq(near_word(words, "stpes", 5), "steps");
    cr_assert_str_eq(near_word(words, "devices", 7), "device");
    cr_assert_null(near_word(words, "tokenizer", 9));
}
