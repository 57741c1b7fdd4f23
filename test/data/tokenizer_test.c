#include "data/tokenizer.h"

#include "sample.h"

static struct golden golden;
static struct tokenizer *t;
static struct tokenizer_cache *cache;
static struct text text;
static uint32_t *ids;
static size_t ids_room, count;

static void open_tokenizer(const char *path)
{
    struct why w;
    cr_assert_eq(tokenizer_read(path, &t, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(tokenizer_cache_open(t, &cache, &w), ERR_OK, "%s", w.text);
}

static void begin(void) { golden = golden_open(); }

static void end(void)
{
    golden_close(&golden);
    tokenizer_cache_close(cache);
    tokenizer_close(t);
    free(text.data);
    free(ids);
}

TestSuite(tokenizer, .init = begin, .fini = end, .timeout = 60);

static void encode_with(struct tokenizer_cache *c, struct bytes b)
{
    struct why w;
    if (ids_room < b.count + 1) {
        ids_room = 2 * b.count + 64;
        ids = realloc(ids, ids_room * sizeof *ids);
    }
    cr_assert_eq(tokenizer_encode(t, c, b, ids, &count, &w), ERR_OK, "%s", w.text);
    cr_assert_leq(count, b.count);
}

static void encode(void) { encode_with(cache, text_bytes(&text)); }

Test(tokenizer, encodes_nasty_texts_as_tokenizers_does)
{
    open_tokenizer(GOLDEN_TOKENIZER);
    size_t i;
    json_t *x;
    json_array_foreach(json_object_get(golden.root, "cases"), i, x)
    {
        json_t *said = json_object_get(x, "text"), *want = json_object_get(x, "ids");
        text.count = 0;
        text_add(&text, json_string_value(said), json_string_length(said));
        encode();
        cr_expect_eq(count, json_array_size(want), "%zu ids for '%s'", count,
                     json_string_value(said));
        for (size_t k = 0; k < count && k < json_array_size(want); k++)
            cr_expect_eq(ids[k], json_integer_value(json_array_get(want, k)), "id %zu of '%s'", k,
                         json_string_value(said));
    }
    cr_assert_gt(i, 90);
}

/* around() of tokenizer.py */
static void add_around(uint32_t c)
{
    static const char *const between[] = {"a", "b", "", "1 ", "2", "! ", "\n"};
    for (size_t i = 0; i < sizeof between / sizeof between[0]; i++) {
        text_add_string(&text, between[i]);
        text_add_character(&text, c);
    }
}

Test(tokenizer, encodes_every_character_of_unicode_14_as_tokenizers_does)
{
    open_tokenizer(GOLDEN_TOKENIZER);
    size_t i, at = 0;
    json_t *block;
    json_array_foreach(json_object_get(golden.root, "characters"), i, block)
    {
        uint32_t first = (uint32_t)json_integer_value(json_array_get(block, 0));
        text.count = 0;
        while (at < golden.assigned_count && golden.assigned[at] < first + 1024)
            add_around(golden.assigned[at++]);
        encode();
        struct fnv h = FNV_START;
        fnv_take(&h, ids, count);
        cr_expect(fnv_is(&h, block, 1), "the ids differ somewhere in U+%04X .. U+%04X", first,
                  first + 1023);
    }
    cr_assert_eq(at, golden.assigned_count);
}

Test(tokenizer, encodes_ten_thousand_random_texts_as_tokenizers_does)
{
    open_tokenizer(GOLDEN_TOKENIZER);
    const json_t *want = json_object_get(golden.root, "random");
    for (size_t group = 0; group < 100; group++) {
        struct fnv h = FNV_START;
        for (size_t i = 0; i < 100; i++) {
            text.count = 0;
            sample(&golden, 3, group * 100 + i, &text);
            encode();
            fnv_take(&h, ids, count);
        }
        cr_expect(fnv_is(&h, json_array_get(want, group), 0), "the ids differ in group %zu", group);
    }
    cr_assert_eq(json_array_size(want), 100);
}

Test(tokenizer, merges_in_the_same_order_where_many_merges_make_one_token)
{
    open_tokenizer(GOLDEN_TANGLED);
    const json_t *want = json_object_get(golden.root, "tangled");
    for (size_t group = 0; group < 20; group++) {
        struct fnv h = FNV_START;
        for (size_t i = 0; i < 500; i++) {
            text.count = 0;
            sample_abc(4, group * 500 + i, &text);
            encode();
            fnv_take(&h, ids, count);
        }
        cr_expect(fnv_is(&h, json_array_get(want, group), 0), "the ids differ in group %zu", group);
    }
    cr_assert_eq(json_array_size(want), 20);
}

static void add_times(const char *s, size_t times)
{
    for (size_t i = 0; i < times; i++) text_add_string(&text, s);
}

/* A word of a million letters would take hours if merging were quadratic; the suite's time-out
 * would end it. */
Test(tokenizer, encodes_words_of_a_million_bytes)
{
    open_tokenizer(GOLDEN_TOKENIZER);
    const json_t *want = json_object_get(golden.root, "long");
    for (size_t i = 0; i < 4; i++) {
        text.count = 0;
        if (i == 0) add_times("a", 1000000);
        if (i == 1) add_times("ab", 300000);
        if (i == 2) add_times(" ", 100000), text_add_string(&text, "x");
        if (i == 3) add_times("the", 200000);
        encode();
        struct fnv h = FNV_START;
        fnv_take(&h, ids, count);
        cr_expect(fnv_is(&h, json_array_get(want, i), 0), "the ids of long word %zu differ", i);
    }
}

static void expect_same_back(struct bytes b)
{
    uint8_t *back = malloc(b.count + 1);
    size_t n = tokenizer_decode(t, ids, count, back, b.count);
    cr_expect_eq(n, b.count);
    cr_expect(n == b.count && !memcmp(back, b.data, n), "decoding gave something else");
    free(back);
}

Test(tokenizer, decodes_to_what_was_encoded)
{
    open_tokenizer(GOLDEN_TOKENIZER);
    for (size_t i = 0; i < 2000; i++) {
        text.count = 0;
        sample(&golden, 7, i, &text);
        encode();
        expect_same_back(text_bytes(&text));
    }
}

Test(tokenizer, decodes_to_what_was_encoded_even_if_it_was_no_text)
{
    open_tokenizer(GOLDEN_TOKENIZER);
    for (size_t i = 0; i < 5000; i++) {
        text.count = 0;
        sample_bytes(8, i, &text);
        encode();
        expect_same_back(text_bytes(&text));
    }
}

Test(tokenizer, gives_the_same_ids_without_a_cache)
{
    open_tokenizer(GOLDEN_TOKENIZER);
    for (size_t i = 0; i < 20; i++) {
        text.count = 0;
        sample(&golden, 9, i, &text);
        encode();
        struct fnv with = FNV_START, without = FNV_START;
        fnv_take(&with, ids, count);
        encode_with(NULL, text_bytes(&text));
        fnv_take(&without, ids, count);
        cr_expect_eq(with.value, without.value);
    }
}

Test(tokenizer, tells_its_size_and_its_end_of_text)
{
    open_tokenizer(GOLDEN_TOKENIZER);
    cr_assert_eq(tokenizer_vocab(t), 1500);
    cr_assert_eq(tokenizer_end_of_text(t), 0);
    struct bytes b = tokenizer_token(t, 0);
    cr_assert_eq(b.count, strlen(VOCABULARY_END_OF_TEXT));
    cr_assert_eq(memcmp(b.data, VOCABULARY_END_OF_TEXT, b.count), 0);
    cr_assert_eq(tokenizer_token(t, 1500).count, 0);
}

Test(tokenizer, decodes_into_what_room_there_is_and_tells_how_much_it_is)
{
    open_tokenizer(GOLDEN_TOKENIZER);
    uint8_t out[] = "........";
    text_add_string(&text, "the cat");
    encode();
    cr_assert_eq(tokenizer_decode(t, ids, count, out, 5), 7);
    cr_assert_eq(memcmp(out, "the c...", 8), 0);
}

Test(tokenizer, says_which_file_is_missing)
{
    struct why w;
    cr_assert_eq(tokenizer_read("no/such/tokenizer.json", &t, &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, "no/such/tokenizer.json"));
}
