/* near.c -- words for messages about keys: bounds, and the nearest known key. */
#include <stdio.h>
#include <string.h>

#include "base/near.h"
#include "config/schema.h"

/* A path that ends in ".name", preferably within `mapping`; NULL when there is none. */
static const char *elsewhere(const char *mapping, const char *name, size_t bytes)
{
    const char *found = NULL;
    for (size_t i = 0; i < schema_count; i++) {
        const char *p = schema_keys[i].path;
        size_t n = strlen(p);
        if (n <= bytes || p[n - bytes - 1] != '.' || memcmp(p + n - bytes, name, bytes)) continue;
        if (!strncmp(p, mapping, strlen(mapping))) return p;
        if (!found) found = p;
    }
    return found;
}

/* Names of our keys in nanoGPT, llm.c, litgpt, transformers and OpenDiLoCo. */
static const struct {
    const char *name, *path;
} others[] = {
    {"learning_rate", "train.optimizer.lr"},
    {"max_lr", "train.optimizer.lr"},
    {"wd", "train.optimizer.weight_decay"},
    {"grad_clip", "train.optimizer.clip"},
    {"beta1", "train.optimizer.betas"},
    {"beta2", "train.optimizer.betas"},
    {"warmup_steps", "train.schedule.warmup"},
    {"warmup_iters", "train.schedule.warmup"},
    {"max_steps", "train.steps"},
    {"total_steps", "train.steps"},
    {"max_iters", "train.steps"},
    {"batch_size", "train.batch_tokens"},
    {"micro_batch_size", "train.micro_batch"},
    {"dtype", "train.precision"},
    {"n_layer", "model.layers"},
    {"num_layers", "model.layers"},
    {"num_hidden_layers", "model.layers"},
    {"n_head", "model.heads"},
    {"num_heads", "model.heads"},
    {"num_attention_heads", "model.heads"},
    {"num_key_value_heads", "model.kv_heads"},
    {"n_embd", "model.dim"},
    {"d_model", "model.dim"},
    {"hidden_size", "model.dim"},
    {"intermediate_size", "model.ffn"},
    {"vocab_size", "model.vocab"},
    {"block_size", "model.context"},
    {"seq_len", "model.context"},
    {"max_seq_len", "model.context"},
    {"dataset", "data.corpus"},
    {"local_steps", "outer.every"},
    {"initial_peers", "swarm.peers"},
    {"training", "train"},
    {"gpu", "machine.device"},
};

static const char *other_name(const char *name, size_t bytes)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strlen(others[i].name) == bytes && !memcmp(others[i].name, name, bytes))
            return others[i].path;
    return NULL;
}

bool schema_meant(const char *mapping, const char *name, size_t bytes, char out[SCHEMA_PATH_BYTES])
{
    const char *dot = *mapping ? "." : "", *child, *best = NULL;
    size_t n, best_bytes = 0, distance = SIZE_MAX;
    for (size_t i = 0; schema_child(mapping, i, &child, &n); i++) {
        size_t d = near_distance(child, n, name, bytes);
        if (d >= distance || !near_enough(d, n)) continue;
        distance = d;
        best = child;
        best_bytes = n;
    }
    const char *other = bytes ? other_name(name, bytes) : NULL;
    if (!other && bytes) other = elsewhere(mapping, name, bytes);
    if (other) snprintf(out, SCHEMA_PATH_BYTES, "%s", other);
    else if (best)
        snprintf(out, SCHEMA_PATH_BYTES, "%s%s%.*s", mapping, dot, (int)best_bytes, best);
    return other || best;
}

const char *schema_advice(const char *mapping, const char *name, size_t bytes, char *out,
                          size_t room)
{
    char meant[SCHEMA_PATH_BYTES];
    const char *child;
    size_t n;
    if (bytes && schema_find(name, bytes) != SCHEMA_NONE) {
        int first = (int)strcspn(name, ".");
        snprintf(out, room, "write it as %.*s: {%s: ...}", first, name, name + first + 1);
        return out;
    }
    if (schema_meant(mapping, name, bytes, meant)) {
        snprintf(out, room, "did you mean %s?", meant);
        return out;
    }
    int at = snprintf(out, room, "it may hold ");
    for (size_t i = 0; schema_child(mapping, i, &child, &n) && (size_t)at < room; i++)
        at += snprintf(out + at, room - (size_t)at, "%s%.*s", i ? ", " : "", (int)n, child);
    return out;
}

static int number_range(const struct schema_key *k, char *out, size_t room)
{
    return snprintf(out, room, "%s %s %g and %s %g", k->count > 1 ? "each" : "a number",
                    k->above ? "above" : "of at least", k->low, k->below ? "below" : "at most",
                    k->high);
}

static int words_list(const struct schema_key *k, char *out, size_t room)
{
    int at = 0;
    for (size_t i = 0; k->words[i]; i++)
        at += snprintf(out + at, room - (size_t)at, "%s%s",
                       i == 0            ? ""
                       : k->words[i + 1] ? ", "
                                         : " or ",
                       k->words[i]);
    if (!strcmp(k->path, "swarm.access"))
        at += snprintf(out + at, room - (size_t)at, ", {psk: FILE} or {ticket: KEY}");
    return at;
}

static int preset_list(char *out, size_t room)
{
    int at = 0;
    for (const struct schema_preset *p = schema_presets; p->name; p++)
        at += snprintf(out + at, room - (size_t)at, "%s%s",
                       p == schema_presets ? ""
                       : p[1].name         ? ", "
                                           : " or ",
                       p->name);
    return at;
}

static int text_kind(const struct schema_key *k, char *out, size_t room)
{
    if (k->form == SCHEMA_FORM_PRESET) return preset_list(out, room);
    return snprintf(out, room, "a text of %llu to %llu bytes", (unsigned long long)k->least,
                    (unsigned long long)k->most);
}

const char *schema_allowed(const struct schema_key *k, char out[SCHEMA_TEXT_BYTES])
{
    size_t room = SCHEMA_TEXT_BYTES;
    int at = 0;
    switch (k->type) {
    case SCHEMA_U32:
    case SCHEMA_U64:
        at = snprintf(out, room, "a whole number from %llu to %llu", (unsigned long long)k->least,
                      (unsigned long long)k->most);
        break;
    case SCHEMA_F64:
        if (k->count > 1) at = snprintf(out, room, "a list of %u numbers, ", k->count);
        at += number_range(k, out + at, room - (size_t)at);
        break;
    case SCHEMA_BOOL:
        at = snprintf(out, room, "true or false");
        break;
    case SCHEMA_WORD:
        at = words_list(k, out, room);
        break;
    case SCHEMA_TEXT:
        at = text_kind(k, out, room);
        break;
    case SCHEMA_PEERS:
        at = snprintf(out, room, "a list of at most %d texts", EXPERIMENT_PEERS_MAX);
        break;
    case SCHEMA_DEVICE:
        at = snprintf(
            out, room,
            "auto, cpu, cuda or cuda:N,N... with at most %d different N from %llu to %llu",
            EXPERIMENT_GPUS_MAX, (unsigned long long)k->least, (unsigned long long)k->most);
        break;
    }
    snprintf(out + at, room - (size_t)at, "%s (%s)", k->automatic ? ", or auto" : "", k->what);
    return out;
}
