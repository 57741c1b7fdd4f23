#include "matrix.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config/tree.h"
#include "config/value.h"

/* The file being read; passed to every function that may report a mistake. */
struct reading {
    const char *path;
    const struct tree *d;
    struct mistakes *found;
};

/* A key with a numeric value, and the field for it. */
struct key {
    const char *name;
    size_t offset; /* of a double: in struct head, or in struct matrix_link */
    double low, high;
    bool whole;
    unsigned named;
};

struct head {
    double nodes, seconds, mtu;
};
struct timed {
    double at_s;
};

static const struct key head_keys[] = {
    {"nodes", offsetof(struct head, nodes), 1, MATRIX_NODES_MAX, true, 0},
    {"seconds", offsetof(struct head, seconds), 1, 86400, false, 0},
    {"mtu", offsetof(struct head, mtu), 1280, 9000, true, 0},
};
static const struct key at_key = {"at_s", offsetof(struct timed, at_s), 0, 86400, false, 0};
static const struct key link_keys[] = {
    {"delay_ms", offsetof(struct matrix_link, delay_ms), 0, 10000, false, MATRIX_DELAY},
    {"rate_mbit", offsetof(struct matrix_link, rate_mbit), 0, 100000, false, MATRIX_RATE},
    {"queue_kib", offsetof(struct matrix_link, queue_kib), 2, 1 << 20, false, MATRIX_QUEUE},
    {"loss", offsetof(struct matrix_link, loss), 0, 1, false, MATRIX_LOSS},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define COMPLAIN(r, node, ...)                                                                     \
    mistakes_add((r)->found, (r)->path, (node)->at.line, (node)->at.column, ERR_USAGE, __VA_ARGS__)

static bool is(const struct tree_node *n, const char *word)
{
    return n->kind == TREE_SCALAR && !n->quoted && !strcmp(n->text, word);
}

static enum err number(const struct reading *r, const struct key *k, const struct tree_node *n,
                       void *base)
{
    enum value_look look =
        n->kind == TREE_SCALAR && !n->quoted ? value_look(n->text, n->bytes) : VALUE_WORD;
    double v = look == VALUE_WHOLE || look == VALUE_NUMBER ? strtod(n->text, NULL) : -1;
    if (v < k->low || v > k->high || (k->whole && look != VALUE_WHOLE))
        return COMPLAIN(r, n, "%s needs a %snumber from %g to %g", k->name,
                        k->whole ? "whole " : "", k->low, k->high);
    memcpy((char *)base + k->offset, &v, sizeof v);
    return ERR_OK;
}

static enum err yes_or_no(const struct reading *r, const struct tree_node *n, const char *name,
                          bool *out)
{
    *out = is(n, "true");
    return *out || is(n, "false") ? ERR_OK : COMPLAIN(r, n, "%s needs true or false", name);
}

/* A node or a list of nodes. */
static enum err nodes(const struct reading *r, const struct tree_node *n, uint32_t count,
                      uint64_t *out)
{
    const struct key k = {"a node", 0, 0, count - 1, true, 0};
    const struct tree_node *child = n->kind == TREE_SEQUENCE ? &r->d->nodes[n->first] : n;
    *out = 0;
    if (n->kind == TREE_SEQUENCE && !n->first) return COMPLAIN(r, n, "an empty list names no node");
    for (;;) {
        double index;
        enum err e = number(r, &k, child, &index);
        if (e) return e;
        *out |= (uint64_t)1 << (unsigned)index;
        if (child == n || !child->next) return ERR_OK;
        child = &r->d->nodes[child->next];
    }
}

static enum err rule_value(const struct reading *r, const struct tree_node *key,
                           const struct tree_node *v, uint32_t count, struct matrix_rule *out)
{
    for (size_t i = 0; i < COUNT(link_keys); i++)
        if (is(key, link_keys[i].name)) {
            out->named |= link_keys[i].named;
            return number(r, &link_keys[i], v, &out->link);
        }
    if (is(key, "from")) return nodes(r, v, count, &out->from);
    if (is(key, "to")) return nodes(r, v, count, &out->to);
    if (is(key, "both")) return yes_or_no(r, v, "both", &out->both);
    if (is(key, "cut")) {
        out->named |= MATRIX_CUT;
        return yes_or_no(r, v, "cut", &out->link.cut);
    }
    if (is(key, "at_s")) {
        struct timed t;
        enum err e = number(r, &at_key, v, &t);
        if (!e) out->at = span_us((uint64_t)(t.at_s * 1e6));
        return e;
    }
    return COMPLAIN(r, key,
                    "a rule knows from, to, both, at_s, delay_ms, rate_mbit, queue_kib, loss and "
                    "cut");
}

static enum err rule(const struct reading *r, const struct tree_node *n, uint32_t count,
                     struct matrix_rule *out)
{
    const struct tree_node *all = r->d->nodes;
    *out = (struct matrix_rule){.from = ~(uint64_t)0, .to = ~(uint64_t)0};
    if (n->kind != TREE_MAPPING) return COMPLAIN(r, n, "a rule is a mapping: {delay_ms: 50}");
    for (size_t i = n->first; i; i = all[all[i].next].next) {
        enum err e = rule_value(r, &all[i], &all[all[i].next], count, out);
        if (e) return e;
    }
    return out->named ? ERR_OK : COMPLAIN(r, n, "this rule sets nothing: delay_ms, cut, ...?");
}

/* Inserts by time, after rules of the same moment. */
static void keep(struct matrix *m, const struct matrix_rule *r)
{
    uint32_t i = m->count++;
    for (; i > 0 && m->rules[i - 1].at.ns > r->at.ns; i--) m->rules[i] = m->rules[i - 1];
    m->rules[i] = *r;
}

static enum err rules(const struct reading *r, const struct tree_node *list, struct matrix *out)
{
    if (list->kind != TREE_SEQUENCE) return COMPLAIN(r, list, "rules needs a list");
    for (size_t i = list->first; i; i = r->d->nodes[i].next) {
        struct matrix_rule one;
        const struct tree_node *n = &r->d->nodes[i];
        if (out->count == MATRIX_RULES_MAX)
            return COMPLAIN(r, n, "more than %d rules", MATRIX_RULES_MAX);
        enum err e = rule(r, n, out->nodes, &one);
        if (e) return e;
        keep(out, &one);
    }
    return ERR_OK;
}

static enum err whole(const struct reading *r, struct matrix *out)
{
    const struct tree_node *all = r->d->nodes, *root = &all[0], *list = NULL;
    struct head h = {0, 600, 1500};
    if (root->kind != TREE_MAPPING) return COMPLAIN(r, root, "a matrix is a mapping: nodes: 4");
    for (size_t i = root->first; i; i = all[all[i].next].next) {
        const struct tree_node *v = &all[all[i].next];
        const struct key *k = NULL;
        for (size_t j = 0; j < COUNT(head_keys); j++)
            if (is(&all[i], head_keys[j].name)) k = &head_keys[j];
        enum err e = ERR_OK;
        if (k) e = number(r, k, v, &h);
        else if (is(&all[i], "rules")) list = v;
        else e = COMPLAIN(r, &all[i], "a matrix knows nodes, seconds, mtu and rules");
        if (e) return e;
    }
    if (h.nodes == 0) return COMPLAIN(r, root, "nodes is missing: how many are there?");
    out->nodes = (uint32_t)h.nodes;
    out->mtu = (uint32_t)h.mtu;
    out->limit = span_ms((uint64_t)(h.seconds * 1e3));
    out->count = 0;
    return list ? rules(r, list, out) : ERR_OK;
}

enum err matrix_read(const char *path, struct matrix *out, struct why *w)
{
    uint8_t *text;
    size_t bytes;
    struct tree d;
    enum err e = file_read(path, TREE_BYTES_MAX, &text, &bytes, w);
    if (e) return e;
    struct mistakes found = {0};
    if (tree_parse(path, bytes_of(text, bytes), NULL, &d, &found)) {
        whole(&(struct reading){path, &d, &found}, out);
        tree_fini(&d);
    }
    free(text);
    return mistakes_why(&found, w);
}

struct matrix_link matrix_plain(void) { return (struct matrix_link){.queue_kib = 256}; }

static bool has(uint64_t set, uint32_t node) { return set >> node & 1; }

bool matrix_covers(const struct matrix_rule *r, uint32_t from, uint32_t to)
{
    bool there = has(r->from, from) && has(r->to, to);
    bool back = r->both && has(r->from, to) && has(r->to, from);
    return from != to && (there || back);
}

void matrix_apply(const struct matrix_rule *r, struct matrix_link *l)
{
    if (r->named & MATRIX_DELAY) l->delay_ms = r->link.delay_ms;
    if (r->named & MATRIX_RATE) l->rate_mbit = r->link.rate_mbit;
    if (r->named & MATRIX_QUEUE) l->queue_kib = r->link.queue_kib;
    if (r->named & MATRIX_LOSS) l->loss = r->link.loss;
    if (r->named & MATRIX_CUT) l->cut = r->link.cut;
}
