#include "data/manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define FORMAT "shoal corpus"

static const char *const split_names[SHARD_SPLITS] = {"train", "validation"};

/* The checksum of everything except itself: XXH3-64 of the JSON with sorted keys and no white
 * space. */
static bool checksum(json_t *root, char out[17])
{
    json_object_del(root, "checksum");
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text) return false;
    snprintf(out, 17, "%016" PRIx64, (uint64_t)XXH3_64bits(text, strlen(text)));
    free(text);
    return true;
}

static bool take_u64(const json_t *o, const char *key, uint64_t *out)
{
    const json_t *v = json_object_get(o, key);
    *out = (uint64_t)json_integer_value(v);
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

static bool take_u32(const json_t *o, const char *key, uint32_t *out)
{
    uint64_t v;
    bool good = take_u64(o, key, &v) && v <= UINT32_MAX;
    *out = (uint32_t)v;
    return good;
}

static bool take_hex(const json_t *o, const char *key, uint64_t *out)
{
    const char *text = json_string_value(json_object_get(o, key));
    if (!text || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16) return false;
    *out = strtoull(text, NULL, 16);
    return true;
}

static bool take_number(const json_t *o, const char *key, double *out)
{
    const json_t *v = json_object_get(o, key);
    *out = json_number_value(v);
    return json_is_number(v) && isfinite(*out) && *out >= 0;
}

static bool take_split(const json_t *root, uint32_t split, struct manifest_split *out)
{
    const json_t *o = json_object_get(root, split_names[split]);
    return take_u64(o, "documents", &out->documents) && take_u64(o, "bytes", &out->bytes) &&
           take_u64(o, "tokens", &out->tokens);
}

/* Shards come in order: those of training first, by index; their ids follow each other. */
static bool take_shards(const json_t *root, uint32_t id_bytes, struct manifest *m)
{
    const json_t *list = json_object_get(root, "shards");
    size_t n = json_array_size(list);
    uint32_t split = 0, index = 0;
    uint64_t before = 0;
    m->shards = calloc(n + 1, sizeof *m->shards);
    if (!m->shards) return false;
    for (size_t i = 0; i < n; i++, index++) {
        const json_t *o = json_array_get(list, i);
        struct shard_header *h = &m->shards[m->shard_count++];
        const char *file = json_string_value(json_object_get(o, "file"));
        char name[SHARD_NAME_BYTES];
        if (file && split == 0 && !strncmp(file, split_names[1], strlen(split_names[1]))) {
            if (before != m->splits[0].tokens) return false;
            split = 1;
            index = 0;
            before = 0;
        }
        *h = (struct shard_header){.id_bytes = id_bytes,
                                   .split = split,
                                   .index = index,
                                   .before = before,
                                   .tokenizer = m->tokenizer};
        if (!file || strcmp(file, shard_name(split, index, name)) ||
            !take_u64(o, "tokens", &h->count) || !take_hex(o, "xxh3_64", &h->checksum) ||
            h->count == 0 || h->count > UINT64_MAX / 8 - before)
            return false;
        before += h->count;
    }
    return split == 1 && before == m->splits[1].tokens;
}

static bool take_all(const json_t *root, struct manifest *m)
{
    const json_t *tokenizer = json_object_get(root, "tokenizer");
    const char *file = json_string_value(json_object_get(tokenizer, "file"));
    uint32_t id_bytes;
    return file && !strcmp(file, MANIFEST_TOKENIZER) && take_u32(tokenizer, "vocab", &m->vocab) &&
           take_u32(tokenizer, "end_of_text", &m->end_of_text) &&
           take_hex(tokenizer, "xxh3_64", &m->tokenizer) && m->end_of_text < m->vocab &&
           take_split(root, 0, &m->splits[0]) && take_split(root, 1, &m->splits[1]) &&
           take_u64(root, "files", &m->files) && take_u64(root, "invalid_utf8", &m->invalid_utf8) &&
           take_number(root, "validation_share", &m->validation) &&
           take_number(root, "unigram_entropy", &m->unigram_entropy) &&
           take_u32(root, "id_bytes", &id_bytes) && (id_bytes == 2 || id_bytes == 4) &&
           take_shards(root, id_bytes, m);
}

static enum err check(const char *name, json_t *root, struct manifest *out, struct why *w)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    uint64_t version;
    char sum[17], said[17] = "";
    if (!format || strcmp(format, FORMAT))
        return why(w, ERR_FORMAT, "%s is not the manifest of a corpus", name);
    if (!take_u64(root, "version", &version) || version != MANIFEST_VERSION)
        return why(
            w, ERR_FORMAT,
            "%s has another version of the corpus format than the %d that this program reads: "
            "run `shoal prepare` again",
            name, MANIFEST_VERSION);
    const char *text = json_string_value(json_object_get(root, "checksum"));
    if (text) snprintf(said, sizeof said, "%s", text);
    if (!checksum(root, sum)) return why(w, ERR_MEMORY, "no memory to read %s", name);
    if (!text || strcmp(sum, said))
        return why(w, ERR_FORMAT, "%s is damaged: its content does not match its checksum", name);
    if (!take_all(root, out))
        return why(w, ERR_FORMAT,
                   "%s contradicts itself: a field is missing, of a wrong type, or "
                   "the shards do not add up",
                   name);
    return ERR_OK;
}

enum err manifest_parse(const char *name, struct bytes json, struct manifest *out, struct why *w)
{
    *out = (struct manifest){0};
    json_error_t error;
    json_t *root = json_loadb((const char *)json.data, json.count, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return why(w, ERR_FORMAT, "%s is not JSON: line %d: %s", name, error.line, error.text);
    enum err e = check(name, root, out, w);
    json_decref(root);
    if (e) manifest_fini(out);
    return e;
}

void manifest_fini(struct manifest *m)
{
    free(m->shards);
    *m = (struct manifest){0};
}

static json_t *print_hex(uint64_t v)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, v);
    return json_string(text);
}

static json_t *print_split(const struct manifest_split *s)
{
    return json_pack("{s:I, s:I, s:I}", "documents", (json_int_t)s->documents, "bytes",
                     (json_int_t)s->bytes, "tokens", (json_int_t)s->tokens);
}

static json_t *print_shards(const struct manifest *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->shard_count; i++) {
        char name[SHARD_NAME_BYTES];
        json_t *o = json_pack(
            "{s:s, s:I, s:o}", "file", shard_name(m->shards[i].split, m->shards[i].index, name),
            "tokens", (json_int_t)m->shards[i].count, "xxh3_64", print_hex(m->shards[i].checksum));
        if (json_array_append_new(list, o)) { /* an incomplete list would be wrong */
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

char *manifest_print(const struct manifest *m, const char *program)
{
    json_t *tokenizer =
        json_pack("{s:s, s:I, s:I, s:o}", "file", MANIFEST_TOKENIZER, "vocab", (json_int_t)m->vocab,
                  "end_of_text", (json_int_t)m->end_of_text, "xxh3_64", print_hex(m->tokenizer));
    uint32_t id_bytes = m->shard_count ? m->shards[0].id_bytes : 2;
    json_t *root =
        json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:I, s:I, s:f, s:f, s:I, s:o}", "format", FORMAT,
                  "version", MANIFEST_VERSION, "program", program, "tokenizer", tokenizer, "train",
                  print_split(&m->splits[0]), "validation", print_split(&m->splits[1]), "files",
                  (json_int_t)m->files, "invalid_utf8", (json_int_t)m->invalid_utf8,
                  "validation_share", m->validation, "unigram_entropy", m->unigram_entropy,
                  "id_bytes", (json_int_t)id_bytes, "shards", print_shards(m));
    char sum[17], *text = NULL;
    if (root && checksum(root, sum) && !json_object_set_new(root, "checksum", json_string(sum)))
        text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return text;
}
