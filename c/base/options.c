#include "base/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"

#define LONG_BASE   256 /* getopt_long returns LONG_BASE + i for row i */
#define COLUMNS     80
#define HELP_COLUMN 24

#define OPTION_ALLOWED_BYTES 300

static size_t count_rows(const struct options *o)
{
    size_t n = 0;
    while (o->rows[n].name) n++;
    assert(n <= OPTIONS_MAX);
    return n;
}

static const char *or_empty(const char *s) { return s ? s : ""; }

/* The allowed values: "a whole number from 1 to 20". */
static const char *allowed(const struct option_row *r, char out[OPTION_ALLOWED_BYTES])
{
    size_t at = 0, room = OPTION_ALLOWED_BYTES;
    if (r->whole)
        snprintf(out, room, "a whole number from %" PRIu64 " to %" PRIu64, r->least, r->most);
    else if (r->real)
        snprintf(out, room, "a number %s %g and %s %g", r->above ? "above" : "of at least", r->low,
                 r->below ? "below" : "at most", r->high);
    else if (!r->words) snprintf(out, room, "%s", r->value ? r->value : r->name);
    for (size_t i = 0; r->words && r->words[i] && at < room; i++) {
        const char *gap = i == 0 ? "" : r->words[i + 1] ? ", " : " or ";
        at += (size_t)snprintf(out + at, room - at, "%s%s", gap, r->words[i]);
    }
    return out;
}

static bool parse_whole(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long v = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (!end || *end || errno || v < least || v > most) return false;
    *out = v;
    return true;
}

static bool parse_real(const struct option_row *r, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    bool fits = r->above ? v > r->low : v >= r->low;
    fits = fits && (r->below ? v < r->high : v <= r->high); /* neither holds for a NaN */
    if (end == text || *end || !fits || strchr(" \t\n", *text)) return false;
    *r->real = v;
    return true;
}

static bool is_word(const char *const *words, const char *text)
{
    for (; *words; words++)
        if (!strcmp(*words, text)) return true;
    return false;
}

/* `name`: as written, "-n" or "--workers". */
static enum err take(const struct option_row *r, const char *name, const char *text, struct why *w)
{
    char fits[OPTION_ALLOWED_BYTES];
    const char *near = NULL;
    bool good = true;
    if (r->flag) *r->flag = true;
    else if (r->whole) good = parse_whole(text, r->least, r->most, r->whole);
    else if (r->real) good = parse_real(r, text);
    else if (!*text && !r->empty)
        return why(w, ERR_USAGE, "%s is empty: it must be %s", name, allowed(r, fits));
    else if (r->words && !is_word(r->words, text)) {
        near = near_word(r->words, text, strlen(text));
        good = false;
    } else if (r->text) *r->text = text;
    else if (r->texts->count == OPTION_TEXTS_MAX)
        return why(w, ERR_USAGE, "%s may be given %d times at most", name, OPTION_TEXTS_MAX);
    else r->texts->items[r->texts->count++] = text;
    if (good) return ERR_OK;
    return why(w, ERR_USAGE, "%s '%.80s': it must be %s%s%s%s", name, text, allowed(r, fits),
               near ? "; did you mean " : "", or_empty(near), near ? "?" : "");
}

static const struct option_row *row_of_letter(const struct options *o, int letter)
{
    for (const struct option_row *r = o->rows; r->name; r++)
        if (r->letter == letter && !r->argument) return r;
    return NULL;
}

/* Reports what getopt_long did not accept; `given`: the word. */
static enum err refuse(const struct options *o, const char *given, struct why *w)
{
    const char *words[OPTIONS_MAX + 2], *name = given;
    size_t count = 0;
    if (optopt >= LONG_BASE)
        return why(w, ERR_USAGE, "--%s takes no value; see %s --help",
                   o->rows[optopt - LONG_BASE].name, o->command);
    if (optopt) /* a single letter, possibly one of several */
        return why(w, ERR_USAGE,
                   "there is no option -%c; see %s --help, and write -- before what only looks "
                   "like an option",
                   optopt, o->command);
    for (const struct option_row *r = o->rows; r->name; r++)
        if (!r->argument) words[count++] = r->name;
    words[count++] = "help";
    words[count] = NULL;
    while (*name == '-') name++;
    const char *near = near_word(words, name, strcspn(name, "="));
    return why(w, ERR_USAGE, "there is no option %.80s%s%s%s; see %s --help", given,
               near ? "; did you mean --" : "", or_empty(near), near ? "?" : "", o->command);
}

static enum err take_arguments(const struct options *o, int argc, char **argv, struct why *w)
{
    const struct option_row *last = NULL;
    int at = optind;
    for (const struct option_row *r = o->rows; r->name; r++) {
        if (!r->argument) continue;
        last = r;
        if (r->rest) {
            *r->rest = (struct option_rest){(const char *const *)argv + at, (size_t)(argc - at)};
            if (at == argc && r->missing)
                return why(w, ERR_USAGE, "%s; see %s --help", r->missing, o->command);
            return ERR_OK;
        }
        if (at < argc) {
            enum err e = take(r, r->name, argv[at++], w);
            if (e) return e;
        } else if (r->missing) {
            return why(w, ERR_USAGE, "%s; see %s --help", r->missing, o->command);
        }
    }
    if (at == argc) return ERR_OK;
    if (!last)
        return why(w, ERR_USAGE, "it takes no argument, but there is '%.80s'; see %s --help",
                   argv[at], o->command);
    return why(w, ERR_USAGE, "'%.80s' is one too many behind %s '%.80s'; see %s --help", argv[at],
               last->name, argv[at - 1], o->command);
}

/* Converts the table for getopt_long. */
static void spell(const struct options *o, size_t count, char letters[2 * OPTIONS_MAX + 8],
                  struct option *names)
{
    *letters++ = '-'; /* keeps the order of argv; skipped where arguments move to its end */
    *letters++ = ':'; /* distinguishes a missing value from an unknown option */
    *letters++ = 'h';
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct option_row *r = &o->rows[i];
        if (r->argument) continue;
        names[used++] = (struct option){r->name, r->flag ? no_argument : required_argument, NULL,
                                        LONG_BASE + (int)i};
        if (!r->letter) continue;
        *letters++ = r->letter;
        if (!r->flag) *letters++ = ':';
    }
    names[used++] = (struct option){"help", no_argument, NULL, 'h'};
    names[used] = (struct option){0};
    *letters = 0;
}

/* Is help requested, even if something else is wrong? */
static bool wants_help(int argc, char **argv, const char *letters, const struct option *names)
{
    bool help = false;
    optind = 0; /* glibc: reset */
    for (int c; (c = getopt_long(argc, argv, letters, names, NULL)) != -1;) help |= c == 'h';
    return help;
}

enum err options_take(struct options *o, int argc, char **argv, struct why *w)
{
    struct option names[OPTIONS_MAX + 2];
    char letters[2 * OPTIONS_MAX + 8], name[80], fits[OPTION_ALLOWED_BYTES];
    bool given[OPTIONS_MAX] = {false};
    const size_t count = count_rows(o);
    enum err e = ERR_OK;
    spell(o, count, letters, names);
    opterr = 0;
    o->help = wants_help(argc, argv, letters, names);
    if (o->help) return ERR_OK;
    optind = 0;
    for (int c; !e && (c = getopt_long(argc, argv, letters + 1, names, NULL)) != -1;) {
        const int which = c == ':' ? optopt : c;
        if (c == '?') return refuse(o, argv[optind - 1], w);
        const struct option_row *r =
            which >= LONG_BASE ? &o->rows[which - LONG_BASE] : row_of_letter(o, which);
        if (which >= LONG_BASE) snprintf(name, sizeof name, "--%s", r->name);
        else snprintf(name, sizeof name, "-%c", which);
        if (c == ':')
            return why(w, ERR_USAGE, "%s needs a value: %s; see %s --help", name, allowed(r, fits),
                       o->command);
        given[r - o->rows] = true;
        e = take(r, name, optarg, w);
    }
    if (!e) e = take_arguments(o, argc, argv, w);
    for (size_t i = 0; i < count && !e; i++)
        if (o->rows[i].missing && !o->rows[i].argument && !given[i])
            e = why(w, ERR_USAGE, "%s; see %s --help", o->rows[i].missing, o->command);
    return e;
}

void options_wrap(FILE *to, const char *text, size_t at, size_t indent)
{
    bool begins = true; /* nothing of this line is printed yet */
    while (*text) {
        if (*text == '\n') {
            fprintf(to, "\n");
            at = 0;
            begins = true;
            text++;
            continue;
        }
        size_t space = strspn(text, " "), word = strcspn(text + space, " \n");
        if (!begins && at + space + word > COLUMNS) {
            fprintf(to, "\n");
            at = 0;
            begins = true;
        }
        if (at < indent && begins) {
            fprintf(to, "%*s", (int)(indent - at), "");
            at = indent;
        }
        if (begins) text += space, space = 0;
        fprintf(to, "%.*s", (int)(space + word), text);
        at += space + word;
        text += space + word;
        begins = false;
    }
    fprintf(to, "\n");
}

/* The default of a row, as shown in the usage; empty when there is none. */
static void print_default(const struct option_row *r, char *out, size_t room)
{
    out[0] = 0;
    if (r->otherwise) snprintf(out, room, "; default %s", r->otherwise);
    else if (r->whole && *r->whole) snprintf(out, room, "; default %" PRIu64, *r->whole);
    else if (r->real && *r->real != 0) snprintf(out, room, "; default %g", *r->real);
    else if (r->text && *r->text) snprintf(out, room, "; default %s", *r->text);
}

static void print_row(const struct option_row *r, FILE *to)
{
    char left[100], text[700], initial[120];
    int at = r->argument ? snprintf(left, sizeof left, "  %s", r->name)
             : r->letter ? snprintf(left, sizeof left, "  -%c, --%s", r->letter, r->name)
                         : snprintf(left, sizeof left, "      --%s", r->name);
    if (!r->argument && !r->flag)
        at += snprintf(left + at, sizeof left - (size_t)at, " %s", or_empty(r->value));
    print_default(r, initial, sizeof initial);
    snprintf(text, sizeof text, "%s%s", or_empty(r->help), initial);
    fputs(left, to);
    if (at > HELP_COLUMN - 2) {
        fputs("\n", to);
        at = 0;
    }
    options_wrap(to, text, (size_t)at, HELP_COLUMN);
}

static void print_required(const struct option_row *r, FILE *to)
{
    if (r->letter) fprintf(to, " -%c %s", r->letter, or_empty(r->value));
    else fprintf(to, " --%s %s", r->name, or_empty(r->value));
}

void options_usage(const struct options *o, FILE *to)
{
    static const struct option_row help = {"help", 'h', .help = "print this"};
    fprintf(to, "usage: %s", o->command);
    for (const struct option_row *r = o->rows; r->name; r++)
        if (r->argument)
            fprintf(to, r->missing ? " %s%s" : " [%s%s]", r->name, r->rest ? "..." : "");
    for (const struct option_row *r = o->rows; r->name; r++)
        if (!r->argument && r->missing) print_required(r, to);
    fprintf(to, " [options]\n\n");
    options_wrap(to, o->about, 0, 0);
    fprintf(to, "\n");
    for (const struct option_row *r = o->rows; r->name; r++)
        if (r->argument && r->help) print_row(r, to);
    for (const struct option_row *r = o->rows; r->name; r++)
        if (!r->argument) print_row(r, to);
    bool flag = false;
    struct option_row last = help;
    last.flag = &flag;
    print_row(&last, to);
    if (!o->notes) return;
    fprintf(to, "\n");
    options_wrap(to, o->notes, 0, 0);
}
