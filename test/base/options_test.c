#include <criterion/criterion.h>
#include <string.h>

#include "base/options.h"

static bool fresh, json;
static const char *file, *out, *preset, *prompt;
static struct option_texts peers;
static struct option_rest rest;
static uint64_t steps, workers;
static double share;
static struct why told;

static const char *const presets[] = {"2m", "14m", "150m", NULL};

static const struct option_row rows[] = {
    {"EXPERIMENT.yaml", .argument = true, .text = &file, .missing = "name an experiment"},
    {"PROMPT", .argument = true, .text = &prompt, .empty = true},
    {"steps", .whole = &steps, .least = 1, .most = 1000, .value = "N", .help = "stop there"},
    {"workers", 'n', .whole = &workers, .least = 1, .most = UINT64_MAX, .value = "N"},
    {"share", .real = &share, .low = 0, .high = 0.5, .above = true, .value = "X"},
    {"out", 'o', .text = &out, .value = "DIR", .help = "where it goes"},
    {"preset", .text = &preset, .value = "NAME", .words = presets},
    {"peers", .texts = &peers, .value = "PEER"},
    {"fresh", .flag = &fresh},
    {"json", 'j', .flag = &json},
    {0}};

static struct options table = {.command = "shoal test", .about = "Tries.", .rows = rows};

/* Takes a line of words with single spaces between; "_" is an empty word. */
static enum err take(const char *line)
{
    static char text[300];
    static char *argv[300]; /* results point into both */
    int argc = 1;
    fresh = json = false;
    file = out = preset = prompt = NULL;
    peers.count = 0;
    steps = workers = 0;
    share = 0;
    memset(&told, 0, sizeof told);
    snprintf(text, sizeof text, "%s", line);
    argv[0] = "test";
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = strcmp(word, "_") ? word : "";
    argv[argc] = NULL;
    return options_take(&table, argc, argv, &told);
}

Test(options, take_every_form_that_getopt_long_has)
{
    cr_assert_eq(take("a.yaml --steps=5 -n2 -o d --fresh"), ERR_OK, "%s", told.text);
    cr_assert_str_eq(file, "a.yaml");
    cr_assert_str_eq(out, "d");
    cr_assert(steps == 5 && workers == 2 && fresh && !json);
    cr_assert_eq(take("--steps 7 -n 3 -jod --pee x --peers=y a.yaml"), ERR_OK, "%s", told.text);
    cr_assert(steps == 7 && workers == 3 && json && peers.count == 2);
    cr_assert_str_eq(peers.items[1], "y");
    cr_assert_str_eq(out, "d");
}

Test(options, behind_two_dashes_are_arguments)
{
    cr_assert_eq(take("-j -- a.yaml --help"), ERR_OK, "%s", told.text);
    cr_assert(!table.help);
    cr_assert_str_eq(prompt, "--help");
}

Test(options, help_is_never_an_error)
{
    cr_assert_eq(take("--nonsense --steps=-1 -h"), ERR_OK);
    cr_assert(table.help);
    cr_assert_eq(steps, 0, "and nothing was taken");
    cr_assert_eq(take("a.yaml"), ERR_OK);
    cr_assert(!table.help);
}

Test(options, an_empty_text_is_taken_only_where_it_means_something)
{
    cr_assert_eq(take("a.yaml _"), ERR_OK);
    cr_assert_str_eq(prompt, "");
    cr_assert_eq(take("a.yaml --out="), ERR_USAGE);
}

/* What is wrong, and what the sentence must hold: what was found, and what is allowed. */
Test(options, refuse_with_what_was_found_and_what_is_allowed)
{
    static const struct {
        const char *line, *found, *allowed;
    } cases[] = {
        {"", "name an experiment", "shoal test --help"},
        {"a.yaml --steps -5", "--steps '-5'", "from 1 to 1000"},
        {"a.yaml --steps=1001", "'1001'", "from 1 to 1000"},
        {"a.yaml --steps=+5", "'+5'", "whole number"},
        {"a.yaml --steps=5x", "'5x'", "whole number"},
        {"a.yaml --steps=1e3", "'1e3'", "whole number"},
        {"a.yaml --steps=", "''", "whole number"},
        {"a.yaml --workers 99999999999999999999", "'99999999999999999999'",
         "from 1 to 18446744073709551615"},
        {"a.yaml --share=0", "--share '0'", "above 0 and at most 0.5"},
        {"a.yaml --share=nan", "'nan'", "a number above 0"},
        {"a.yaml --share=0.6", "'0.6'", "at most 0.5"},
        {"a.yaml --preset=15m", "'15m'", "2m, 14m or 150m; did you mean 14m?"},
        {"a.yaml --stpes 3", "--stpes", "did you mean --steps?"},
        {"a.yaml --pres3t=2m", "--pres3t", "did you mean --preset?"},
        {"a.yaml --tokenizer x", "--tokenizer", "shoal test --help"},
        {"a.yaml -x", "-x", "shoal test --help"},
        {"a.yaml --steps", "--steps needs a value: a whole number from 1 to 1000",
         "shoal test --help"},
        {"a.yaml -n", "-n needs a value: a whole number", "shoal test --help"},
        {"a.yaml --fresh=yes", "--fresh takes no value", "shoal test --help"},
        {"a.yaml p b.yaml", "'b.yaml' is one too many", "PROMPT 'p'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(take(cases[i].line), ERR_USAGE, "%s", cases[i].line);
        cr_assert(strstr(told.text, cases[i].found), "%s: %s", cases[i].line, told.text);
        cr_assert(strstr(told.text, cases[i].allowed), "%s: %s", cases[i].line, told.text);
    }
}

Test(options, more_texts_than_there_is_room_for_are_refused)
{
    static char *argv[2 * OPTION_TEXTS_MAX + 5] = {"test", "a.yaml"};
    int argc = 2;
    peers.count = 0;
    for (int i = 0; i <= OPTION_TEXTS_MAX; i++) argv[argc++] = "--peers", argv[argc++] = "p";
    cr_assert_eq(options_take(&table, argc, argv, &told), ERR_USAGE);
    cr_assert(strstr(told.text, "--peers may be given 256 times at most"), "%s", told.text);
}

Test(options, the_rest_goes_to_the_last_argument)
{
    const struct option_row own[] = {
        {"TEXT", .argument = true, .rest = &rest, .missing = "name a text"},
        {"json", .flag = &json},
        {0}};
    struct options o = {.command = "shoal test", .about = "Tries.", .rows = own};
    char *argv[] = {"test", "a", "--json", "b", NULL}, *none[] = {"test", NULL};
    cr_assert_eq(options_take(&o, 4, argv, &told), ERR_OK);
    cr_assert_eq(rest.count, 2);
    cr_assert_str_eq(rest.items[1], "b");
    cr_assert_eq(options_take(&o, 1, none, &told), ERR_USAGE);
    cr_assert(strstr(told.text, "name a text"));
}

static char usage[4000];

static void print_usage(void)
{
    FILE *to = fmemopen(usage, sizeof usage, "w");
    options_usage(&table, to);
    fclose(to);
}

Test(options, the_usage_tells_name_value_help_and_default)
{
    steps = 12;
    out = NULL;
    print_usage();
    cr_assert(strstr(usage, "usage: shoal test EXPERIMENT.yaml [PROMPT] [options]\n"), "%s", usage);
    cr_assert(strstr(usage, "      --steps N         stop there; default 12\n"), "%s", usage);
    cr_assert(strstr(usage, "  -o, --out DIR         where it goes\n"), "%s", usage);
    cr_assert(strstr(usage, "  -h, --help            print this\n"), "%s", usage);
}

Test(options, lines_of_the_usage_fit_80_columns)
{
    FILE *to = fmemopen(usage, sizeof usage, "w");
    fputs("x", to);
    options_wrap(to,
                 "one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
                 "fifteen sixteen seventeen\n  eighteen",
                 1, 24);
    fclose(to);
    cr_assert_str_eq(usage,
                     "x                       one two three four five six seven eight nine ten "
                     "eleven\n"
                     "                        twelve thirteen fourteen fifteen sixteen seventeen\n"
                     "                        eighteen\n");
}
