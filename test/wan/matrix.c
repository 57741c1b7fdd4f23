#include "matrix.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config/tree.h"
#include "config/value.h"

#define MTU_MAX 9000

/* The file being read; passed to every function that may report a mistake. */
struct reading {
    const char *path;
    const struct tree *d;
    struct mistakes *found;
};

/* What a value may be: a number, a whole one, true or false, or the name of a kind of NAT. */
enum kind { NUMBER, WHOLE, FLAG, NAT };

/* A key with a value, and the field for it. */
struct key {
    const char *name;
    size_t offset; /* of a double, a bool or an enum nat_kind */
    enum kind kind;
    double low, high; /* of a number */
};

struct head {
    double nodes, seconds, mtu;
};

/* Name and offset of a field. */
#define HEAD(field) #field, offsetof(struct head, field)
#define LINK(field) #field, offsetof(struct matrix_rule, link.field)
#define LINE(field) #field, offsetof(struct matrix_rule, line.field)

static const struct key head_keys[] = {
    {HEAD(nodes), WHOLE, 1, MATRIX_NODES_MAX},
    {HEAD(seconds), NUMBER, 1, 86400},
    {HEAD(mtu), WHOLE, 1280, MTU_MAX},
};
static const struct key at_key = {"at_s", 0, NUMBER, 0, 86400};
static const struct key both_key = {"both", offsetof(struct matrix_rule, both), FLAG, 0, 0};

/* A rule's values, for pairs and then for lines: the n-th is bit n of `named`. */
static const struct key value_keys[] = {
    {LINK(delay_ms), NUMBER, 0, 10000},
    {LINK(jitter_ms), NUMBER, 0, 10000},
    {LINK(in_order), FLAG, 0, 0},
    {LINK(reorder), NUMBER, 0, 1},
    {LINK(reorder_ms), NUMBER, 0, 10000},
    {LINK(rate_mbit), NUMBER, 0, 100000},
    {LINK(queue_kib), NUMBER, 2, 1 << 20},
    {LINK(loss), NUMBER, 0, 1},
    {LINK(loss_burst), WHOLE, 0, 10000},
    {LINK(duplicate), NUMBER, 0, 1},
    {LINK(mtu), WHOLE, 576, MTU_MAX},
    {LINK(icmp), FLAG, 0, 0},
    {LINK(cut), FLAG, 0, 0},
    {LINE(up_mbit), NUMBER, 0, 100000},
    {LINE(down_mbit), NUMBER, 0, 100000},
    {LINE(line_kib), NUMBER, 2, 1 << 20},
    {LINE(nat), NAT, 0, 0},
    {LINE(nat_timeout_s), NUMBER, 0.1, 86400},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define COMPLAIN(r, node, ...)                                                                     \
    mistakes_add((r)->found, (r)->path, (node)->at.line, (node)->at.column, ERR_USAGE, __VA_ARGS__)

static bool is(const struct tree_node *n, const char *word)
{
    return n->kind == TREE_SCALAR && !n->quoted && !strcmp(n->text, word);
}

static enum err number(const struct reading *r, const struct key *k, const struct tree_node *n,
                       double *out)
{
    enum value_look look =
        n->kind == TREE_SCALAR && !n->quoted ? value_look(n->text, n->bytes) : VALUE_WORD;
    double v = look == VALUE_WHOLE || look == VALUE_NUMBER ? strtod(n->text, NULL) : -1;
    if (v < k->low || v > k->high || (k->kind == WHOLE && look != VALUE_WHOLE))
        return COMPLAIN(r, n, "%s needs a %snumber from %g to %g", k->name,
                        k->kind == WHOLE ? "whole " : "", k->low, k->high);
    *out = v;
    return ERR_OK;
}

static enum err nat(const struct reading *r, const struct tree_node *n, enum nat_kind *out)
{
    static const char *const names[] = {[NAT_NONE] = "none",
                                        [NAT_FULL_CONE] = "full-cone",
                                        [NAT_RESTRICTED] = "restricted",
                                        [NAT_PORT_RESTRICTED] = "port-restricted",
                                        [NAT_SYMMETRIC] = "symmetric"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (is(n, names[i])) {
            *out = (enum nat_kind)i;
            return ERR_OK;
        }
    return COMPLAIN(r, n, "nat needs full-cone, restricted, port-restricted, symmetric or none");
}

/* Stores the value in its field of `base`. */
static enum err value(const struct reading *r, const struct key *k, const struct tree_node *n,
                      void *base)
{
    char *field = (char *)base + k->offset;
    if (k->kind == NAT) return nat(r, n, (enum nat_kind *)(void *)field);
    if (k->kind != FLAG) return number(r, k, n, (double *)(void *)field);
    *(bool *)field = is(n, "true");
    return is(n, "true") || is(n, "false") ? ERR_OK
                                           : COMPLAIN(r, n, "%s needs true or false", k->name);
}

/* A node or a list of nodes. */
static enum err nodes(const struct reading *r, const struct tree_node *n, uint32_t count,
                      uint64_t *out)
{
    const struct key k = {"a node", 0, WHOLE, 0, count - 1};
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

static bool of_line(const struct key *k) { return k->offset >= offsetof(struct matrix_rule, line); }

/* What a rule names so far: something of pairs, something of lines. */
struct sides {
    bool pairs, lines;
};

static enum err unknown(const struct reading *r, const struct tree_node *key)
{
    char names[2][512];
    size_t n[2] = {0, 0};
    for (size_t i = 0; i < COUNT(value_keys); i++) {
        bool line = of_line(&value_keys[i]);
        n[line] += (size_t)snprintf(names[line] + n[line], sizeof names[line] - n[line], ", %s",
                                    value_keys[i].name);
    }
    return COMPLAIN(r, key, "a rule knows from, to, both, at_s%s; or node, at_s%s", names[0],
                    names[1]);
}

static enum err rule_value(const struct reading *r, const struct tree_node *key,
                           const struct tree_node *v, uint32_t count, struct matrix_rule *out,
                           struct sides *s)
{
    for (size_t i = 0; i < COUNT(value_keys); i++)
        if (is(key, value_keys[i].name)) {
            out->named |= 1u << i;
            *(of_line(&value_keys[i]) ? &s->lines : &s->pairs) = true;
            return value(r, &value_keys[i], v, out);
        }
    if (is(key, "at_s")) {
        double seconds;
        enum err e = number(r, &at_key, v, &seconds);
        if (!e) out->at = span_us((uint64_t)(seconds * 1e6));
        return e;
    }
    bool node = is(key, "node"), from = is(key, "from"), to = is(key, "to"), both = is(key, "both");
    if (!node && !from && !to && !both) return unknown(r, key);
    *(node ? &s->lines : &s->pairs) = true;
    if (both) return value(r, &both_key, v, out);
    return nodes(r, v, count, node ? &out->node : from ? &out->from : &out->to);
}

static bool sets_nat(const struct matrix_rule *r)
{
    for (size_t i = 0; i < COUNT(value_keys); i++)
        if (value_keys[i].kind == NAT) return r->named >> i & 1;
    return false;
}

static enum err rule(const struct reading *r, const struct tree_node *n, uint32_t count,
                     struct matrix_rule *out)
{
    const struct tree_node *all = r->d->nodes;
    struct sides s = {false, false};
    *out = (struct matrix_rule){.from = ~(uint64_t)0, .to = ~(uint64_t)0, .node = ~(uint64_t)0};
    if (n->kind != TREE_MAPPING) return COMPLAIN(r, n, "a rule is a mapping: {delay_ms: 50}");
    for (size_t i = n->first; i; i = all[all[i].next].next) {
        enum err e = rule_value(r, &all[i], &all[all[i].next], count, out, &s);
        if (e) return e;
        if (s.pairs && s.lines)
            return COMPLAIN(r, &all[i],
                            "a rule is for pairs (from, to, delay_ms, ...) or for lines (node, "
                            "up_mbit, down_mbit, line_kib, nat): make it two rules");
    }
    if (sets_nat(out) && out->at.ns)
        return COMPLAIN(r, n, "a rule with nat cannot have at_s: a NAT is there from the start");
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
        if (k) e = value(r, k, v, &h);
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

static void scale_queue(double *kib, double by)
{
    const double least = *kib < 32 ? *kib : 32;
    *kib = *kib / by > least ? *kib / by : least;
}

void matrix_scale(struct matrix *m, double by)
{
    for (uint32_t i = 0; i < m->count; i++) {
        struct matrix_rule *r = &m->rules[i];
        r->link.rate_mbit /= by;
        r->line.up_mbit /= by;
        r->line.down_mbit /= by;
        scale_queue(&r->link.queue_kib, by);
        scale_queue(&r->line.line_kib, by);
    }
}

struct matrix_link matrix_plain(void)
{
    return (struct matrix_link){
        .queue_kib = 256, .reorder_ms = 10, .mtu = MTU_MAX, .in_order = true};
}

static bool has(uint64_t set, uint32_t node) { return set >> node & 1; }

bool matrix_covers(const struct matrix_rule *r, uint32_t from, uint32_t to)
{
    bool there = has(r->from, from) && has(r->to, to);
    bool back = r->both && has(r->from, to) && has(r->to, from);
    return from != to && (there || back);
}

bool matrix_covers_line(const struct matrix_rule *r, uint32_t node) { return has(r->node, node); }

static size_t bytes_of_value(const struct key *k)
{
    return k->kind == FLAG ? sizeof(bool) : k->kind == NAT ? sizeof(enum nat_kind) : sizeof(double);
}

/* Copies the named values of pairs or of lines to `to`, whose place in a rule is `from`. */
static void apply(const struct matrix_rule *r, bool lines, size_t from, void *to)
{
    for (size_t i = 0; i < COUNT(value_keys); i++) {
        const struct key *k = &value_keys[i];
        if (of_line(k) == lines && r->named >> i & 1)
            memcpy((char *)to + (k->offset - from), (const char *)r + k->offset, bytes_of_value(k));
    }
}

void matrix_apply(const struct matrix_rule *r, struct matrix_link *l)
{
    apply(r, false, offsetof(struct matrix_rule, link), l);
}

void matrix_apply_line(const struct matrix_rule *r, struct matrix_line *l)
{
    apply(r, true, offsetof(struct matrix_rule, line), l);
}

uint64_t matrix_natted(const struct matrix *m)
{
    uint64_t natted = 0;
    for (uint32_t node = 0; node < m->nodes; node++) {
        struct matrix_line l = {0};
        for (uint32_t i = 0; i < m->count; i++)
            if (matrix_covers_line(&m->rules[i], node)) matrix_apply_line(&m->rules[i], &l);
        if (l.nat != NAT_NONE) natted |= (uint64_t)1 << node;
    }
    return natted;
}
