#include "config/mistakes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err mistakes_add(struct mistakes *m, const char *name, uint32_t line, uint32_t column,
                      enum err e, const char *format, ...)
{
    if (m->count == MISTAKES_MAX) {
        m->more++;
        return e;
    }
    struct mistake *new = &m->all[m->count++];
    new->err = e;
    new->line = line;
    new->column = column;
    int at = line ? snprintf(new->text, sizeof new->text, "%s:%u:%u: ", name, line, column)
                  : snprintf(new->text, sizeof new->text, "%s: ", name);
    va_list args;
    va_start(args, format);
    if ((size_t)at < sizeof new->text)
        vsnprintf(new->text + at, sizeof new->text - (size_t)at, format, args);
    va_end(args);
    return e;
}

enum err mistakes_why(const struct mistakes *m, struct why *w)
{
    if (m->count == 0) return ERR_OK;
    enum err e = m->all[0].err;
    for (size_t i = 0; i < m->count; i++)
        if (m->all[i].err == ERR_USAGE) e = ERR_USAGE;
    return why(w, e, "%s", m->all[0].text);
}

static uint64_t place_of(const struct mistake *m)
{
    return m->line ? (uint64_t)m->line << 32 | m->column : UINT64_MAX;
}

void mistakes_sort(struct mistakes *m)
{
    /* By insertion: there are few, and equal places must keep their order. */
    for (size_t i = 1; i < m->count; i++)
        for (size_t j = i; j > 0 && place_of(&m->all[j - 1]) > place_of(&m->all[j]); j--) {
            struct mistake aside = m->all[j];
            m->all[j] = m->all[j - 1];
            m->all[j - 1] = aside;
        }
}
