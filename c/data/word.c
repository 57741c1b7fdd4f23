#include "data/word.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "data/utf8.h"

#define CHARACTERS 0x110000u

static uint8_t classes[CHARACTERS];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum err failed;
static struct why failure;

/* Writes all characters in order, as UTF-8; returns the number of bytes. */
static size_t write_all(uint8_t *out)
{
    size_t used = 0;
    for (uint32_t c = 0; c < CHARACTERS; c++)
        if (c < 0xd800 || c > 0xdfff) used += utf8_write(c, out + used);
    return used;
}

/* The group that matched gives the class; no group: WORD_OTHER. That one is matched too because
 * runs are fast, unlike searching for the next start. */
static const char pattern[] =
    "(\\p{L}+)|(\\p{N}+)|(\\p{White_Space}+)|[^\\p{L}\\p{N}\\p{White_Space}]+";

static enum err mark(const pcre2_code *code, pcre2_match_data *match, const uint8_t *all,
                     size_t count)
{
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(match);
    int groups;
    for (size_t at = 0;
         (groups = pcre2_match(code, all, count, at, PCRE2_NO_UTF_CHECK, match, NULL)) > 0;
         at = span[1])
        for (size_t i = span[0], n; i < span[1]; i += n)
            classes[utf8_next(all + i, count - i, &n)] = (uint8_t)(groups - 1);
    return groups == PCRE2_ERROR_NOMATCH
               ? ERR_OK
               : why(&failure, ERR_MEMORY, "PCRE2 gave up on the table of Unicode classes: %d",
                     groups);
}

static void fill(void)
{
    uint8_t *all = malloc((size_t)CHARACTERS * 4);
    size_t count = all ? write_all(all) : 0;
    int number;
    PCRE2_SIZE offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP, &number, &offset, NULL);
    pcre2_match_data *match = code ? pcre2_match_data_create_from_pattern(code, NULL) : NULL;
    if (!all || (code && !match))
        failed = why(&failure, ERR_MEMORY, "no memory for the table of Unicode classes");
    else if (!code)
        failed = why(&failure, ERR_UNSUPPORTED,
                     "this PCRE2 knows no Unicode classes (error %d): link one of 10.40 or later",
                     number);
    else failed = mark(code, match, all, count);
    pcre2_match_data_free(match);
    pcre2_code_free(code);
    free(all);
}

enum err word_init(struct why *w)
{
    pthread_once(&once, fill);
    return failed ? why(w, failed, "%s", failure.text) : ERR_OK;
}

enum word_class word_class_of(uint32_t character) { return (enum word_class)classes[character]; }

static enum word_class class_at(const uint8_t *text, size_t count, size_t *length)
{
    *length = 1;
    if (text[0] < 0x80) return (enum word_class)classes[text[0]];
    uint32_t c = utf8_next(text, count, length);
    return c == UTF8_INVALID ? WORD_OTHER : (enum word_class)classes[c];
}

/* The end of the run of characters of class `c` that begins at `at`. */
static size_t run_end(const uint8_t *text, size_t at, size_t count, enum word_class c)
{
    for (size_t n; at < count && class_at(text + at, count - at, &n) == c;) at += n;
    return at;
}

/* The length of 's 't 'm 'd 're 've 'll, or 0. */
static size_t contraction(const uint8_t *text, size_t count)
{
    if (text[0] != '\'' || count < 2) return 0;
    if (text[1] == 's' || text[1] == 't' || text[1] == 'm' || text[1] == 'd') return 2;
    if (count < 3) return 0;
    bool two = (text[2] == 'e' && (text[1] == 'r' || text[1] == 'v')) ||
               (text[1] == 'l' && text[2] == 'l');
    return two ? 3 : 0;
}

/* \s+(?!\S)|\s+: white space leaves its last character to what follows, unless it has only one. */
static size_t space_length(const uint8_t *text, size_t count)
{
    size_t at = 0, last = 0, n;
    while (at < count && class_at(text + at, count - at, &n) == WORD_SPACE) {
        last = at;
        at += n;
    }
    return at == count || last == 0 ? at : last;
}

size_t word_length(const uint8_t *text, size_t count)
{
    size_t n = contraction(text, count);
    if (n) return n;
    enum word_class first = class_at(text, count, &n);
    if (first != WORD_SPACE) return run_end(text, n, count, first);
    if (text[0] == ' ' && count > 1) {
        enum word_class second = class_at(text + 1, count - 1, &n);
        if (second != WORD_SPACE) return run_end(text, 1 + n, count, second);
    }
    return space_length(text, count);
}
