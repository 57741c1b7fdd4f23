#include "config/syntax.h"

#include <stdlib.h>
#include <string.h>

#include "config/tree_text.h"

/* One line of the text, without its end. */
struct span_of_text {
    const char *start;
    size_t bytes;
};

static struct span_of_text line_at(struct bytes text, size_t from)
{
    const char *start = (const char *)text.data + from;
    const char *end = memchr(start, '\n', text.count - from);
    return (struct span_of_text){start, end ? (size_t)(end - start) : text.count - from};
}

static struct span_of_text line_number(struct bytes text, size_t number)
{
    size_t from = 0;
    struct span_of_text l = line_at(text, 0);
    for (; number > 0 && from + l.bytes < text.count; number--) {
        from += l.bytes + 1;
        l = line_at(text, from);
    }
    return l;
}

static bool word_char(char c) { return (c >= 'a' && c <= 'z') || c == '_'; }

/* Where a `key:value` begins in the line, from byte `from` on; the line's length when there is
 * none. Keys begin a line or follow '{' or ','; text in quotes or after '#' does not count. */
static size_t find_glued(struct span_of_text l, size_t from,
                         bool (*is_key)(const char *word, size_t bytes), size_t *colon)
{
    bool may_begin = true;
    char quote = 0;
    for (size_t i = 0; i < l.bytes; i++) {
        char c = l.start[i];
        if (quote) {
            if (c == quote) quote = 0;
            continue;
        }
        if (c == '"' || c == '\'') quote = c;
        if (c == '#' && (i == 0 || l.start[i - 1] == ' ')) break;
        size_t n = 0;
        while (may_begin && i + n < l.bytes && word_char(l.start[i + n])) n++;
        bool glued = n > 0 && i + n + 1 < l.bytes && l.start[i + n] == ':' &&
                     !strchr(" \t\r/", l.start[i + n + 1]);
        if (glued && i >= from && is_key(l.start + i, n)) {
            *colon = i + n;
            return i;
        }
        may_begin = c == '{' || c == ',' || (may_begin && c == ' ');
    }
    return l.bytes;
}

static size_t characters(const char *text, size_t bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += ((uint8_t)text[i] & 0xc0) != 0x80;
    return n;
}

bool syntax_mend(const char *name, struct bytes *text,
                 bool (*is_key)(const char *word, size_t bytes), uint8_t **copy,
                 struct mistakes *found)
{
    size_t to = 0, kept = 0; /* bytes of the copy; bytes of the text copied so far */
    uint32_t number = 1;
    for (size_t from = 0; from < text->count; number++) {
        struct span_of_text l = line_at(*text, from);
        size_t colon, at = 0;
        while ((at = find_glued(l, at, is_key, &colon)) < l.bytes) {
            if (!*copy && !(*copy = malloc(2 * text->count))) return false;
            size_t end = colon + 1;
            while (end < l.bytes && !strchr(" ,}\t\r", l.start[end])) end++;
            char shown[TREE_SHOWN_BYTES];
            mistakes_add(found, name, number, (uint32_t)characters(l.start, colon) + 1, ERR_USAGE,
                         "%s needs a space after the colon: %.*s: %.*s",
                         tree_shown(l.start + at, end - at, shown), (int)(colon - at), l.start + at,
                         (int)(end - colon - 1 < 60 ? end - colon - 1 : 60), l.start + colon + 1);
            size_t upto = from + colon + 1;
            memcpy(*copy + to, text->data + kept, upto - kept);
            to += upto - kept;
            kept = upto;
            (*copy)[to++] = ' ';
            at = end;
        }
        from += l.bytes + 1;
    }
    if (!*copy) return true;
    memcpy(*copy + to, text->data + kept, text->count - kept);
    *text = bytes_of(*copy, to + text->count - kept);
    return true;
}

/* Reports tabs in indentation; true when there are any. */
static bool tabs_explain(const char *name, struct bytes text, struct mistakes *found)
{
    uint32_t number = 1;
    bool any = false;
    for (size_t from = 0; from < text.count; number++) {
        struct span_of_text l = line_at(text, from);
        size_t blank = 0;
        while (blank < l.bytes && strchr(" \t", l.start[blank])) blank++;
        const char *tab = blank < l.bytes ? memchr(l.start, '\t', blank) : NULL;
        if (tab)
            mistakes_add(found, name, number, (uint32_t)(tab - l.start) + 1, ERR_USAGE,
                         "a tab indents this line: write spaces instead, YAML takes no tabs there");
        any = any || tab;
        from += l.bytes + 1;
    }
    return any;
}

/* Is there only white space before the mark in its line? */
static bool first_in_line(struct bytes text, yaml_mark_t m)
{
    struct span_of_text l = line_number(text, m.line);
    for (size_t i = 0; i < m.column && i < l.bytes; i++)
        if (l.start[i] != ' ') return false;
    return true;
}

static bool colon_before(struct bytes text, yaml_mark_t m)
{
    struct span_of_text l = line_number(text, m.line);
    size_t n = m.column < l.bytes ? m.column : l.bytes;
    for (size_t i = 0; i + 1 < n; i++)
        if (l.start[i] == ':' && l.start[i + 1] == ' ') return true;
    return false;
}

void syntax_explain(const char *name, struct bytes text, const yaml_parser_t *p,
                    struct mistakes *found)
{
    const char *problem = p->problem ? p->problem : "it cannot be read";
    const char *context = p->context ? p->context : "", *say = NULL;
    yaml_mark_t at = p->problem_mark, around = p->context_mark;
    if (found->count || tabs_explain(name, text, found)) return;
    bool later = at.line != around.line;
    if (strstr(context, "quoted scalar") && strstr(problem, "end of stream")) {
        say = "this quote is never closed";
        at = around;
    } else if (strstr(context, "a flow") && later) {
        bool mapping = strstr(context, "mapping");
        mistakes_add(found, name, (uint32_t)around.line + 1, (uint32_t)around.column + 1, ERR_USAGE,
                     "this '%c' is not closed: a ',' or the '%c' is missing before line %zu, "
                     "column %zu",
                     mapping ? '{' : '[', mapping ? '}' : ']', at.line + 1, at.column + 1);
        return;
    } else if (strstr(context, "a flow"))
        say = strstr(context, "mapping") ? "a ',' or the '}' is missing before this"
                                         : "a ',' or the ']' is missing before this";
    else if (strstr(context, "block mapping") && first_in_line(text, at))
        say = "this line is indented as none of the keys above it: line it up with one of them";
    else if (strstr(context, "block mapping"))
        say = "the value before this has ended already: put all of it in one pair of quotes";
    else if (strstr(problem, "mapping values are not allowed") && colon_before(text, at))
        say = "a second ':' in one value: put the value in quotes, or begin a new line before the "
              "next key";
    else if (strstr(problem, "mapping values are not allowed"))
        say = "this key is indented below one that has a value already: line it up with that one";
    else if (strstr(problem, "could not find expected ':'")) {
        say = "this is no key with a value: write the key, a colon, a space, the value";
        at = around;
    } else if (strstr(problem, "cannot start any token"))
        say = "a value cannot begin with this character: put the value in quotes";
    mistakes_add(found, name, (uint32_t)at.line + 1, (uint32_t)at.column + 1, ERR_USAGE,
                 "not YAML: %s%s%s", say ? "" : context, say || !*context ? "" : ": ",
                 say ? say : problem);
}
