/* options.h -- the command line of a command, as a table, from which it is parsed, checked and
 * explained.
 *
 *     uint64_t steps = 0;
 *     const char *file;
 *     const struct option_row rows[] = {
 *         {"EXPERIMENT.yaml", .argument = true, .text = &file, .missing = "name a file"},
 *         {"steps", .whole = &steps, .least = 1, .most = 1000, .value = "N", .help = "stop there",
 *          .otherwise = "all"},
 *         {0}};
 *     struct options o = {.command = "shoal train", .about = "Trains.", .rows = rows};
 *     enum err e = options_take(&o, argc, argv, &w);
 *
 * It accepts what getopt_long accepts: --steps=5, --steps 5, unambiguous abbreviations, -n2 and -n
 * 2, options after arguments, and -- before arguments that begin with a dash. -h and --help always
 * exist. A mistake is reported in one sentence: what was found and what is allowed, or the nearest
 * option. */
#ifndef SHOAL_BASE_OPTIONS_H
#define SHOAL_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

#define OPTIONS_MAX      32  /* rows of a table */
#define OPTION_TEXTS_MAX 256 /* of one option; the number of arguments is unlimited */

struct option_texts { /* values of an option that may be repeated; views of argv */
    const char *items[OPTION_TEXTS_MAX];
    size_t count;
};

struct option_rest { /* all arguments after those with a row of their own */
    const char *const *items;
    size_t count;
};

struct option_row {
    const char *name; /* without dashes; for an argument its name in the usage */
    char letter;      /* short form; 0: none */
    bool argument;    /* positional, in the order of the table; not an option */

    /* Where the value is stored, which also gives its type: exactly one is set. The value there
     * beforehand is the default. */
    bool *flag;
    const char **text;
    struct option_texts *texts;
    struct option_rest *rest; /* the last argument */
    uint64_t *whole;          /* from `least` to `most` */
    double *real;             /* from `low` to `high`; `above`, `below`: excluding the bound */

    const char *value; /* the name of its value in the usage: "DIR" */
    const char *help;  /* what it does, without a full stop */
    /* Its default in words; NULL: the usage prints the value there unless it is 0 or NULL. */
    const char *otherwise;
    /* If required: the message for a command line without it. NULL: optional. */
    const char *missing;
    /* Allowed texts, ended by NULL; NULL: any that is not empty. */
    const char *const *words;
    bool empty; /* a text may be empty */
    uint64_t least, most;
    double low, high;
    bool above, below;
};

struct options {
    const char *command;           /* "shoal train" */
    const char *about;             /* what it does, one paragraph per line */
    const char *notes;             /* printed after the options, likewise; or NULL */
    const struct option_row *rows; /* ended by one without a name */
    bool help;                     /* output: -h or --help was given */
};

/* Parses the command line; argv may be reordered and must live as long as the results. argv[0] is
 * skipped. If help is requested, nothing else is an error. ERR_USAGE. */
enum err options_take(struct options *o, int argc, char **argv, struct why *w);

/* Prints how to use the command, at most 80 columns wide. */
void options_usage(const struct options *o, FILE *to);

/* Prints text at most 80 columns wide: lines break at spaces, lines after the first start at column
 * `indent`. `at`: the starting column. Ends with a newline. */
void options_wrap(FILE *to, const char *text, size_t at, size_t indent);

#endif
