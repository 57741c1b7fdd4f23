/* options.h -- the command line of one command, as a table: it is parsed, checked and explained
 * from that.
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
 * It takes what getopt_long takes: --steps=5, --steps 5, the start of a name that only one option
 * has, -n2 and -n 2, options behind arguments, and -- before arguments that begin with a dash. -h
 * and --help are always there. A mistake is answered with one sentence: what was found and what is
 * allowed, or the nearest option. */
#ifndef SHOAL_BASE_OPTIONS_H
#define SHOAL_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

#define OPTIONS_MAX      32  /* rows of a table */
#define OPTION_TEXTS_MAX 256 /* of one option; arguments may be any number */

struct option_texts { /* what an option brought that may be given several times; views of argv */
    const char *items[OPTION_TEXTS_MAX];
    size_t count;
};

struct option_rest { /* all arguments behind those that have a row of their own */
    const char *const *items;
    size_t count;
};

struct option_row {
    const char *name; /* without dashes; an argument's as the usage names it */
    char letter;      /* of its short form; 0: none */
    bool argument;    /* takes its place in the order of the table; no option */

    /* Where it goes, and with that what it is: exactly one is set. What lies there before is its
     * default. */
    bool *flag;
    const char **text;
    struct option_texts *texts;
    struct option_rest *rest; /* an argument, the last one */
    uint64_t *whole;          /* from `least` to `most` */
    double *real;             /* from `low` to `high`; `above`, `below`: not these themselves */

    const char *value; /* the name of its value in the usage: "DIR" */
    const char *help;  /* what it does, without a full stop */
    /* Its default in words; NULL: the usage prints what is there unless that is 0 or NULL. */
    const char *otherwise;
    /* It must be given: the sentence for a command line without it. NULL: it may be left out. */
    const char *missing;
    /* A text is one of these, ended by NULL; NULL: any that is not empty. */
    const char *const *words;
    bool empty; /* a text may be empty */
    uint64_t least, most;
    double low, high;
    bool above, below;
};

struct options {
    const char *command;           /* "shoal train" */
    const char *about;             /* what it does, one paragraph a line */
    const char *notes;             /* printed behind the options, likewise; or NULL */
    const struct option_row *rows; /* ended by one without a name */
    bool help;                     /* out: -h or --help was given */
};

/* Takes the command line; argv may be reordered and is lent as long as the results are used.
 * argv[0] is skipped. Where help was asked for, nothing else is an error. ERR_USAGE. */
enum err options_take(struct options *o, int argc, char **argv, struct why *w);

/* Prints how to use the command, at most 80 columns wide. */
void options_usage(const struct options *o, FILE *to);

/* Prints text at most 80 columns wide: lines break at spaces, those behind the first begin at
 * column `indent`. `at` is the column where it begins. Ends with a newline. */
void options_wrap(FILE *to, const char *text, size_t at, size_t indent);

#endif
