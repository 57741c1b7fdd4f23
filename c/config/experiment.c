#include "config/experiment.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "config/check.h"
#include "config/complain.h"
#include "config/paths.h"
#include "config/schema.h"
#include "config/tree.h"
#include "config/value.h"

struct walk {
    const struct tree *d;
    struct experiment *x;
};

/* Reports a mistake at this node. */
#define WRONG(k, node, ...)                                                                        \
    mistakes_add(&(k)->x->mistakes, (k)->x->path, (node)->at.line, (node)->at.column, ERR_USAGE,   \
                 __VA_ARGS__)

/* "mapping.name", or "name" at the top. False when no key can have that name. */
static bool path_join(const char *mapping, const struct tree_node *name,
                      char out[SCHEMA_PATH_BYTES])
{
    size_t n = strlen(mapping), dot = n > 0;
    if (name->bytes == 0 || n + dot + name->bytes >= SCHEMA_PATH_BYTES) return false;
    memcpy(out, mapping, n);
    if (dot) out[n] = '.';
    memcpy(out + n + dot, name->text, name->bytes);
    out[n + dot + name->bytes] = 0;
    return strlen(out) == n + dot + name->bytes && !memchr(name->text, '.', name->bytes);
}

/* The user meant this key or mapping, with a mistake: do not report it as missing, and do not use
 * its value. */
static void excuse(struct experiment *x, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < schema_count; i++) {
        const char *p = schema_keys[i].path;
        if (!strncmp(p, path, n) && (p[n] == '.' || !p[n])) x->places[i].bad = true;
    }
}

static void unknown(const struct walk *k, const char *mapping, const struct tree_node *name)
{
    char shown[TREE_SHOWN_BYTES], advice[512], meant[SCHEMA_PATH_BYTES];
    WRONG(k, name, "%s has no key %s: %s", *mapping ? mapping : "an experiment",
          tree_shown(name->text, name->bytes, shown),
          schema_advice(mapping, name->text, name->bytes, advice, sizeof advice));
    if (schema_find(name->text, name->bytes) != SCHEMA_NONE) excuse(k->x, name->text);
    else if (schema_meant(mapping, name->text, name->bytes, meant)) excuse(k->x, meant);
}

/* Does this key also occur before `key` in the mapping? */
static bool twice(const struct walk *k, const struct tree_node *mapping, size_t key)
{
    const struct tree_node *nodes = k->d->nodes, *n = &nodes[key];
    for (size_t i = mapping->first; i != key; i = nodes[nodes[i].next].next) {
        if (nodes[i].bytes != n->bytes || nodes[i].kind != TREE_SCALAR ||
            memcmp(nodes[i].text, n->text, n->bytes))
            continue;
        char shown[TREE_SHOWN_BYTES];
        WRONG(k, n, "the key %s is here a second time: it stands in line %u already",
              tree_shown(n->text, n->bytes, shown), nodes[i].at.line);
        return true;
    }
    return false;
}

/* Until a better place is known, the place of a key is the start of the mapping around it. */
static void place_all(struct experiment *x, const char *mapping, struct tree_place at)
{
    size_t n = strlen(mapping);
    for (size_t i = 0; i < schema_count; i++)
        if (!strncmp(schema_keys[i].path, mapping, n) && (n == 0 || schema_keys[i].path[n] == '.'))
            x->places[i] = (struct experiment_place){at.line, at.column, .bad = x->places[i].bad};
}

static void walk_mapping(const struct walk *k, const char *path, const struct tree_node *mapping);

static void walk_value(const struct walk *k, const char *path, const struct tree_node *v)
{
    size_t i = schema_find(path, strlen(path));
    bool mapping = schema_is_mapping(path, strlen(path));
    if (i != SCHEMA_NONE)
        k->x->places[i] = (struct experiment_place){v->at.line, v->at.column, .given = true};
    bool empty_word = i != SCHEMA_NONE && !v->first; /* access: {} is neither open nor a mapping */
    if (mapping && v->kind == TREE_MAPPING && !empty_word) {
        walk_mapping(k, path, v);
    } else if (i != SCHEMA_NONE) {
        value_store(&schema_keys[i], k->d, v, k->x);
    } else {
        char allowed[256];
        WRONG(k, v, "%s needs a mapping of keys: %s", path,
              schema_advice(path, "", 0, allowed, sizeof allowed));
        excuse(k->x, path);
    }
}

static void walk_mapping(const struct walk *k, const char *path, const struct tree_node *mapping)
{
    const struct tree_node *nodes = k->d->nodes;
    place_all(k->x, path, mapping->at);
    for (size_t i = mapping->first; i; i = nodes[nodes[i].next].next) {
        const struct tree_node *name = &nodes[i];
        char child[SCHEMA_PATH_BYTES];
        if (name->kind != TREE_SCALAR) {
            WRONG(k, name, "a key is a word, not a list or a mapping");
            continue;
        }
        bool known =
            path_join(path, name, child) && (schema_find(child, strlen(child)) != SCHEMA_NONE ||
                                             schema_is_mapping(child, strlen(child)));
        if (!known) unknown(k, path, name);
        else if (!twice(k, mapping, i)) walk_value(k, child, &nodes[name->next]);
    }
}

/* Handles one `key=value` of the command line. */
static void set_take(struct experiment *x, const char *text)
{
    char shown[TREE_SHOWN_BYTES], advice[512], name[TREE_SHOWN_BYTES + 8];
    size_t n = strcspn(text, "=");
    snprintf(name, sizeof name, "--set %s", tree_shown(text, n, shown));
    size_t i = schema_find(text, n);
    struct mistakes *m = &x->mistakes;
    if (i == SCHEMA_NONE && schema_is_mapping(text, n) && n) {
        char path[SCHEMA_PATH_BYTES];
        snprintf(path, sizeof path, "%.*s", (int)n, text);
        mistakes_add(m, name, 0, 0, ERR_USAGE, "name one key of it: %s",
                     schema_advice(path, "", 0, advice, sizeof advice));
    } else if (i == SCHEMA_NONE) {
        size_t dot = n;
        char mapping[SCHEMA_PATH_BYTES] = "", meant[SCHEMA_PATH_BYTES];
        while (dot > 0 && text[dot - 1] != '.') dot--;
        if (dot > 0 && dot < sizeof mapping) snprintf(mapping, dot, "%s", text);
        if (!schema_is_mapping(mapping, strlen(mapping))) mapping[0] = 0;
        bool near = schema_meant(mapping, text + dot, n - dot, meant);
        mistakes_add(m, name, 0, 0, ERR_USAGE, "an experiment has no such key: %s%s%s",
                     near ? "did you mean " : "`shoal plan --keys` lists them", near ? meant : "",
                     near ? "?" : "");
    } else if (!text[n]) {
        mistakes_add(m, name, 0, 0, ERR_USAGE, "there is no value: write --set %s=VALUE",
                     schema_keys[i].path);
    } else if (x->places[i].set) {
        mistakes_add(m, name, 0, 0, ERR_USAGE, "it is set twice: leave one of them out");
    } else {
        x->places[i] = (struct experiment_place){.given = true, .set = true};
        value_set(&schema_keys[i], text + n + 1, x);
    }
}

static bool given(const struct experiment *x, const char *key)
{
    return x->places[schema_index(key)].given;
}

/* `access: {psk: FILE}` and `access: {ticket: KEY}` are mappings where `access: open` is a word. */
static void access_complete(struct experiment *x)
{
    size_t i = schema_index("swarm.access");
    bool psk = given(x, "swarm.access.psk"), ticket = given(x, "swarm.access.ticket");
    if (psk && ticket)
        complain(x, &schema_keys[i], x->places[i], ERR_USAGE,
                 "it holds psk and ticket: only one of them can be");
    if (psk) x->swarm.access = ACCESS_PSK;
    if (ticket) x->swarm.access = ACCESS_TICKET;
}

/* Fills in missing keys of the model from the given preset. */
static void preset_apply(struct experiment *x)
{
    const struct schema_preset *p = schema_presets;
    while (strcmp(p->name, x->preset)) p++;
    const struct model_shape *s = &p->shape;
    struct {
        const char *key;
        uint32_t *to, value;
    } all[] = {{"model.layers", &x->model.layers, s->layers},
               {"model.dim", &x->model.dim, s->dim},
               {"model.heads", &x->model.heads, s->heads},
               {"model.kv_heads", &x->model.kv_heads, s->kv_heads},
               {"model.ffn", &x->model.ffn, s->ffn},
               {"model.vocab", &x->model.vocab, s->vocab}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!given(x, all[i].key)) *all[i].to = all[i].value;
}

/* Defaults that follow from other keys: `derived` in the schema. */
static void derive(struct experiment *x)
{
    if (!x->model.kv_heads) x->model.kv_heads = x->model.heads;
    if (!given(x, "train.schedule.warmup")) {
        uint64_t tenth = x->train.steps / 10;
        x->train.schedule.warmup = tenth < 1000 ? tenth : 1000;
    }
    if (!x->checkpoint.every) x->checkpoint.every = x->outer.every;
    if (!x->evaluate.every) x->evaluate.every = x->outer.every;
    if (!given(x, "checkpoint.dir"))
        snprintf(x->checkpoint.dir, sizeof x->checkpoint.dir, "runs/%s", x->name);
}

/* A default like the others, except that it may be too long. */
static void log_derive(struct experiment *x)
{
    static const char name[] = "/log.jsonl";
    size_t n = strlen(x->checkpoint.dir), i = schema_index("checkpoint.dir");
    if (given(x, "metrics.log") || x->places[i].bad) return;
    if (n + sizeof name > sizeof x->metrics.log) {
        complain(x, &schema_keys[i], x->places[i], ERR_USAGE,
                 "it is too long for a log in it: name one as metrics.log");
        return;
    }
    memcpy(x->metrics.log, x->checkpoint.dir, n);
    memcpy(x->metrics.log + n, name, sizeof name);
}

/* Without any model, one sentence reports all of its keys as missing. */
static void missing(struct experiment *x, size_t i)
{
    const struct schema_key *k = &schema_keys[i];
    const struct experiment_place *p = &x->places[i];
    bool model = !strncmp(k->path, "model.", 6), any = false;
    mistakes_add(&x->mistakes, x->path, p->line, p->column, ERR_USAGE,
                 "the key %s is missing: %s%s", k->path, k->what,
                 model ? "; or name a model.preset" : "");
    x->places[i].bad = true;
    for (size_t j = 0; j < schema_count; j++)
        any = any || (!strncmp(schema_keys[j].path, "model.", 6) && x->places[j].given);
    if (model && !any) excuse(x, "model");
}

/* Fills in everything that is not given. */
static void complete(struct experiment *x)
{
    size_t preset = schema_index("model.preset");
    if (x->places[preset].bad) excuse(x, "model");
    if (x->preset[0]) preset_apply(x);
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        bool from_preset = x->preset[0] && !strncmp(k->path, "model.", 6);
        if (x->places[i].given) continue;
        if (k->required && !from_preset && !x->places[i].bad) missing(x, i);
        if (k->initial) value_store_initial(k, x);
    }
    access_complete(x);
    derive(x);
}

enum err experiment_parse_with(const char *name, struct bytes text, const char *const *sets,
                               size_t count, const struct paths *from, struct experiment *out,
                               struct why *w)
{
    struct tree d;
    struct walk k = {&d, out};
    memset(out, 0, sizeof *out);
    snprintf(out->path, sizeof out->path, "%s", name);
    if (!tree_parse(out->path, text, schema_is_word, &d, &out->mistakes))
        return mistakes_why(&out->mistakes, w);
    bool mapping = d.nodes[0].kind == TREE_MAPPING;
    if (mapping) walk_mapping(&k, "", &d.nodes[0]);
    else
        WRONG(&k, &d.nodes[0],
              "an experiment is a mapping of keys to values, like `experiment: {name: mine}`");
    tree_fini(&d);
    if (!mapping) return mistakes_why(&out->mistakes, w);
    for (size_t i = 0; i < count; i++) set_take(out, sets[i]);
    complete(out);
    if (from) paths_resolve(out, from);
    log_derive(out);
    check_contradictions(out);
    check_built(out);
    return mistakes_why(&out->mistakes, w);
}

enum err experiment_parse(const char *name, struct bytes text, struct experiment *out,
                          struct why *w)
{
    return experiment_parse_with(name, text, NULL, 0, NULL, out, w);
}

enum err experiment_read_with(const char *path, const char *const *sets, size_t count,
                              struct experiment *out, struct why *w)
{
    uint8_t *text = NULL;
    size_t bytes = 0;
    struct paths from;
    out->mistakes.count = out->mistakes.more = 0;
    enum err e = file_read(path, TREE_BYTES_MAX, &text, &bytes, w);
    if (e == ERR_FORMAT) return why_while(w, ERR_USAGE, "%s:1:1", path);
    if (e) return why_while(w, e, "reading the experiment");
    e = paths_of(path, &from, w);
    if (!e) e = experiment_parse_with(path, bytes_of(text, bytes), sets, count, &from, out, w);
    free(text);
    return e;
}

enum err experiment_read(const char *path, struct experiment *out, struct why *w)
{
    return experiment_read_with(path, NULL, 0, out, w);
}

enum err experiment_set_device(struct experiment *x, const char *text, struct why *w)
{
    if (!text || value_device(x, text, EXPERIMENT_DEVICE_MAX) == VALUE_FITS) return ERR_OK;
    bool gpu = !strncasecmp(text, "gpu", 3);
    return why(
        w, ERR_USAGE,
        "--device needs auto, cpu, cuda or cuda:N,N... with at most %d different N up to %d, "
        "not '%s'%s",
        EXPERIMENT_GPUS_MAX, EXPERIMENT_DEVICE_MAX, text, gpu ? "; a GPU is called cuda" : "");
}
