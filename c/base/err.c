#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err why(struct why *w, enum err e, const char *format, ...)
{
    if (!w) return e;
    va_list args;
    va_start(args, format);
    vsnprintf(w->text, sizeof w->text, format, args);
    va_end(args);
    w->err = e;
    return e;
}

enum err why_while(struct why *w, enum err e, const char *format, ...)
{
    if (!w) return e;
    char doing[WHY_BYTES], story[WHY_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(doing, sizeof doing, format, args);
    va_end(args);
    memcpy(story, w->text, sizeof story);
    int wrote = snprintf(w->text, sizeof w->text, "%s: ", doing);
    size_t at = (size_t)wrote < sizeof w->text ? (size_t)wrote : sizeof w->text - 1;
    snprintf(w->text + at, sizeof w->text - at, "%s", story);
    w->err = e;
    return e;
}
