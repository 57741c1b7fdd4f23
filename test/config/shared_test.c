/* What all members must share, as text; what two texts have to say to each other; and what names a
 * run by them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "config/schema.h"
#include "config/shared.h"

static struct experiment x;
static const uint8_t tokenizer[CRYPTO_HASH_BYTES] = {0xab, 0xcd, 0xef, 0x01, 0x23};
static const uint8_t start[CRYPTO_DIGEST_BYTES] = {0x5a, 0x17};

static void read_with(const char *train, const char *more)
{
    char text[1024];
    struct why w;
    snprintf(text, sizeof text,
             "experiment: {name: a}\nmodel: {preset: 2m}\ndata: {corpus: c}\n"
             "train: {steps: 60, batch_tokens: 1024%s}\nouter: {every: 10}\n%s",
             train, more);
    enum err e = experiment_parse("e.yaml", bytes_of(text, strlen(text)), &x, &w);
    cr_assert_eq(e, ERR_OK, "%s", w.text);
}

static struct bytes text_of(const struct shared *s) { return bytes_of(s->text, s->count); }

static struct bytes string(const char *s) { return bytes_of(s, strlen(s)); }

static const char plain[] =
    "experiment.seed: 1\nmodel.layers: 2\nmodel.dim: 64\nmodel.heads: 2\nmodel.kv_heads: 2\n"
    "model.ffn: 256\nmodel.vocab: 1024\nmodel.context: 1024\nmodel.rope_theta: 10000\n"
    "model.rms_eps: 1e-5\nmodel.tied: false\ntrain.steps: 60\ntrain.batch_tokens: 1024\n"
    "train.optimizer.lr: 0.0004\ntrain.optimizer.betas: [0.9, 0.95]\ntrain.optimizer.eps: 1e-8\n"
    "train.optimizer.weight_decay: 0.1\ntrain.optimizer.clip: 1\ntrain.schedule.kind: cosine\n"
    "train.schedule.warmup: 6\ntrain.schedule.final: 0.1\ntrain.schedule.decay: 0.1\n"
    "outer.every: 10\nouter.count: tokens\nouter.optimizer.lr: 0.7\nouter.optimizer.momentum: 0.9\n"
    "outer.optimizer.nesterov: true\nouter.wire: int8\nouter.overlap: 0\nouter.fragments: 1\n"
    "outer.robust: false\n"
    "tokenizer: abcdef0123000000000000000000000000000000000000000000000000000000\n";

Test(shared, the_text_is_exactly_this)
{
    struct shared s;
    read_with("", "");
    shared_of(&x, tokenizer, NULL, &s);
    cr_assert_eq(s.count, strlen(s.text));
    cr_assert_str_eq(s.text, plain);
    shared_of(&x, tokenizer, start, &s);
    cr_assert_eq(memcmp(s.text, plain, sizeof plain - 1), 0);
    cr_assert_str_eq(s.text + sizeof plain - 1, "start: 5a170000000000000000000000000000\n");
}

/* The keys that the schema marks are those of SPEC.md, "The run", in its order. */
Test(shared, keys_are_those_of_the_specification)
{
    uint8_t *spec;
    size_t count;
    struct why w = {0};
    cr_assert_eq(file_read("SPEC.md", 1 << 20, &spec, &count, &w), ERR_OK, "%s", w.text);
    char *at = strstr((char *)spec, "\n    experiment.seed\n"), *end, *rest;
    cr_assert(at && (end = strstr(at, "\n\n")), "SPEC.md lists no shared keys");
    *end = 0;
    const char *named = strtok_r(at, " \n", &rest);
    for (size_t i = 0; i < schema_count; i++) {
        if (!schema_keys[i].shared) continue;
        cr_assert(named, "SPEC.md lacks %s", schema_keys[i].path);
        cr_assert_str_eq(named, schema_keys[i].path);
        named = strtok_r(NULL, " \n", &rest);
    }
    cr_assert_null(named, "SPEC.md has %s", named);
    free(spec);
}

#define KEY "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"

Test(shared, who_may_join_is_in_the_text)
{
    struct shared open, psk, ticket;
    read_with("", "");
    shared_of(&x, tokenizer, NULL, &open);
    cr_assert_null(strstr(open.text, "swarm.access"));
    read_with("", "swarm: {access: {psk: f}}\n");
    shared_of(&x, tokenizer, NULL, &psk);
    cr_assert_not_null(strstr(psk.text, "\nswarm.access: psk\n"));
    read_with("", "swarm: {access: {ticket: " KEY "}}\n");
    shared_of(&x, tokenizer, NULL, &ticket);
    cr_assert_not_null(strstr(ticket.text, "\nswarm.access: ticket 0123456789abcdef0123456789abcdef"
                                           "0123456789abcdef0123456789abcdef\n"),
                       "%s", ticket.text);
    char story[SHARED_STORY_BYTES];
    cr_assert_eq(shared_compare(text_of(&open), text_of(&ticket), story), 1);
    cr_assert_not_null(strstr(story, "swarm.access is none here and ticket 0123"), "%s", story);
}

Test(shared, the_start_is_read_back)
{
    struct shared s;
    uint8_t back[CRYPTO_DIGEST_BYTES];
    read_with("", "");
    shared_of(&x, tokenizer, NULL, &s);
    cr_assert_not(shared_start(&s, back));
    shared_of(&x, tokenizer, start, &s);
    cr_assert(shared_start(&s, back));
    cr_assert_arr_eq(back, start, sizeof start);
    s.text[s.count - 2] = 'g';
    cr_assert_not(shared_start(&s, back));
}

Test(shared, the_longest_text_leaves_room_for_as_much_again_as_a_third)
{
    struct shared s;
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        char *to = (char *)&x + k->offset;
        static const double longest[2] = {-1.2345678901234567e-300, -1.2345678901234567e-300};
        if (k->shared && k->type == SCHEMA_U32) memcpy(to, &(uint32_t){UINT32_MAX}, 4);
        if (k->shared && k->type == SCHEMA_U64) memcpy(to, &(uint64_t){UINT64_MAX}, 8);
        if (k->shared && k->type == SCHEMA_F64) memcpy(to, longest, k->count > 1 ? 16 : 8);
    }
    x.train.schedule.kind = SCHEDULE_CONSTANT;
    shared_of(&x, tokenizer, start, &s);
    cr_assert_lt(s.count, SHARED_BYTES_MAX * 3 / 4);
}

Test(shared, keys_that_differ_are_named_with_both_values)
{
    static const struct {
        const char *train, *more, *story;
        size_t count;
    } rows[] = {
        {"", "", "no key differs", 0},
        {"", "swarm: {listen: \"1.2.3.4:5\"}", "no key differs", 0},
        {", optimizer: {lr: 2e-3}", "", "train.optimizer.lr is 0.002 here and 0.0004 there", 1},
        {", optimizer: {betas: [0.8, 0.95]}, schedule: {kind: wsd}", "",
         "train.optimizer.betas is [0.8, 0.95] here and [0.9, 0.95] there, "
         "train.schedule.kind is wsd here and cosine there",
         2},
        {", optimizer: {lr: 1, eps: 0.1, clip: 2, weight_decay: 0}, schedule: {final: 1, warmup: "
         "7}",
         "",
         "train.optimizer.lr is 1 here and 0.0004 there, train.optimizer.eps is 0.1 here and 1e-8 "
         "there, train.optimizer.weight_decay is 0 here and 0.1 there, train.optimizer.clip is 2 "
         "here and 1 there, and 2 keys more",
         6},
    };
    struct shared s;
    char story[SHARED_STORY_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        read_with(rows[i].train, rows[i].more);
        shared_of(&x, tokenizer, NULL, &s);
        cr_assert_eq(shared_compare(text_of(&s), string(plain), story), rows[i].count);
        cr_assert_str_eq(story, rows[i].story);
    }
}

Test(shared, tokenizers_and_starts_are_told_by_their_first_digits)
{
    static const uint8_t other[CRYPTO_HASH_BYTES] = {0x99};
    struct shared s;
    char story[SHARED_STORY_BYTES];
    read_with("", "");
    shared_of(&x, other, start, &s);
    cr_assert_eq(shared_compare(text_of(&s), string(plain), story), 2);
    cr_assert_str_eq(story, "tokenizer is 99000000... here and abcdef01... there, "
                            "start is 5a170000... here and none there");
}

Test(shared, a_key_that_one_side_does_not_know_is_at_its_default)
{
    char story[SHARED_STORY_BYTES];
    struct bytes here = string("train.steps: 60\nmodel.tied: false\n");
    cr_assert_eq(shared_compare(here, string("train.steps: 60\n"), story), 0);
    cr_assert_eq(shared_compare(string("train.steps: 60\n"), here, story), 0);
    here = string("train.steps: 60\nmodel.tied: true\n");
    cr_assert_eq(shared_compare(here, string("train.steps: 60\n"), story), 1);
    cr_assert_str_eq(story, "model.tied is true here and none there");
    cr_assert_eq(
        shared_compare(string("train.steps: 60\n"), string("train.steps: 60\nnew.key: 3\n"), story),
        1);
    cr_assert_str_eq(story, "new.key is none here and 3 there");
}

Test(shared, what_is_no_such_text_says_nothing)
{
    static char much[SHARED_BYTES_MAX + 10];
    memset(much, 'a', sizeof much);
    memcpy(much, "a: ", 3);
    much[sizeof much - 1] = '\n';
    const struct bytes wrong[] = {
        string(""),      string("a"),         string("a: b"),
        string(": b\n"), string("a:b\n"),     string("a: b\n\n"),
        string("\n"),    string("a: b\nc\n"), bytes_of(much, sizeof much)};
    char story[SHARED_STORY_BYTES];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_eq(shared_compare(string(plain), wrong[i], story), 0);
        cr_assert_str_eq(story, "which keys differ is not known", "%zu", i);
        cr_assert_eq(shared_compare(wrong[i], string(plain), story), 0);
        cr_assert_str_eq(story, "which keys differ is not known", "%zu", i);
    }
}

Test(shared, a_peers_bytes_are_shown_as_plain_text_and_cut)
{
    char story[SHARED_STORY_BYTES];
    struct bytes there = bytes_of("train.steps: \033[2J\0\xff\n", 20);
    cr_assert_eq(shared_compare(string("train.steps: 60\n"), there, story), 1);
    cr_assert_str_eq(story, "train.steps is 60 here and ?[2J?? there");
    char much[400] = "train.steps: ";
    memset(much + 13, '9', sizeof much - 14);
    much[sizeof much - 1] = '\n';
    shared_compare(string("train.steps: 60\n"), bytes_of(much, sizeof much), story);
    cr_assert(strstr(story, "999... there"), "%s", story);
}

/* In place of SHA-256: keeps what it was given. */
static char hashed[4096];

static void keep(void *self, const struct bytes *parts, size_t count,
                 uint8_t out[CRYPTO_HASH_BYTES])
{
    uint64_t h[4] = {1, 2, 3, 4};
    size_t used = 0;
    for (size_t p = 0; p < count; p++)
        for (size_t i = 0; i < parts[p].count; i++) {
            if (used + 1 < sizeof hashed) hashed[used++] = (char)parts[p].data[i];
            for (size_t k = 0; k < 4; k++) h[k] = rng_at(h[k], parts[p].data[i]);
        }
    hashed[used] = 0;
    memcpy(out, h, CRYPTO_HASH_BYTES);
}

static const struct crypto crypto = {.hash = keep};

/* SPEC.md's example. */
Test(shared, the_second_layout_leaves_out_what_stands_at_its_default)
{
    struct shared_ids ids;
    read_with(", optimizer: {clip: 1.0, lr: 2e-3}", "");
    shared_ids_of(&x, tokenizer, NULL, &crypto, &ids);
    cr_assert_str_eq(
        hashed, "shoal run 2\nmodel.layers: 2\nmodel.dim: 64\nmodel.heads: 2\n"
                "model.kv_heads: 2\nmodel.ffn: 256\nmodel.vocab: 1024\ntrain.steps: 60\n"
                "train.batch_tokens: 1024\ntrain.optimizer.lr: 0.002\n"
                "train.schedule.warmup: 6\nouter.every: 10\n"
                "tokenizer: abcdef0123000000000000000000000000000000000000000000000000000000\n");
}

Test(shared, a_run_that_layout_1_describes_has_its_name_and_one_with_a_start_has_not)
{
    struct shared_ids a, b;
    uint8_t layout1[CRYPTO_DIGEST_BYTES];
    read_with("", "");
    experiment_run_id(&x, tokenizer, &crypto, layout1);
    shared_ids_of(&x, tokenizer, NULL, &crypto, &a);
    shared_ids_of(&x, tokenizer, start, &crypto, &b);
    cr_assert_arr_eq(shared_run_id(&a), layout1, sizeof layout1);
    cr_assert(shared_is_run(&a, a.layout1) && shared_is_run(&a, a.layout2));
    cr_assert_arr_eq(shared_run_id(&b), b.layout2, sizeof layout1);
    cr_assert(shared_is_run(&b, b.layout2) && !shared_is_run(&b, layout1));
    cr_assert(!shared_is_run(&a, b.layout2) && !shared_is_run(&b, a.layout2));
}
