#include "data/bpe.h"

#include "data/tokenizer.h"
#include "data/word.h"
#include "sample.h"

static struct lexicon words;
static struct vocabulary v;
static struct why w;

static void begin(void) { cr_assert_eq(word_init(&w), ERR_OK, "%s", w.text); }

static void end(void)
{
    lexicon_fini(&words);
    vocabulary_fini(&v);
}

TestSuite(bpe, .init = begin, .fini = end, .timeout = 60);

static void count_words(struct bytes text)
{
    for (size_t at = 0, n; at < text.count; at += n) {
        n = word_length(text.data + at, text.count - at);
        cr_assert_eq(lexicon_add(&words, bytes_of(text.data + at, n), 1, &w), ERR_OK);
    }
}

static void train(const char *text, uint32_t vocab)
{
    count_words(bytes_of(text, strlen(text)));
    cr_assert_eq(bpe_train(&words, vocab, NULL, &v, &w), ERR_OK, "%s", w.text);
}

static void expect_token(uint32_t id, const char *text)
{
    cr_assert_lt(id, v.count);
    cr_expect(v.tokens[id].count == strlen(text) && !memcmp(v.tokens[id].data, text, strlen(text)),
              "token %u is '%.*s', not '%s'", id, (int)v.tokens[id].count, v.tokens[id].data, text);
}

/* trained() of tokenizer.py: the same text gives the same vocabulary and merges. */
Test(bpe, learns_what_tokenizers_learns)
{
    struct golden g = golden_open();
    struct text text = {0};
    for (size_t i = 0; i < 12000; i++) sample(&g, 1, i, &text);
    count_words(text_bytes(&text));
    cr_assert_eq(bpe_train(&words, 1500, NULL, &v, &w), ERR_OK, "%s", w.text);
    char *ours = vocabulary_print(&v);
    json_t *learned = json_loads(ours, 0, NULL), *want = json_load_file(GOLDEN_TOKENIZER, 0, NULL);
    json_t *a = json_object_get(learned, "model"), *b = json_object_get(want, "model");
    cr_expect(json_equal(json_object_get(a, "merges"), json_object_get(b, "merges")));
    cr_expect(json_equal(json_object_get(a, "vocab"), json_object_get(b, "vocab")));
    json_decref(learned);
    json_decref(want);
    free(ours);
    free(text.data);
    golden_close(&g);
}

Test(bpe, merges_the_most_frequent_pair_first)
{
    train("ab ab ab cd cd", 261);
    cr_assert_eq(v.count, 261);
    expect_token(0, VOCABULARY_END_OF_TEXT);
    expect_token(257, "ab");
    expect_token(
        258, "cd"); /* of "cd", " a", " c", twice each, the smallest left id: a space is U+0120 */
    expect_token(259, " ab");
    expect_token(260, " cd");
}

Test(bpe, breaks_ties_by_the_smaller_ids)
{
    train("ba\nba\nab\nab", 258);
    expect_token(257, "ab");
}

Test(bpe, counts_overlapping_pairs_once)
{
    train("aaa\naaa", 300);
    expect_token(257, "aa");
    expect_token(258, "aaa");
    cr_assert_eq(v.count, 259);
}

Test(bpe, does_not_learn_from_what_occurs_once)
{
    train("abc def", 300);
    cr_assert_eq(v.count, 257);
    cr_assert_eq(v.merge_count, 0);
}

Test(bpe, learns_nothing_from_nothing)
{
    cr_assert_eq(bpe_train(&words, 300, NULL, &v, &w), ERR_OK);
    cr_assert_eq(v.count, 257);
    for (uint32_t i = 1; i < 257; i++) cr_assert_eq(v.tokens[i].count, 1);
}

Test(bpe, does_not_depend_on_the_order_of_the_words)
{
    static const char *const some[] = {"low", "lower", "newest", "widest", "new", "wide", "slow"};
    struct vocabulary other;
    for (size_t i = 0; i < 7; i++)
        lexicon_add(&words, bytes_of(some[i], strlen(some[i])), i + 2, &w);
    cr_assert_eq(bpe_train(&words, 290, NULL, &v, &w), ERR_OK);
    lexicon_clear(&words);
    for (size_t i = 7; i-- > 0;) lexicon_add(&words, bytes_of(some[i], strlen(some[i])), i + 2, &w);
    cr_assert_eq(bpe_train(&words, 290, NULL, &other, &w), ERR_OK);
    cr_assert_eq(other.count, v.count);
    cr_assert_gt(v.count, 265);
    cr_assert_eq(memcmp(other.merges, v.merges, v.merge_count * sizeof *v.merges), 0);
    vocabulary_fini(&other);
}

Test(lexicon, counts_words_and_keeps_their_order)
{
    for (int i = 0; i < 30000; i++) {
        char word[16];
        int n = snprintf(word, sizeof word, "w%d", i % 10000);
        cr_assert_eq(lexicon_add(&words, bytes_of(word, (size_t)n), 1, &w), ERR_OK);
    }
    cr_assert_eq(words.count, 10000);
    cr_assert_eq(words.words[17].times, 3);
    cr_assert_eq(memcmp(lexicon_bytes(&words, &words.words[17]).data, "w17", 3), 0);
    cr_assert_null(lexicon_find(&words, bytes_of("w10000", 6)));
    cr_assert_not_null(lexicon_find(&words, bytes_of("w9999", 5)));
    lexicon_fini(&words);
}

Test(lexicon, forgets_the_rarest_words_until_it_fits)
{
    for (int i = 0; i < 1000; i++) {
        char word[16];
        int n = snprintf(word, sizeof word, "w%d", i);
        lexicon_add(&words, bytes_of(word, (size_t)n), 1 + (uint64_t)i / 100, &w);
    }
    lexicon_prune(&words, 650, 1 << 20); /* those met 1 and 2 times and then up to 4 go */
    cr_assert_eq(words.count, 600);
    cr_assert_null(lexicon_find(&words, bytes_of("w399", 4)));
    cr_assert_eq(lexicon_find(&words, bytes_of("w400", 4))->times, 5);
    cr_assert_eq(lexicon_add(&words, bytes_of("w400", 4), 1, &w), ERR_OK);
    cr_assert_eq(lexicon_find(&words, bytes_of("w400", 4))->times, 6);
    lexicon_prune(&words, 1000, 100);
    cr_assert_leq(words.text_used, 100);
    lexicon_fini(&words);
}
