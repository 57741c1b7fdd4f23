/* print.c -- an experiment as YAML that reads back to the same values, or as JSON for programs. */
#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment.h"
#include "config/schema.h"
#include "config/value.h"

/* One line of output under construction; comments are aligned in a column. */
struct line {
    FILE *to;
    int column;
    bool json; /* quote all words */
};

static void say(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vfprintf(l->to, format, args);
    va_end(args);
    if (n > 0) l->column += n;
}

/* The fewest digits that read back to the same number; as 4e-4, not 4e-04, and 10000, not 1e+04. */
static void say_number(struct line *l, double v)
{
    char text[32];
    if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v) {
        say(l, "%" PRId64, (int64_t)v);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    char *exponent = strstr(text, "e-0");
    if (exponent) memmove(exponent + 2, exponent + 3, strlen(exponent + 3) + 1);
    say(l, "%s", text);
}

/* Unquoted where YAML and value_look read it as a word, otherwise in quotes. */
static void say_text(struct line *l, const char *text)
{
    bool word = isalpha((unsigned char)*text) && value_look(text, strlen(text)) == VALUE_WORD;
    bool plain = word && !l->json;
    for (const char *c = text; *c && plain; c++)
        plain = isalnum((unsigned char)*c) || strchr("-_./", *c);
    if (plain) {
        say(l, "%s", text);
        return;
    }
    say(l, "\"");
    char quoted[8];
    for (size_t left = strlen(text), n; left; text += n, left -= n) {
        n = tree_quoted(text, left, quoted);
        say(l, "%s", quoted);
    }
    say(l, "\"");
}

static void say_peers(struct line *l, const struct experiment *x)
{
    say(l, "[");
    for (size_t i = 0; i < x->swarm.peers_count; i++) {
        if (i) say(l, ", ");
        say_text(l, x->swarm.peers[i]);
    }
    say(l, "]");
}

static void say_device(struct line *l, const struct experiment *x)
{
    static const char *const words[] = {"auto", "cpu", "cuda"};
    /* A comma ends a word in {}. */
    const char *quote = l->json || x->machine.gpus_count > 1 ? "\"" : "";
    say(l, "%s%s", quote, words[x->machine.device]);
    for (uint32_t i = 0; x->machine.device == DEVICE_CUDA && i < x->machine.gpus_count; i++)
        say(l, "%c%" PRIu32, i ? ',' : ':', x->machine.gpus[i]);
    say(l, "%s", quote);
}

static void say_value(struct line *l, const struct schema_key *k, const struct experiment *x)
{
    const char *from = (const char *)x + k->offset;
    uint64_t v = 0;
    double numbers[2];
    switch (k->type) {
    case SCHEMA_U32:
    case SCHEMA_WORD:
        memcpy(&v, from, sizeof(uint32_t));
        break; /* little-endian */
    case SCHEMA_U64:
        memcpy(&v, from, sizeof v);
        break;
    case SCHEMA_F64:
        memcpy(numbers, from, (k->count > 1 ? 2 : 1) * sizeof *numbers);
        break;
    default:
        break;
    }
    switch (k->type) {
    case SCHEMA_U32:
    case SCHEMA_U64:
        if (k->automatic && v == 0) say_text(l, "auto");
        else say(l, "%" PRIu64, v);
        break;
    case SCHEMA_F64:
        if (k->count > 1) say(l, "[");
        say_number(l, numbers[0]);
        if (k->count > 1) say(l, ", ");
        if (k->count > 1) say_number(l, numbers[1]);
        if (k->count > 1) say(l, "]");
        break;
    case SCHEMA_BOOL:
        say(l, "%s", *(const bool *)from ? "true" : "false");
        break;
    case SCHEMA_WORD:
        say_text(l, k->words[v]);
        break;
    case SCHEMA_TEXT:
        say_text(l, from);
        break;
    case SCHEMA_PEERS:
        say_peers(l, x);
        break;
    case SCHEMA_DEVICE:
        say_device(l, x);
        break;
    }
}

void value_print(FILE *to, const struct schema_key *k, const struct experiment *x)
{
    struct line l = {.to = to};
    say_value(&l, k, x);
}

/* Does the key exist only in another form of its mapping, or of the model? */
static bool absent(const struct schema_key *k, const struct experiment *x)
{
    if (!strcmp(k->path, "model.preset")) return !x->preset[0];
    if (!strcmp(k->path, "data.validation")) return x->data.validation == 0;
    if (!strcmp(k->path, "swarm.access")) return x->swarm.access != ACCESS_OPEN;
    if (!strcmp(k->path, "swarm.access.psk")) return x->swarm.access != ACCESS_PSK;
    if (!strcmp(k->path, "swarm.access.ticket")) return x->swarm.access != ACCESS_TICKET;
    if (!strcmp(k->path, "swarm.ticket") || !strcmp(k->path, "swarm.revoked"))
        return x->swarm.access != ACCESS_TICKET;
    return false;
}

/* Length of the common prefix of both paths, up to and including a dot. */
static size_t shared_bytes(const char *a, const char *b)
{
    size_t shared = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.') shared = i + 1;
    return shared;
}

static int dots(const char *s)
{
    int n = 0;
    for (; *s; s++) n += *s == '.';
    return n;
}

/* Opens the mappings of `path` from byte `shared` on; returns the name at its end. */
static const char *open_mappings(FILE *to, const char *path, size_t shared, bool json)
{
    const char *name = path + shared;
    for (const char *dot; (dot = strchr(name, '.')); name = dot + 1) {
        int n = (int)(dot - name), depth = dots(path) - dots(name);
        if (json) fprintf(to, "\"%.*s\": {", n, name);
        else fprintf(to, "%*s%.*s:\n", 2 * depth, "", n, name);
    }
    return name;
}

static const char *what(void *self, const struct experiment *x, size_t key)
{
    (void)self;
    (void)x;
    return schema_keys[key].what;
}

void experiment_print(const struct experiment *x, FILE *to)
{
    experiment_print_with(x, what, NULL, to);
}

void experiment_print_with(const struct experiment *x, experiment_comment *comment, void *self,
                           FILE *to)
{
    const char *last = "";
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        const char *say_what = absent(k, x) ? NULL : comment(self, x, i);
        if (!say_what) continue;
        struct line l = {.to = to};
        const char *name = open_mappings(to, k->path, shared_bytes(k->path, last), false);
        say(&l, "%*s%s: ", 2 * dots(k->path), "", name);
        say_value(&l, k, x);
        fprintf(to, "%*s# %s\n", l.column < 40 ? 40 - l.column : 1, "", say_what);
        last = k->path;
    }
}

void experiment_print_json(const struct experiment *x, FILE *to)
{
    const char *last = "";
    fputs("{", to);
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        if (absent(k, x)) continue;
        struct line l = {.to = to, .json = true};
        size_t shared = shared_bytes(k->path, last);
        for (int n = dots(last + shared); n > 0; n--) fputs("}", to);
        if (*last) fputs(", ", to);
        fprintf(to, "\"%s\": ", open_mappings(to, k->path, shared, true));
        say_value(&l, k, x);
        last = k->path;
    }
    for (int n = dots(last); n >= 0; n--) fputs("}", to);
}
