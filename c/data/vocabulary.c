#include "data/vocabulary.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "data/utf8.h"

uint32_t vocabulary_letter(uint8_t byte)
{
    if (byte <= 0x20) return 256u + byte;
    if (byte >= 0x7f && byte <= 0xa0) return 256u + 33u + (byte - 0x7fu);
    return byte == 0xad ? 256u + 67u : byte;
}

int vocabulary_byte(uint32_t letter)
{
    if (letter < 256) return vocabulary_letter((uint8_t)letter) == letter ? (int)letter : -1;
    if (letter <= 256 + 0x20) return (int)letter - 256;
    if (letter < 256 + 67) return (int)letter - 256 - 33 + 0x7f;
    return letter == 256 + 67 ? 0xad : -1;
}

/* State shared by the parts of the parser. */
struct parse {
    const char *name;
    json_t *model_vocab, *added;
    struct vocabulary *out;
    struct why *w;
};

static bool absent(const json_t *v) { return !v || json_is_null(v); }

static enum err damaged(const struct parse *p, const char *what)
{
    return why(p->w, ERR_FORMAT, "%s is not a tokenizer.json: %s", p->name, what);
}

static enum err refused(const struct parse *p, const char *what)
{
    return why(p->w, ERR_UNSUPPORTED,
               "%s cannot be used: %s; only byte-level BPE as GPT-2 has it is built", p->name,
               what);
}

/* Each key of `o` must be among `known`: an unknown one might change the encoding. */
static enum err keys_known(const struct parse *p, json_t *o, const char *where,
                           const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key)) i++;
        if (!known[i])
            return why(p->w, ERR_UNSUPPORTED,
                       "%s cannot be used: %s has the key '%.60s', whose meaning is not known here",
                       p->name, where, key);
    }
    return ERR_OK;
}

static bool is_byte_level(const json_t *v)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    return type && !strcmp(type, "ByteLevel");
}

/* Is this the post_processor that `shoal export` writes, which prepends <|endoftext|>? Here
 * generate prepends it itself, so ids are the same. */
static bool adds_end_in_front(const json_t *v)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    const json_t *single = json_object_get(v, "single");
    const json_t *token = json_object_get(json_array_get(single, 0), "SpecialToken");
    const char *id = json_string_value(json_object_get(token, "id"));
    return type && !strcmp(type, "TemplateProcessing") && json_array_size(single) == 2 && id &&
           !strcmp(id, VOCABULARY_END_OF_TEXT) &&
           json_object_get(json_array_get(single, 1), "Sequence");
}

static enum err check_around(const struct parse *p, json_t *root)
{
    static const char *const known[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    enum err e = keys_known(p, root, "it", known);
    if (e) return e;
    json_t *pre = json_object_get(root, "pre_tokenizer");
    /* Missing in files before 2022, meaning true. */
    json_t *regex = json_object_get(pre, "use_regex");
    json_t *post = json_object_get(root, "post_processor");
    if (!absent(json_object_get(root, "normalizer"))) return refused(p, "it has a normalizer");
    if (!is_byte_level(pre)) return refused(p, "its pre_tokenizer is not ByteLevel");
    if (!json_is_false(json_object_get(pre, "add_prefix_space")))
        return refused(p, "its pre_tokenizer has add_prefix_space");
    if (regex && !json_is_true(regex)) return refused(p, "its pre_tokenizer has no use_regex");
    if (!absent(post) && !is_byte_level(post) && !adds_end_in_front(post))
        return refused(p, "its post_processor is not ByteLevel and may add tokens");
    if (!is_byte_level(json_object_get(root, "decoder")))
        return refused(p, "its decoder is not ByteLevel");
    if (!absent(json_object_get(root, "truncation"))) return refused(p, "it truncates texts");
    if (!absent(json_object_get(root, "padding"))) return refused(p, "it pads texts");
    return ERR_OK;
}

static bool empty_text(const json_t *v)
{
    return absent(v) || (json_is_string(v) && json_string_length(v) == 0);
}

static enum err check_model(const struct parse *p, json_t *model)
{
    static const char *const known[] = {"type",
                                        "dropout",
                                        "unk_token",
                                        "continuing_subword_prefix",
                                        "end_of_word_suffix",
                                        "fuse_unk",
                                        "byte_fallback",
                                        "ignore_merges",
                                        "vocab",
                                        "merges",
                                        NULL};
    const char *type = json_string_value(json_object_get(model, "type"));
    if (!json_is_object(model)) return damaged(p, "it has no model");
    if (!type || strcmp(type, "BPE")) return refused(p, "its model is not BPE");
    json_t *dropout = json_object_get(model, "dropout");
    if (!absent(dropout) && json_number_value(dropout) != 0.0)
        return refused(p, "its model drops merges at random");
    if (!empty_text(json_object_get(model, "continuing_subword_prefix")) ||
        !empty_text(json_object_get(model, "end_of_word_suffix")))
        return refused(p, "its model marks the parts of words");
    if (json_is_true(json_object_get(model, "byte_fallback")))
        return refused(p, "its model has byte_fallback");
    if (json_is_true(json_object_get(model, "ignore_merges")))
        return refused(p, "its model has ignore_merges");
    if (!json_is_object(json_object_get(model, "vocab")) ||
        !json_is_array(json_object_get(model, "merges")))
        return damaged(p, "its model has no vocab or no merges");
    return keys_known(p, model, "its model", known);
}

/* Writes the bytes of a token of the model; if a character is outside the alphabet, the token's own
 * UTF-8. */
static size_t unspell(const char *text, size_t count, uint8_t *to)
{
    size_t used = 0;
    for (size_t at = 0, n; at < count; at += n) {
        uint32_t c = utf8_next((const uint8_t *)text + at, count - at, &n);
        int byte = vocabulary_byte(c);
        if (byte < 0) {
            memcpy(to, text, count);
            return count;
        }
        to[used++] = (uint8_t)byte;
    }
    return used;
}

static enum err place(const struct parse *p, size_t room, const json_t *id, struct bytes text)
{
    json_int_t i = json_is_integer(id) ? json_integer_value(id) : -1;
    if (i < 0 || (size_t)i >= room)
        return damaged(p, "a token's id is not a whole number below the count of tokens");
    if (p->out->tokens[i].data) return damaged(p, "two tokens have one id");
    p->out->tokens[i] = text;
    p->out->count++;
    return ERR_OK;
}

static enum err take_model_tokens(const struct parse *p, size_t room, uint8_t **to)
{
    const char *key;
    size_t length;
    json_t *id;
    json_object_keylen_foreach(p->model_vocab, key, length, id)
    {
        size_t n = unspell(key, length, *to);
        enum err e = n ? place(p, room, id, bytes_of(*to, n)) : damaged(p, "a token is empty");
        if (e) return e;
        *to += n;
    }
    return ERR_OK;
}

static bool flag(const json_t *token, const char *name)
{
    return json_is_true(json_object_get(token, name));
}

static enum err take_added(const struct parse *p, size_t room, uint8_t **to)
{
    struct vocabulary *v = p->out;
    size_t i;
    json_t *token;
    bool found = false;
    json_array_foreach(p->added, i, token)
    {
        const char *content = json_string_value(json_object_get(token, "content"));
        size_t n = json_string_length(json_object_get(token, "content"));
        json_t *id = json_object_get(token, "id");
        if (!content || n == 0) return damaged(p, "an added token has no content");
        if (flag(token, "single_word") || flag(token, "lstrip") || flag(token, "rstrip"))
            return refused(
                p, "an added token looks at what is around it (single_word, lstrip, rstrip)");
        if (flag(token, "normalized") != flag(json_array_get(p->added, 0), "normalized"))
            return refused(p, "some added tokens are normalized and some are not");
        json_t *same = json_object_getn(p->model_vocab, content, n);
        if (same && !json_equal(same, id))
            return damaged(p, "an added token has another id in the vocab");
        if (unspell(content, n, *to) != n)
            return refused(
                p, "an added token is not ASCII but in letters of the byte alphabet, so that it "
                   "would not decode to itself");
        struct bytes text = bytes_of(memcpy(*to, content, n), n);
        *to += n;
        enum err e = same ? ERR_OK : place(p, room, id, text);
        if (e) return e;
        uint32_t number = (uint32_t)json_integer_value(id);
        v->tokens[number] = text;
        v->specials[v->special_count++] = number;
        if (strcmp(content, VOCABULARY_END_OF_TEXT)) continue;
        v->end_of_text = number;
        found = true;
    }
    return found ? ERR_OK : refused(p, "it has no added token " VOCABULARY_END_OF_TEXT);
}

static enum err take_tokens(const struct parse *p)
{
    struct vocabulary *v = p->out;
    size_t added = json_array_size(p->added), room = json_object_size(p->model_vocab) + added;
    if (room > VOCABULARY_MAX + added) return refused(p, "it has more than 262144 tokens");
    size_t bytes = 1, i;
    const char *key;
    size_t length;
    json_t *value;
    json_object_keylen_foreach(p->model_vocab, key, length, value) { bytes += length; }
    json_array_foreach(p->added, i, value)
    {
        bytes += json_string_length(json_object_get(value, "content"));
    }
    v->text = malloc(bytes);
    v->tokens = calloc(room + 1, sizeof *v->tokens);
    v->specials = calloc(added + 1, sizeof *v->specials);
    if (!v->text || !v->tokens || !v->specials)
        return why(p->w, ERR_MEMORY, "no memory for the tokens of %s", p->name);
    uint8_t *to = v->text;
    enum err e = take_model_tokens(p, room, &to);
    if (!e) e = take_added(p, room, &to);
    for (i = 0; !e && i < v->count; i++)
        if (!v->tokens[i].data) e = damaged(p, "an id below the count of tokens has no token");
    if (!e && v->count > VOCABULARY_MAX) e = refused(p, "it has more than 262144 tokens");
    for (i = 0; !e && i < 256; i++) {
        uint8_t letter[4];
        size_t n = utf8_write(vocabulary_letter((uint8_t)i), letter);
        json_t *id = json_object_getn(p->model_vocab, (const char *)letter, n);
        if (!id) e = refused(p, "its vocab lacks one of the 256 bytes");
        v->bytes[i] = (uint32_t)json_integer_value(id);
    }
    return e;
}

/* The two halves of a merge: ["a", "b"], or "a b" in files before 2024. */
static bool halves(const json_t *merge, struct bytes half[2])
{
    if (json_is_array(merge)) {
        for (size_t i = 0; i < 2; i++) {
            json_t *part = json_array_get(merge, i);
            half[i] = bytes_of(json_string_value(part), json_string_length(part));
        }
        return json_array_size(merge) == 2 && half[0].data && half[1].data;
    }
    const char *text = json_string_value(merge), *space = text ? strchr(text, ' ') : NULL;
    if (!space || strchr(space + 1, ' ')) return false;
    half[0] = bytes_of(text, (size_t)(space - text));
    half[1] = bytes_of(space + 1, strlen(space + 1));
    return true;
}

static bool id_of(const struct parse *p, struct bytes text, uint32_t *id)
{
    json_t *found = json_object_getn(p->model_vocab, (const char *)text.data, text.count);
    *id = (uint32_t)json_integer_value(found);
    return found;
}

static enum err take_merge(const struct parse *p, const json_t *merge, struct vocabulary_merge *out)
{
    struct bytes half[2];
    if (!halves(merge, half)) return damaged(p, "a merge is not two tokens");
    size_t n = half[0].count + half[1].count;
    char *both = malloc(n + 1);
    if (!both) return why(p->w, ERR_MEMORY, "no memory for the merges of %s", p->name);
    memcpy(both, half[0].data, half[0].count);
    memcpy(both + half[0].count, half[1].data, half[1].count);
    bool known = id_of(p, half[0], &out->left) && id_of(p, half[1], &out->right) &&
                 id_of(p, bytes_of(both, n), &out->result);
    free(both);
    return known ? ERR_OK : damaged(p, "a merge names a token that is not in its vocab");
}

static enum err take_merges(const struct parse *p, json_t *merges)
{
    struct vocabulary *v = p->out;
    v->merges = calloc(json_array_size(merges) + 1, sizeof *v->merges);
    if (!v->merges) return why(p->w, ERR_MEMORY, "no memory for the merges of %s", p->name);
    size_t i;
    json_t *merge;
    json_array_foreach(merges, i, merge)
    {
        const char *text = json_string_value(merge);
        /* `tokenizers` treats it as a header */
        if (text && !strncmp(text, "#version", 8)) continue;
        enum err e = take_merge(p, merge, &v->merges[v->merge_count++]);
        if (e) return e;
    }
    return ERR_OK;
}

enum err vocabulary_parse(const char *name, struct bytes json, struct vocabulary *out,
                          struct why *w)
{
    *out = (struct vocabulary){0};
    struct parse p = {.name = name, .out = out, .w = w};
    json_error_t error;
    json_t *root = json_loadb((const char *)json.data, json.count, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return why(w, ERR_FORMAT, "%s is not JSON: line %d: %s", name, error.line, error.text);
    json_t *model = json_object_get(root, "model");
    enum err e = json_is_object(root) ? check_around(&p, root) : damaged(&p, "it is no object");
    if (!e) e = check_model(&p, model);
    if (!e) {
        p.model_vocab = json_object_get(model, "vocab");
        p.added = json_object_get(root, "added_tokens");
        e = take_tokens(&p);
    }
    if (!e) e = take_merges(&p, json_object_get(model, "merges"));
    json_decref(root);
    if (e) vocabulary_fini(out);
    return e;
}

void vocabulary_fini(struct vocabulary *v)
{
    free(v->tokens);
    free(v->text);
    free(v->specials);
    free(v->merges);
    *v = (struct vocabulary){0};
}

/* A token in the byte alphabet; <|endoftext|> as it is. NULL without memory. */
static json_t *spell(struct bytes token)
{
    uint8_t *text = malloc(token.count * 2 + 1); /* no letter is longer than two bytes */
    if (!text) return NULL;
    size_t used = 0;
    for (size_t i = 0; i < token.count; i++)
        used += utf8_write(vocabulary_letter(token.data[i]), text + used);
    json_t *s = json_stringn((const char *)text, used);
    free(text);
    return s;
}

static json_t *print_model(const struct vocabulary *v)
{
    json_t *vocab = json_object(), *merges = json_array();
    bool good = true;
    for (uint32_t i = 0; i < v->count; i++) {
        json_t *token = spell(v->tokens[i]);
        good &= !json_object_set_new(vocab, json_string_value(token), json_integer(i));
        json_decref(token);
    }
    for (size_t i = 0; i < v->merge_count; i++)
        good &=
            !json_array_append_new(merges, json_pack("[o, o]", spell(v->tokens[v->merges[i].left]),
                                                     spell(v->tokens[v->merges[i].right])));
    json_t *model =
        json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                  "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                  "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges", merges);
    if (good) return model;
    json_decref(model);
    return NULL;
}

static json_t *print_byte_level(int add_prefix_space)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space",
                     add_prefix_space, "trim_offsets", 1, "use_regex", 1);
}

char *vocabulary_print(const struct vocabulary *v)
{
    json_t *added =
        json_pack("[{s:I, s:s, s:b, s:b, s:b, s:b, s:b}]", "id", (json_int_t)v->end_of_text,
                  "content", VOCABULARY_END_OF_TEXT, "single_word", 0, "lstrip", 0, "rstrip", 0,
                  "normalized", 0, "special", 1);
    json_t *root = json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:o, s:o}", "version", "1.0",
                             "truncation", "padding", "added_tokens", added, "normalizer",
                             "pre_tokenizer", print_byte_level(0), "post_processor", "decoder",
                             print_byte_level(1), "model", print_model(v));
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    return text;
}
