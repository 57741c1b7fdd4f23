#include "data/utf8.h"

#include "sample.h"

Test(utf8, writes_and_reads_every_character)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint8_t utf8[4];
        size_t n = utf8_write(c, utf8), length;
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        uint32_t back = utf8_next(utf8, n, &length);
        cr_assert_eq(back, surrogate ? UTF8_INVALID : c, "U+%04X", c);
        cr_assert_eq(length, surrogate ? 1 : n, "U+%04X", c);
    }
}

static size_t repair(const char *from, size_t count, uint8_t *out, uint64_t *invalid)
{
    *invalid = 0;
    return utf8_repair(bytes_of(from, count), out, invalid);
}

/* The example of Table 3-8 of the standard: 61 F1 80 80 E1 80 C2 62 80 63 80 BF 64. */
Test(utf8, replaces_each_maximal_subpart_once)
{
    static const char bad[] = "\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64";
    uint8_t out[64];
    uint64_t invalid;
    size_t n = repair(bad, sizeof bad - 1, out, &invalid);
    const char *want = "a\ufffd\ufffd\ufffdb\ufffdc\ufffd\ufffdd";
    cr_assert_eq(n, strlen(want));
    cr_assert_eq(memcmp(out, want, n), 0);
    cr_assert_eq(invalid, 6);
}

Test(utf8, replaces_in_random_bytes_what_python_replaces)
{
    struct golden g = golden_open();
    struct text text = {0};
    struct fnv h = FNV_START;
    uint64_t invalid = 0;
    for (size_t i = 0; i < 20000; i++) {
        uint8_t out[128];
        text.count = 0;
        sample_bytes(5, i, &text);
        size_t n = utf8_repair(text_bytes(&text), out, &invalid);
        for (size_t at = 0, length; at < n; at += length)
            fnv_take(&h, &(uint32_t){utf8_next(out + at, n - at, &length)}, 1);
        fnv_take(&h, &(uint32_t){0x110000}, 1);
    }
    const json_t *want = json_object_get(g.root, "repaired");
    cr_assert(fnv_is(&h, want, 0));
    cr_assert_eq(invalid, (uint64_t)json_integer_value(json_array_get(want, 2)));
    golden_close(&g);
    free(text.data);
}

Test(utf8, leaves_valid_text_alone)
{
    struct golden g = golden_open();
    struct text text = {0};
    for (size_t i = 0; i < 1000; i++) {
        text.count = 0;
        sample(&g, 6, i, &text);
        uint8_t *out = malloc(3 * text.count + 1);
        uint64_t invalid = 0;
        cr_assert_eq(utf8_repair(text_bytes(&text), out, &invalid), text.count);
        cr_assert(text.count == 0 || !memcmp(out, text.data, text.count));
        cr_assert_eq(invalid, 0);
        free(out);
    }
    golden_close(&g);
    free(text.data);
}
