#include "config/tree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config/syntax.h"

/* The bytes of the UTF-8 character at `p`, and which one it is; 0 for what is none (RFC 3629). */
static size_t character(const uint8_t *p, size_t left, uint32_t *out)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (n == 0 || n > left) return 0;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
    *out = c;
    return n;
}

/* The characters YAML knows as printable (YAML 1.1, 5.1). */
static bool printable(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0x7f) || c == 0x85 ||
           (c >= 0xa0 && c < 0xfffe) || c >= 0x10000;
}

/* Does it stand for itself within a line? Not a control character, a line's end or a byte order
 * mark. */
static bool in_line(uint32_t c)
{
    return printable(c) && c >= 0x20 && c != 0x85 && c != 0x2028 && c != 0x2029 && c != 0xfeff;
}

bool tree_fits_line(const char *text, size_t bytes)
{
    uint32_t c = 0;
    for (size_t i = 0, n; i < bytes; i += n) {
        n = character((const uint8_t *)text + i, bytes - i, &c);
        if (n == 0 || !in_line(c)) return false;
    }
    return true;
}

size_t tree_quoted(const char *text, size_t bytes, char out[8])
{
    uint32_t c = 0;
    size_t n = character((const uint8_t *)text, bytes, &c);
    if (n == 0) snprintf(out, 8, "?");
    else if (c == '"' || c == '\\') snprintf(out, 8, "\\%c", (int)c);
    else if (in_line(c)) snprintf(out, 8, "%.*s", (int)n, text);
    else snprintf(out, 8, "\\u%04X", (unsigned)c & 0xffff);
    return n ? n : 1;
}

const char *tree_shown(const char *text, size_t bytes, char out[TREE_SHOWN_BYTES])
{
    size_t cut = bytes;
    if (bytes > 40) {
        cut = 40;
        while (cut > 0 && ((uint8_t)text[cut] & 0xc0) == 0x80) cut--; /* not within a character */
    }
    size_t at = 0;
    out[at++] = '\'';
    for (size_t i = 0, n; i < cut; i += n ? n : 1) {
        uint32_t c = 0;
        n = character((const uint8_t *)text + i, cut - i, &c);
        bool plain = n > 0 && in_line(c);
        for (size_t k = 0; plain && k < n; k++) out[at++] = text[i + k];
        if (!plain) out[at++] = '?';
    }
    snprintf(out + at, TREE_SHOWN_BYTES - at, "%s", cut < bytes ? "...'" : "'");
    return out;
}

/* libyaml would refuse these too, but without saying where. */
static bool characters_check(const char *name, struct bytes text, struct mistakes *m)
{
    struct tree_place at = {1, 1};
    for (size_t i = 0; i < text.count;) {
        uint32_t c = 0;
        size_t n = character(text.data + i, text.count - i, &c);
        if (n == 0)
            mistakes_add(m, name, at.line, at.column, ERR_USAGE,
                         "byte 0x%02x is not UTF-8: save the file as UTF-8", text.data[i]);
        else if (!printable(c))
            mistakes_add(m, name, at.line, at.column, ERR_USAGE,
                         "control character U+%04X is not allowed: delete it", c);
        if (n == 0 || !printable(c)) return false;
        i += n;
        at.column++;
        if (c == '\n') at = (struct tree_place){at.line + 1, 1};
    }
    return true;
}

static struct tree_place place(yaml_mark_t m)
{
    return (struct tree_place){(uint32_t)m.line + 1, (uint32_t)m.column + 1};
}

static bool no_memory(const char *name, struct mistakes *m)
{
    mistakes_add(m, name, 0, 0, ERR_MEMORY, "no memory to read it");
    return false;
}

/* What is open while the tree grows: the containers around the next node. */
struct growth {
    const char *name;
    struct mistakes *found;
    struct tree *d;
    size_t open[TREE_DEPTH_MAX]; /* node indices */
    size_t last[TREE_DEPTH_MAX]; /* newest child of each; 0: none */
    size_t depth;
    bool finished; /* the document's end was seen */
};

static bool node_add(struct growth *g, struct tree_node n)
{
    struct tree *d = g->d;
    if (d->count == d->room) {
        size_t room = d->room ? 2 * d->room : 128;
        struct tree_node *more = realloc(d->nodes, room * sizeof *more);
        if (!more) {
            free(n.text);
            return no_memory(g->name, g->found);
        }
        d->nodes = more;
        d->room = room;
    }
    size_t index = d->count++;
    d->nodes[index] = n;
    if (g->depth > 0) {
        size_t level = g->depth - 1;
        if (g->last[level]) d->nodes[g->last[level]].next = index;
        else d->nodes[g->open[level]].first = index;
        g->last[level] = index;
    }
    if (n.kind == TREE_SCALAR) return true;
    if (g->depth == TREE_DEPTH_MAX) {
        mistakes_add(g->found, g->name, n.at.line, n.at.column, ERR_USAGE,
                     "nested more than %d deep: no key of an experiment is there", TREE_DEPTH_MAX);
        return false;
    }
    g->open[g->depth] = index;
    g->last[g->depth++] = 0;
    return true;
}

static bool refuse(const struct growth *g, yaml_mark_t at, const char *what)
{
    struct tree_place p = place(at);
    mistakes_add(g->found, g->name, p.line, p.column, ERR_USAGE, "%s", what);
    return false;
}

static const char anchors[] =
    "anchors and aliases are not used in an experiment: write the value out";
static const char tags[] = "tags are not used in an experiment: leave it out, keys know their type";

/* Takes one event of libyaml into the tree. */
static bool event_take(struct growth *g, yaml_event_t *v)
{
    struct tree_node n = {.at = place(v->start_mark)};
    switch (v->type) {
    case YAML_ALIAS_EVENT:
        return refuse(g, v->start_mark, anchors);
    case YAML_SCALAR_EVENT:
        if (v->data.scalar.anchor) return refuse(g, v->start_mark, anchors);
        if (v->data.scalar.tag) return refuse(g, v->start_mark, tags);
        n.kind = TREE_SCALAR;
        n.quoted = v->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        n.text = (char *)v->data.scalar.value;
        n.bytes = v->data.scalar.length;
        v->data.scalar.value = NULL; /* ours now: yaml_event_delete must not free it */
        return node_add(g, n);
    case YAML_SEQUENCE_START_EVENT:
        if (v->data.sequence_start.anchor) return refuse(g, v->start_mark, anchors);
        if (v->data.sequence_start.tag) return refuse(g, v->start_mark, tags);
        n.kind = TREE_SEQUENCE;
        return node_add(g, n);
    case YAML_MAPPING_START_EVENT:
        if (v->data.mapping_start.anchor) return refuse(g, v->start_mark, anchors);
        if (v->data.mapping_start.tag) return refuse(g, v->start_mark, tags);
        n.kind = TREE_MAPPING;
        return node_add(g, n);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        g->depth--;
        return true;
    case YAML_DOCUMENT_START_EVENT:
        if (!g->finished) return true;
        return refuse(g, v->start_mark,
                      "a second document starts here: an experiment is one document");
    case YAML_DOCUMENT_END_EVENT:
        g->finished = true;
        return true;
    default:
        return true; /* the stream's start and end */
    }
}

/* Parses to the end, or to the first thing that is wrong. */
static bool grow(struct growth *g, yaml_parser_t *p, struct bytes text)
{
    for (bool end = false; !end;) {
        yaml_event_t v;
        if (!yaml_parser_parse(p, &v)) {
            if (p->error == YAML_MEMORY_ERROR) return no_memory(g->name, g->found);
            syntax_explain(g->name, text, p, g->found);
            return false;
        }
        end = v.type == YAML_STREAM_END_EVENT;
        bool taken = event_take(g, &v);
        yaml_event_delete(&v);
        if (!taken) return false;
    }
    if (g->d->count) return true;
    mistakes_add(g->found, g->name, 1, 1, ERR_USAGE,
                 "the file is empty: an experiment is a mapping of keys to values");
    return false;
}

bool tree_parse(const char *name, struct bytes text, bool (*is_key)(const char *word, size_t bytes),
                struct tree *out, struct mistakes *found)
{
    *out = (struct tree){0};
    if (text.count > TREE_BYTES_MAX) {
        mistakes_add(found, name, 1, 1, ERR_USAGE,
                     "the file has %zu bytes, an experiment at most %u", text.count,
                     TREE_BYTES_MAX);
        return false;
    }
    if (!characters_check(name, text, found)) return false;
    uint8_t *mended = NULL;
    if (is_key && !syntax_mend(name, &text, is_key, &mended, found)) return no_memory(name, found);
    yaml_parser_t p;
    if (!yaml_parser_initialize(&p)) {
        free(mended);
        return no_memory(name, found);
    }
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, text.data, text.count);
    struct growth g = {.name = name, .found = found, .d = out};
    bool whole = grow(&g, &p, text);
    yaml_parser_delete(&p);
    free(mended);
    if (!whole) tree_fini(out);
    return whole;
}

void tree_fini(struct tree *d)
{
    for (size_t i = 0; i < d->count; i++) free(d->nodes[i].text);
    free(d->nodes);
    *d = (struct tree){0};
}
