/* What `shoal init` writes, without a file: it reads back to the same, whatever the preset and the
 * size of the text. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/draft.h"
#include "config/experiment.h"

static struct experiment x, again;
static const struct paths paths = {.file = "/home/me/runs/today", .working = "/home/me"};

static struct draft draft_of(const struct schema_preset *p, uint64_t tokens, uint64_t held_out)
{
    return (struct draft){.name = "mine",
                          .corpus = "../../corpora/mine",
                          .preset = p,
                          .vocab = 4096,
                          .tokens = tokens,
                          .held_out = held_out,
                          .passes = 4,
                          .paths = &paths};
}

static void make(struct draft *d)
{
    struct why w;
    char *text = NULL;
    size_t count = 0;
    enum err e = draft_make(d, &x, &w);
    cr_assert_eq(e, ERR_OK, "%s", w.text);
    FILE *f = open_memstream(&text, &count);
    draft_print(d, &x, "mine.yaml", f);
    fclose(f);
    e = experiment_parse("mine.yaml", bytes_of(text, count), &again, &w);
    cr_assert_eq(e, ERR_OK, "%s in:\n%s", w.text, text);
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        cr_assert(end == line || memchr(line, '#', (size_t)(end - line)) || end[-1] == ':',
                  "no comment: %.*s", (int)(end - line), line);
    }
    free(text);
    cr_assert_eq(again.train.steps, x.train.steps);
    cr_assert_eq(again.train.optimizer.lr, x.train.optimizer.lr);
    cr_assert_eq(memcmp(&again.model, &x.model, sizeof x.model), 0);
    cr_assert_eq(memcmp(&again.swarm, &x.swarm, sizeof x.swarm), 0);
    cr_assert_str_eq(again.data.corpus, x.data.corpus);
}

Test(draft, reads_back_whatever_preset_and_text)
{
    for (const struct schema_preset *p = schema_presets; p->name; p++)
        for (uint64_t tokens = 200; tokens < 1ull << 42; tokens *= 7) {
            struct draft d = draft_of(p, tokens, tokens / 100 + 9);
            make(&d);
            double passes = (double)x.train.steps * (double)x.train.batch_tokens / (double)tokens;
            cr_assert_eq(x.model.vocab, 4096);
            cr_assert_lt(x.model.context, d.held_out);
            cr_assert_geq(experiment_epochs(&x), 10);
            cr_assert_geq(x.train.steps, 100);
            cr_assert(passes >= 4, "%g passes over %llu", passes, (unsigned long long)tokens);
            cr_assert(passes < 6 || x.train.steps == 100, "%g passes over %llu", passes,
                      (unsigned long long)tokens);
        }
}

Test(draft, the_rest_follows_from_what_is_set)
{
    static const char *const sets[][2] = {{"train.steps=12", "train.batch_tokens=1000"},
                                          {"train.steps=7", "outer.every=7"},
                                          {"outer.every=33", "model.context=96"},
                                          {"train.steps=991", "train.schedule.warmup=3"},
                                          {"model.context=2048", "train.precision=bf16"}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct draft d = draft_of(&schema_presets[1], 3000000, 40000);
        d.sets = sets[i];
        d.sets_count = 2;
        make(&d);
        cr_assert_eq(x.train.steps % x.outer.every, 0);
        if (i == 0) cr_assert_eq(x.train.steps, 12);
        if (i == 2) cr_assert_eq(x.model.context, 96);
    }
}

Test(draft, what_is_set_wrong_is_said_of_the_key)
{
    static const struct {
        const char *set, *want;
    } rows[] = {{"train.steps=many", "--set train.steps: "},
                {"train.steps=0", "--set train.steps: "},
                {"model.context=4", "--set model.context: "},
                {"train.batch_tokens=1001", "--set train.batch_tokens: "},
                {"outer.evry=5", "did you mean outer.every?"},
                {"outer.every", "--set outer.every=VALUE"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct why w = {0};
        struct draft d = draft_of(&schema_presets[0], 3000000, 40000);
        d.sets = &rows[i].set;
        d.sets_count = 1;
        cr_assert_eq(draft_make(&d, &x, &w), ERR_USAGE);
        cr_assert(strstr(w.text, rows[i].want), "%s", w.text);
    }
}

Test(draft, paths_that_are_set_start_from_the_working_folder)
{
    static const char *const sets[] = {"swarm.peers=[lists/a.txt, /b.txt]",
                                       "checkpoint.dir=../save",
                                       "metrics.log=/var/log/shoal.jsonl"};
    struct draft d = draft_of(&schema_presets[0], 3000000, 40000);
    d.sets = sets;
    d.sets_count = 3;
    make(&d);
    cr_assert_str_eq(again.swarm.peers[0], "../../lists/a.txt");
    cr_assert_str_eq(again.swarm.peers[1], "/b.txt");
    cr_assert_str_eq(again.checkpoint.dir, "../../../save");
    cr_assert_str_eq(again.metrics.log, "/var/log/shoal.jsonl");
    cr_assert_str_eq(again.swarm.identity, "node.key");
}

Test(draft, relative_paths)
{
    static const char *const rows[][3] = {
        {"/a/b", "/a/b/c", "c"},   {"/a/b", "/a/c", "../c"}, {"/a/b", "/a/bc", "../bc"},
        {"/a/bc", "/a/b", "../b"}, {"/a/b", "/a/b", "."},    {"/a/b", "/a", ".."},
        {"/a/b", "/", "../.."},    {"/", "/a/b", "a/b"},     {"/a", "/b/c", "../b/c"},
        {"/a/b/c", "/a", "../.."}, {"/", "/", "."}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[EXPERIMENT_PATH_BYTES], back[EXPERIMENT_PATH_BYTES];
        cr_assert(paths_relative(rows[i][0], rows[i][1], out));
        cr_assert_str_eq(out, rows[i][2], "%s from %s: %s", rows[i][1], rows[i][0], out);
        cr_assert(paths_join(rows[i][0], out, back));
        cr_assert_str_eq(back, rows[i][1]);
    }
}

Test(draft, names)
{
    static const char *const rows[][2] = {{"corpora/mine/", "mine"}, {"a b.yaml", "a-b"},
                                          {"x/.hidden", "mine"},     {"/", "mine"},
                                          {"v1.2.yaml", "v1.2"},     {"\xc3\xa4rger", "mine"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[EXPERIMENT_NAME_BYTES];
        draft_name(rows[i][0], out);
        cr_assert_str_eq(out, rows[i][1]);
    }
}
