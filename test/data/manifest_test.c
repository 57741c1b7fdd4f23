#include "data/manifest.h"

#include "sample.h"

static struct shard_header shards[] = {
    {.id_bytes = 2,
     .split = 0,
     .index = 0,
     .count = 100,
     .before = 0,
     .checksum = 1,
     .tokenizer = 9},
    {.id_bytes = 2,
     .split = 0,
     .index = 1,
     .count = 50,
     .before = 100,
     .checksum = 2,
     .tokenizer = 9},
    {.id_bytes = 2,
     .split = 1,
     .index = 0,
     .count = 20,
     .before = 0,
     .checksum = 3,
     .tokenizer = 9},
};

static struct manifest some(void)
{
    return (struct manifest){.splits = {{7, 500, 150}, {1, 60, 20}},
                             .files = 2,
                             .invalid_utf8 = 3,
                             .vocab = 300,
                             .end_of_text = 0,
                             .tokenizer = 9,
                             .validation = 0.01,
                             .unigram_entropy = 1.25,
                             .shards = shards,
                             .shard_count = 3};
}

static struct why w;

static enum err parse(const char *text, struct manifest *m)
{
    w.text[0] = 0;
    return manifest_parse("manifest.json", bytes_of(text, strlen(text)), m, &w);
}

Test(manifest, reads_what_it_wrote)
{
    struct manifest m = some(), back;
    char *text = manifest_print(&m, "1.2.3");
    cr_assert_eq(parse(text, &back), ERR_OK, "%s", w.text);
    cr_assert_eq(back.shard_count, 3);
    for (size_t i = 0; i < 3; i++) cr_assert(headers_equal(&back.shards[i], &shards[i]));
    cr_assert_eq(memcmp(back.splits, m.splits, sizeof m.splits), 0);
    cr_assert_eq(back.unigram_entropy, m.unigram_entropy);
    cr_assert_eq(back.validation, m.validation);
    cr_assert_eq(back.invalid_utf8, 3);
    cr_assert_eq(back.tokenizer, 9);
    manifest_fini(&back);
    free(text);
}

/* White space and the order of keys are not content. */
Test(manifest, a_changed_character_is_found_wherever_it_is)
{
    struct manifest m = some(), back;
    char *text = manifest_print(&m, "1.2.3");
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if (strchr(" \n\t", text[i])) continue;
        text[i] ^= 1;
        cr_expect_eq(parse(text, &back), ERR_FORMAT, "character %zu of %s", i, text);
        cr_expect_not_null(strstr(w.text, "manifest.json"));
        text[i] ^= 1;
    }
    cr_assert_eq(parse(text, &back), ERR_OK);
    manifest_fini(&back);
    free(text);
}

Test(manifest, a_truncated_one_is_refused)
{
    struct manifest m = some(), back;
    char *text = manifest_print(&m, "1.2.3");
    for (size_t n = strlen(text); n-- > 0;) {
        text[n] = 0;
        cr_expect_eq(parse(text, &back), ERR_FORMAT, "%zu bytes", n);
    }
    free(text);
}

Test(manifest, another_version_is_named_and_another_format_refused)
{
    struct manifest back;
    cr_assert_eq(parse("{\"format\": \"shoal corpus\", \"version\": 2}", &back), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "another version of the corpus format"));
    cr_assert_eq(parse("{\"format\": \"other\", \"version\": 1}", &back), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "is not the manifest of a corpus"));
    cr_assert_eq(parse("[]", &back), ERR_FORMAT);
}

/* Its checksum is right, but what it says cannot be: made by another program, or by hand. */
Test(manifest, one_that_contradicts_itself_is_refused)
{
    struct manifest back;
    for (int i = 0; i < 8; i++) {
        struct manifest m = some();
        struct shard_header changed[3];
        memcpy(changed, shards, sizeof shards);
        m.shards = changed;
        switch (i) {
        case 0:
            m.splits[0].tokens++;
            break;
        case 1:
            m.splits[1].tokens--;
            break;
        case 2:
            m.end_of_text = 300;
            break;
        case 3:
            changed[1].index = 2;
            break;
        case 4:
            changed[2].count = 0;
            break;
        case 5:
            m.shard_count = 2;
            break;
        case 6:
            changed[0].id_bytes = 3;
            break;
        case 7:
            changed[1].count = UINT64_MAX / 2;
            break;
        }
        char *text = manifest_print(&m, "1");
        cr_expect_eq(parse(text, &back), ERR_FORMAT, "change %d", i);
        cr_expect_not_null(strstr(w.text, "contradicts itself"), "change %d: %s", i, w.text);
        free(text);
    }
}
