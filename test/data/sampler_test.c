#include "data/sampler.h"

#include "corpora.h"
#include "test/folder.h"

#define TRAIN    10007u /* a prime: windows never fit exactly */
#define CONTEXT  16u
#define ROW      (CONTEXT + 1)
#define WINDOWS  (TRAIN / CONTEXT)
#define LEFT_OUT (TRAIN - WINDOWS * CONTEXT) /* tokens of a pass that are not read */

static struct corpus *c;
static struct why w;
static uint8_t identity[SAMPLER_IDENTITY_BYTES];

static void begin(void)
{
    folder_make();
    make_corpus(folder, TRAIN, 100, 3000, 0);
    cr_assert_eq(corpus_open(folder, &c, &w), ERR_OK, "%s", w.text);
    for (int i = 0; i < SAMPLER_IDENTITY_BYTES; i++) identity[i] = (uint8_t)(i * 7);
}

static void end(void)
{
    corpus_close(c);
    folder_drop();
}

TestSuite(sampler, .init = begin, .fini = end);

static struct sampler sampler_of(uint64_t seed, uint8_t worker)
{
    struct sampler s;
    identity[31] = worker;
    cr_assert_eq(sampler_init(&s, c, seed, identity, CONTEXT, &w), ERR_OK, "%s", w.text);
    return s;
}

static uint32_t first_of(const struct sampler *s, uint64_t position)
{
    uint32_t row[ROW];
    sampler_fill(s, position, 1, row);
    return row[0];
}

Test(sampler, a_sequence_is_a_stretch_of_the_ring)
{
    struct sampler s = sampler_of(1, 1);
    uint32_t row[ROW];
    int around = 0;
    for (uint64_t i = 0; i < 5000; i++) {
        sampler_fill(&s, i, 1, row);
        for (uint32_t k = 0; k < ROW; k++) cr_assert_eq(row[k], (row[0] + k) % TRAIN);
        around += row[CONTEXT] < row[0];
    }
    cr_assert_gt(around, 0, "no sequence went over the end of the ring");
}

Test(sampler, is_a_pure_function_of_seed_identity_and_position)
{
    struct sampler s = sampler_of(5, 9), again = sampler_of(5, 9);
    uint32_t many[100 * ROW], one[ROW];
    sampler_fill(&s, 1234, 100, many);
    for (size_t i = 100; i-- > 0;) {
        sampler_fill(&again, 1234 + i, 1, one);
        cr_assert_eq(memcmp(one, many + i * ROW, sizeof one), 0);
    }
}

Test(sampler, a_pass_reads_each_token_at_most_once_and_leaves_out_less_than_a_window)
{
    static uint8_t seen[TRAIN];
    struct sampler s = sampler_of(2, 3);
    for (uint64_t pass = 0; pass < 20; pass++) {
        uint32_t row[ROW], read = 0;
        memset(seen, 0, sizeof seen);
        for (uint64_t i = 0; i < WINDOWS; i++) {
            sampler_fill(&s, pass * WINDOWS + i, 1, row);
            for (uint32_t k = 0; k < CONTEXT; k++) {
                cr_assert_eq(seen[row[k]]++, 0, "token %u is read twice in pass %d", row[k],
                             (int)pass);
                read++;
            }
        }
        cr_assert_eq(read, TRAIN - LEFT_OUT);
    }
}

/* Each token is left out of LEFT_OUT / TRAIN of the passes: of 3000 that is 2.1 on average. If that
 * is chance, 15 are seen once in a billion tokens (Poisson); were it always the same place, they
 * would be 3000 there. */
Test(sampler, over_many_passes_no_part_is_left_out_more_than_another)
{
    static uint32_t seen[TRAIN];
    struct sampler s = sampler_of(3, 4);
    uint32_t row[ROW];
    for (uint64_t i = 0; i < 3000 * (uint64_t)WINDOWS; i++) {
        sampler_fill(&s, i, 1, row);
        for (uint32_t k = 0; k < CONTEXT; k++) seen[row[k]]++;
    }
    for (uint32_t t = 0; t < TRAIN; t++)
        cr_assert(seen[t] <= 3000 && seen[t] >= 2985, "token %u: %u", t, seen[t]);
}

/* 200 workers read a tenth of a pass each: every hundredth of the corpus gets its share. About
 * 12,500 windows over 100 parts are 125 +- 11 each. */
Test(sampler, many_workers_together_read_evenly_long_before_a_pass_is_over)
{
    uint32_t parts[100] = {0};
    for (int worker = 0; worker < 200; worker++) {
        struct sampler s = sampler_of(4, (uint8_t)worker);
        for (uint64_t i = 0; i < WINDOWS / 10; i++) parts[first_of(&s, i) * 100 / TRAIN]++;
    }
    for (int i = 0; i < 100; i++)
        cr_expect(parts[i] > 65 && parts[i] < 185, "part %d: %u", i, parts[i]);
}

/* Two random orders of 625 windows from random starts agree in about 1/10007 of the places. */
Test(sampler, another_seed_identity_or_pass_gives_another_order)
{
    struct sampler a = sampler_of(6, 1), b = sampler_of(6, 2), d = sampler_of(7, 1);
    int same_identity = 0, same_seed = 0, same_pass = 0, follow = 0;
    for (uint64_t i = 0; i < WINDOWS; i++) {
        same_identity += first_of(&a, i) == first_of(&b, i);
        same_seed += first_of(&a, i) == first_of(&d, i);
        same_pass += first_of(&a, i) == first_of(&a, i + WINDOWS);
        follow += (first_of(&a, i) + CONTEXT) % TRAIN == first_of(&a, i + 1);
    }
    cr_expect_lt(same_identity, 4);
    cr_expect_lt(same_seed, 4);
    cr_expect_lt(same_pass, 4);
    cr_expect_lt(follow, 8, "windows come in the order of the text");
}

Test(sampler, each_byte_of_the_identity_matters)
{
    struct sampler s = sampler_of(8, 8);
    uint64_t keys[SAMPLER_IDENTITY_BYTES];
    for (int i = 0; i < SAMPLER_IDENTITY_BYTES; i++) {
        struct sampler x;
        identity[i] ^= 1;
        cr_assert_eq(sampler_init(&x, c, 8, identity, CONTEXT, &w), ERR_OK);
        identity[i] ^= 1;
        keys[i] = x.key;
        cr_expect_neq(x.key, s.key);
        for (int k = 0; k < i; k++) cr_expect_neq(keys[k], x.key);
    }
}

/* What these three numbers give is part of what a run is: it must not change unnoticed. */
Test(sampler, gives_what_it_always_gave)
{
    struct sampler s = sampler_of(42, 0);
    static const uint32_t want[] = {4896, 8023, 8656, 2185, 3116, 9012, 553, 9026};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        cr_expect_eq(first_of(&s, i * 1000), want[i], "%zu: %u", i, first_of(&s, i * 1000));
}

Test(sampler, works_with_as_little_text_as_there_may_be)
{
    uint32_t row[100];
    struct sampler s;
    cr_assert_eq(sampler_init(&s, c, 1, identity, 99, &w), ERR_OK, "%s", w.text);
    for (uint64_t i = 0; i < 500; i++) sampler_fill(&s, i, 1, row);
    cr_assert_eq(sampler_init(&s, c, 1, identity, 100, &w), ERR_USAGE);
    cr_assert_not_null(strstr(w.text, "100 validation tokens"));
    cr_assert_not_null(strstr(w.text, "lower model.context"));
    cr_assert_eq(sampler_init(&s, c, 1, identity, TRAIN, &w), ERR_USAGE);
    cr_assert_not_null(strstr(w.text, "training tokens"));
    c->tokens[CORPUS_TRAIN] = 100; /* one window: the permutation of one thing */
    cr_assert_eq(sampler_init(&s, c, 1, identity, 99, &w), ERR_OK);
    for (uint64_t i = 0; i < 500; i++) sampler_fill(&s, i, 1, row);
}

Test(sampler, validation_windows_follow_each_other)
{
    uint32_t row[ROW];
    cr_assert_eq(sampler_validation_count(c, CONTEXT), 6); /* 100 tokens: 6 * 16 + 1 are needed */
    for (uint64_t i = 0; i < 6; i++) {
        sampler_validation(c, CONTEXT, i, row);
        for (uint32_t k = 0; k < ROW; k++)
            cr_assert_eq(row[k], CORPORA_VALIDATION_FIRST + i * CONTEXT + k);
    }
    cr_assert_eq(sampler_validation_count(c, 99), 1);
    cr_assert_eq(sampler_validation_count(c, 100), 0);
}
