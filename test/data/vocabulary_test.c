#include "data/vocabulary.h"

#include "data/tokenizer.h"
#include "sample.h"

static json_t *root;
static struct vocabulary v;
static struct why w;

static void begin(void)
{
    json_error_t error;
    root = json_load_file(GOLDEN_TOKENIZER, 0, &error);
    cr_assert_not_null(root);
}

static void end(void)
{
    json_decref(root);
    vocabulary_fini(&v);
}

TestSuite(vocabulary, .init = begin, .fini = end);

static enum err parse_root(void)
{
    char *text = json_dumps(root, 0);
    enum err e = vocabulary_parse("some.json", bytes_of(text, strlen(text)), &v, &w);
    free(text);
    return e;
}

/* Puts the JSON `value` at a path like "model.dropout"; an empty value deletes what is there. */
static void put(const char *path, const char *value)
{
    char part[64];
    json_t *o = root;
    for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
        snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        o = json_is_array(o) ? json_array_get(o, (size_t)atoi(part)) : json_object_get(o, part);
    }
    json_t *new = *value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    cr_assert(*value == 0 || new);
    if (!new) json_object_del(o, path);
    else if (json_is_array(o)) json_array_append_new(o, new);
    else json_object_set_new(o, path, new);
}

Test(vocabulary, the_letter_of_each_byte_is_that_of_gpt2)
{
    bool seen[256] = {false};
    for (uint32_t c = 0; c < 0x200; c++) {
        int byte = vocabulary_byte(c);
        if (byte < 0) continue;
        cr_assert_eq(vocabulary_letter((uint8_t)byte), c);
        cr_assert_not(seen[byte]);
        seen[byte] = true;
    }
    for (int i = 0; i < 256; i++) cr_assert(seen[i]);
    cr_assert_eq(vocabulary_letter(' '), 0x120);
    cr_assert_eq(vocabulary_letter('\n'), 0x10a);
    cr_assert_eq(vocabulary_letter(0x7f), 0x121);
    cr_assert_eq(vocabulary_letter(0xad), 0x143);
    cr_assert_eq(vocabulary_letter(0xae), 0xae);
}

Test(vocabulary, reads_what_it_wrote)
{
    struct vocabulary again;
    cr_assert_eq(parse_root(), ERR_OK, "%s", w.text);
    char *text = vocabulary_print(&v);
    cr_assert_eq(vocabulary_parse("x", bytes_of(text, strlen(text)), &again, &w), ERR_OK, "%s",
                 w.text);
    cr_assert_eq(again.count, v.count);
    cr_assert_eq(again.merge_count, v.merge_count);
    cr_assert_eq(memcmp(again.merges, v.merges, v.merge_count * sizeof *v.merges), 0);
    for (uint32_t i = 0; i < v.count; i++) {
        cr_assert_eq(again.tokens[i].count, v.tokens[i].count);
        cr_assert_eq(memcmp(again.tokens[i].data, v.tokens[i].data, v.tokens[i].count), 0);
    }
    vocabulary_fini(&again);
    free(text);
}

Test(vocabulary, writes_what_tokenizers_writes_but_for_white_space)
{
    cr_assert_eq(parse_root(), ERR_OK, "%s", w.text);
    char *text = vocabulary_print(&v);
    json_t *ours = json_loads(text, 0, NULL);
    cr_assert(json_equal(ours, root));
    json_decref(ours);
    free(text);
}

struct change {
    const char *path, *value, *sentence;
};

static void expect_refused(const struct change *changes, size_t count, enum err err)
{
    for (size_t i = 0; i < count; i++) {
        json_decref(root);
        begin();
        put(changes[i].path, changes[i].value);
        w.text[0] = 0;
        cr_expect_eq(parse_root(), err, "%s = %s was not refused so", changes[i].path,
                     changes[i].value);
        cr_expect_not_null(strstr(w.text, changes[i].sentence), "%s = %s gave: %s", changes[i].path,
                           changes[i].value, w.text);
        cr_expect_not_null(strstr(w.text, "some.json"), "no file name in: %s", w.text);
        vocabulary_fini(&v);
    }
}

Test(vocabulary, refuses_what_it_would_not_reproduce)
{
    static const struct change changes[] = {
        {"normalizer", "{\"type\": \"NFC\"}", "normalizer"},
        {"pre_tokenizer", "null", "pre_tokenizer is not ByteLevel"},
        {"pre_tokenizer.type", "\"Whitespace\"", "pre_tokenizer is not ByteLevel"},
        {"pre_tokenizer.add_prefix_space", "true", "add_prefix_space"},
        {"pre_tokenizer.use_regex", "false", "use_regex"},
        {"post_processor", "{\"type\": \"TemplateProcessing\"}", "post_processor"},
        {"decoder", "{\"type\": \"WordPiece\"}", "decoder"},
        {"truncation", "{\"max_length\": 512}", "truncates"},
        {"padding", "{\"length\": 512}", "pads"},
        {"model.type", "\"WordPiece\"", "not BPE"},
        {"model.type", "\"Unigram\"", "not BPE"},
        {"model.dropout", "0.1", "at random"},
        {"model.continuing_subword_prefix", "\"##\"", "parts of words"},
        {"model.end_of_word_suffix", "\"</w>\"", "parts of words"},
        {"model.byte_fallback", "true", "byte_fallback"},
        {"model.ignore_merges", "true", "ignore_merges"},
        {"model.wonder", "1", "wonder"},
        {"wonder", "1", "wonder"},
        {"added_tokens", "[]", "no added token <|endoftext|>"},
        {"added_tokens.1", "{\"id\": 1500, \"content\": \"\u0120qqx\"}",
         "would not decode to itself"},
        {"added_tokens.0.lstrip", "true", "what is around it"},
        {"added_tokens.0.rstrip", "true", "what is around it"},
        {"added_tokens.0.single_word", "true", "what is around it"},
        {"added_tokens.1", "{\"id\": 1500, \"content\": \"<x>\", \"normalized\": true}",
         "normalized"},
    };
    expect_refused(changes, sizeof changes / sizeof changes[0], ERR_UNSUPPORTED);
}

Test(vocabulary, refuses_what_is_damaged)
{
    static const struct change changes[] = {
        {"model", "null", "no model"},
        {"model.vocab", "[]", "no vocab"},
        {"model.merges", "{}", "no merges"},
        {"model.merges.0", "\"the\"", "not two tokens"},
        {"model.merges.0", "\"t h e\"", "not two tokens"},
        {"model.merges.0", "[\"t\", \"h\", \"e\"]", "not two tokens"},
        {"model.merges.0", "[\"t\", 7]", "not two tokens"},
        {"model.merges.0", "[\"qzx\", \"t\"]", "not in its vocab"},
        {"model.vocab.qzx", "7", "two tokens have one id"},
        {"model.vocab.qzx", "-1", "whole number"},
        {"model.vocab.qzx", "1.5", "whole number"},
        {"model.vocab.qzx", "\"1500\"", "whole number"},
        {"model.vocab.qzx", "4000000000", "whole number"},
        {"model.vocab.", "1500", "empty"},
        {"added_tokens.0.id", "5", "another id"},
        {"added_tokens.0.content", "\"\"", "no content"},
        {"added_tokens.1", "{\"id\": 1502, \"content\": \"<x>\"}", "whole number"},
    };
    expect_refused(changes, sizeof changes / sizeof changes[0], ERR_FORMAT);
}

Test(vocabulary, needs_all_256_bytes)
{
    json_object_del(json_object_get(json_object_get(root, "model"), "vocab"), "\u0120");
    put("model.merges", "[]");
    cr_assert_neq(parse_root(), ERR_OK);
}

Test(vocabulary, takes_more_special_tokens_and_files_that_say_less)
{
    put("added_tokens.1", "{\"id\": 1500, \"content\": \"<|pad|>\", \"special\": true}");
    put("pre_tokenizer.use_regex", "");
    put("model.ignore_merges", "");
    put("model.byte_fallback", "");
    cr_assert_eq(parse_root(), ERR_OK, "%s", w.text);
    cr_assert_eq(v.count, 1501);
    cr_assert_eq(v.special_count, 2);
}

Test(vocabulary, refuses_what_is_no_json)
{
    static const char *const texts[] = {"", "{", "[1, 2]", "nonsense", "{\"a\": 1, \"a\": 2}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_expect_eq(vocabulary_parse("x", bytes_of(texts[i], strlen(texts[i])), &v, &w),
                     ERR_FORMAT, "'%s'", texts[i]);
}
