#include "data/word.h"

#include <criterion/criterion.h>
#include <string.h>

static void begin(void)
{
    struct why w;
    cr_assert_eq(word_init(&w), ERR_OK, "%s", w.text);
}

TestSuite(word, .init = begin);

/* `want` is the text with a bar after each word. */
static void expect_words(const char *want)
{
    char text[256], got[256];
    size_t count = 0, used = 0;
    for (const char *p = want; *p; p++)
        if (*p != '|') text[count++] = *p;
    for (size_t at = 0, n; at < count; at += n) {
        n = word_length((const uint8_t *)text + at, count - at);
        cr_assert(n > 0 && n <= count - at);
        memcpy(got + used, text + at, n);
        used += n;
        got[used++] = '|';
    }
    got[used] = 0;
    cr_expect_str_eq(got, want);
}

Test(word, a_space_belongs_to_the_word_after_it)
{
    expect_words("one| two| 3| !!|");
    expect_words("one|  | two|\n|three|");
}

Test(word, the_last_space_before_a_word_goes_with_it_and_other_white_space_stands_alone)
{
    expect_words("a|   | b|");
    expect_words("a| |\n|b|");
    expect_words("a|\n\n| b|");
    expect_words("a|\t|b|");
    expect_words("a|  \n|");
    expect_words("a| |\u00a0|b|");
}

Test(word, contractions_are_words_in_lower_case_only)
{
    expect_words("it|'s| you|'ll| they|'re| I|'ve| I|'m| he|'d| can|'t|");
    expect_words("IT|'|S|");
    expect_words("''|s|");
    expect_words(" '|s|");
    expect_words("'|l|");
}

Test(word, letters_numbers_and_the_rest_do_not_mix)
{
    expect_words("a|1|b|2|!|c|");
    expect_words("\u0939|\u093f|\u0928|"); /* a mark is no letter */
    expect_words("x|\u00b2\u2167|y|");
}

Test(word, bytes_that_are_no_text_are_neither_letter_nor_number)
{
    expect_words("a|\xff\xfe|b| \x80|");
}

Test(word, white_space_is_what_unicode_calls_so)
{
    cr_assert_eq(word_class_of(0x85), WORD_SPACE);
    cr_assert_eq(word_class_of(0x3000), WORD_SPACE);
    cr_assert_eq(word_class_of(0x180e), WORD_OTHER); /* until Unicode 6.3 it was one */
    cr_assert_eq(word_class_of(0x200b), WORD_OTHER);
    cr_assert_eq(word_class_of(0x1c), WORD_OTHER); /* white space to Python, not to Unicode */
}
