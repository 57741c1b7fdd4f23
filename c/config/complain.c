#include "config/complain.h"

#include <stdarg.h>
#include <stdio.h>

/* "file:line:column: KEY: story", or "--set KEY: story" for the command line. */
static void add(struct mistakes *m, const char *file, const char *key, struct experiment_place at,
                enum err e, const char *story)
{
    char name[96];
    snprintf(name, sizeof name, "--set %s", key);
    if (at.set) mistakes_add(m, name, 0, 0, e, "%s", story);
    else mistakes_add(m, file, at.line, at.column, e, "%s: %s", key, story);
}

void complain(struct experiment *x, const struct schema_key *k, struct experiment_place at,
              enum err e, const char *format, ...)
{
    char story[WHY_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(story, sizeof story, format, args);
    va_end(args);
    x->places[k - schema_keys].bad = true;
    add(&x->mistakes, x->path, k->path, at, e, story);
}

enum err experiment_complain(const struct experiment *x, const char *key, struct why *w, enum err e,
                             const char *format, ...)
{
    char story[WHY_BYTES];
    struct mistakes m = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(story, sizeof story, format, args);
    va_end(args);
    add(&m, x->path, key, x->places[schema_index(key)], e, story);
    return why(w, e, "%s", m.all[0].text);
}
