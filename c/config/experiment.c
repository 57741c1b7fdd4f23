#include "config/experiment.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config/check.h"
#include "config/tree.h"
#include "config/schema.h"
#include "config/value.h"

#define PATH_MAX_BYTES 64 /* longer than any key's path */

struct walk {
    const struct tree *d;
    struct experiment *x;
    struct why *w;
};

enum err experiment_complain(const struct experiment *x, const char *key, struct why *w, enum err e,
                             const char *format, ...)
{
    char story[WHY_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(story, sizeof story, format, args);
    va_end(args);
    const struct experiment_place *p = &x->places[schema_index(key)];
    struct tree_place at = {p->line, p->column};
    return tree_complain(x->path, at, w, e, "%s: %s", key, story);
}

/* "mapping.name", or "name" at the top. False when no key can have that name. */
static bool path_join(const char *mapping, const struct tree_node *name, char out[PATH_MAX_BYTES])
{
    size_t n = strlen(mapping), dot = n > 0;
    if (name->bytes == 0 || n + dot + name->bytes >= PATH_MAX_BYTES) return false;
    memcpy(out, mapping, n);
    if (dot) out[n] = '.';
    memcpy(out + n + dot, name->text, name->bytes);
    out[n + dot + name->bytes] = 0;
    return strlen(out) == n + dot + name->bytes && !memchr(name->text, '.', name->bytes);
}

static enum err unknown(const struct walk *k, const char *mapping, const struct tree_node *name)
{
    char shown[TREE_SHOWN_BYTES], advice[512];
    return tree_complain(k->x->path, name->at, k->w, ERR_USAGE, "%s has no key %s: %s",
                         *mapping ? mapping : "an experiment",
                         tree_shown(name->text, name->bytes, shown),
                         schema_advice(mapping, name->text, name->bytes, advice, sizeof advice));
}

/* Is this key in the mapping before `key`, too? */
static enum err twice(const struct walk *k, const struct tree_node *mapping, size_t key)
{
    const struct tree_node *nodes = k->d->nodes, *n = &nodes[key];
    for (size_t i = mapping->first; i != key; i = nodes[nodes[i].next].next) {
        if (nodes[i].bytes != n->bytes || memcmp(nodes[i].text, n->text, n->bytes)) continue;
        char shown[TREE_SHOWN_BYTES];
        return tree_complain(k->x->path, n->at, k->w, ERR_USAGE,
                             "the key %s is here a second time: it stands in line %u already",
                             tree_shown(n->text, n->bytes, shown), nodes[i].at.line);
    }
    return ERR_OK;
}

/* Until something better is known, keys stand where the mapping around them begins. */
static void place_all(struct experiment *x, const char *mapping, struct tree_place at)
{
    size_t n = strlen(mapping);
    for (size_t i = 0; i < schema_count; i++)
        if (!strncmp(schema_keys[i].path, mapping, n) && (n == 0 || schema_keys[i].path[n] == '.'))
            x->places[i] = (struct experiment_place){at.line, at.column, false};
}

static enum err walk_mapping(const struct walk *k, const char *path,
                             const struct tree_node *mapping);

static enum err walk_value(const struct walk *k, const char *path, const struct tree_node *v)
{
    size_t i = schema_find(path, strlen(path));
    bool mapping = schema_is_mapping(path, strlen(path));
    if (i != SCHEMA_NONE)
        k->x->places[i] = (struct experiment_place){v->at.line, v->at.column, true};
    bool empty_word = i != SCHEMA_NONE && !v->first; /* access: {} is neither open nor a mapping */
    if (mapping && v->kind == TREE_MAPPING && !empty_word) return walk_mapping(k, path, v);
    if (i != SCHEMA_NONE) return value_store(&schema_keys[i], k->d, v, k->x, k->w);
    char allowed[256];
    return tree_complain(k->x->path, v->at, k->w, ERR_USAGE, "%s needs a mapping of keys: %s", path,
                         schema_advice(path, "", 0, allowed, sizeof allowed));
}

static enum err walk_mapping(const struct walk *k, const char *path,
                             const struct tree_node *mapping)
{
    const struct tree_node *nodes = k->d->nodes;
    place_all(k->x, path, mapping->at);
    for (size_t i = mapping->first; i; i = nodes[nodes[i].next].next) {
        const struct tree_node *name = &nodes[i];
        char child[PATH_MAX_BYTES];
        if (name->kind != TREE_SCALAR)
            return tree_complain(k->x->path, name->at, k->w, ERR_USAGE,
                                 "a key is a word, not a list or a mapping");
        bool known =
            path_join(path, name, child) && (schema_find(child, strlen(child)) != SCHEMA_NONE ||
                                             schema_is_mapping(child, strlen(child)));
        if (!known) return unknown(k, path, name);
        enum err e = twice(k, mapping, i);
        if (!e) e = walk_value(k, child, &nodes[name->next]);
        if (e) return e;
    }
    return ERR_OK;
}

static bool given(const struct experiment *x, const char *key)
{
    return x->places[schema_index(key)].given;
}

/* `access: {psk: FILE}` and `access: {ticket: KEY}` are mappings where `access: open` is a word. */
static enum err access_complete(struct experiment *x, struct why *w)
{
    bool psk = given(x, "swarm.access.psk"), ticket = given(x, "swarm.access.ticket");
    if (psk && ticket)
        return experiment_complain(x, "swarm.access", w, ERR_USAGE,
                                   "it holds psk and ticket: only one of them can be");
    if (psk) x->swarm.access = ACCESS_PSK;
    if (ticket) x->swarm.access = ACCESS_TICKET;
    return ERR_OK;
}

/* The keys of the model that are not given, from the preset that is. */
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

/* A default like the others, but it may be too long. */
static enum err log_derive(struct experiment *x, struct why *w)
{
    static const char name[] = "/log.jsonl";
    size_t n = strlen(x->checkpoint.dir);
    if (given(x, "metrics.log")) return ERR_OK;
    if (n + sizeof name > sizeof x->metrics.log)
        return experiment_complain(x, "checkpoint.dir", w, ERR_USAGE,
                                   "it is too long for a log in it: name one as metrics.log");
    memcpy(x->metrics.log, x->checkpoint.dir, n);
    memcpy(x->metrics.log + n, name, sizeof name);
    return ERR_OK;
}

static enum err missing(const struct experiment *x, const struct schema_key *k, struct why *w)
{
    const struct experiment_place *p = &x->places[k - schema_keys];
    bool model = !strncmp(k->path, "model.", 6);
    return why(w, ERR_USAGE, "%s:%u:%u: the key %s is missing: %s%s", x->path, p->line, p->column,
               k->path, k->what, model ? "; or name a model.preset" : "");
}

/* Fills in all that is not given. */
static enum err complete(struct experiment *x, struct why *w)
{
    if (x->preset[0]) preset_apply(x);
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        bool from_preset = x->preset[0] && !strncmp(k->path, "model.", 6);
        if (x->places[i].given) continue;
        if (k->required && !from_preset) return missing(x, k, w);
        if (k->initial) value_store_initial(k, x);
    }
    enum err e = access_complete(x, w);
    derive(x);
    return e ? e : log_derive(x, w);
}

enum err experiment_parse(const char *name, struct bytes text, struct experiment *out,
                          struct why *w)
{
    struct tree d;
    struct walk k = {&d, out, w};
    memset(out, 0, sizeof *out);
    snprintf(out->path, sizeof out->path, "%s", name);
    enum err e = tree_parse(out->path, text, &d, w);
    if (e) return e;
    if (d.nodes[0].kind == TREE_MAPPING) e = walk_mapping(&k, "", &d.nodes[0]);
    else
        e = tree_complain(name, d.nodes[0].at, w, ERR_USAGE,
                          "an experiment is a mapping of keys to values, like `experiment: "
                          "{name: mine}`");
    tree_fini(&d);
    if (!e) e = complete(out, w);
    if (!e) e = check_contradictions(out, w);
    if (!e) e = check_built(out, w);
    return e;
}

enum err experiment_read(const char *path, struct experiment *out, struct why *w)
{
    uint8_t *text = NULL;
    size_t count = 0;
    enum err e = file_read(path, TREE_BYTES_MAX, &text, &count, w);
    if (e == ERR_FORMAT) return why_while(w, ERR_USAGE, "%s:1:1", path);
    if (e) return why_while(w, e, "reading the experiment");
    e = experiment_parse(path, bytes_of(text, count), out, w);
    free(text);
    return e;
}

enum err experiment_set_device(struct experiment *x, const char *text, struct why *w)
{
    if (!text || value_device(x, text, EXPERIMENT_DEVICE_MAX) == VALUE_FITS) return ERR_OK;
    return why(
        w, ERR_USAGE,
        "--device needs auto, cpu, cuda or cuda:N,N... with at most %d different N up to %d, "
        "not '%s'",
        EXPERIMENT_GPUS_MAX, EXPERIMENT_DEVICE_MAX, text);
}
