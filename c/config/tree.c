#include "config/tree.h"

#include <stdlib.h>
#include <yaml.h>

#include "config/syntax.h"

static struct tree_place place(yaml_mark_t m)
{
    return (struct tree_place){(uint32_t)m.line + 1, (uint32_t)m.column + 1};
}

static bool no_memory(const char *name, struct mistakes *m)
{
    mistakes_add(m, name, 0, 0, ERR_MEMORY, "no memory to read it");
    return false;
}

/* The open containers around the next node. */
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

/* Adds one event of libyaml to the tree. */
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

/* Parses to the end, or to the first mistake. */
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
    if (!tree_text_check(name, text, found)) return false;
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
