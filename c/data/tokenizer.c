#include "data/tokenizer.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/rng.h"
#include "data/word.h"

#define NO_PAIR UINT64_MAX /* two ids are below 2^18 each */

struct rule { /* a merge */
    uint64_t pair;
    uint32_t rank, result;
};

struct tokenizer {
    uint32_t count, end_of_text;
    uint32_t bytes[256];
    struct bytes *tokens;
    uint8_t *text;
    uint32_t *specials;
    size_t special_count;
    bool special_first[256]; /* some special token begins with this byte */
    struct rule *rules;      /* open addressing, at most half full */
    size_t rule_mask;
};

static uint64_t pair_of(uint32_t left, uint32_t right) { return (uint64_t)left << 32 | right; }

static struct rule *rule_slot(const struct tokenizer *t, uint64_t pair)
{
    size_t i = rng_mix(pair) & t->rule_mask;
    while (t->rules[i].pair != NO_PAIR && t->rules[i].pair != pair) i = (i + 1) & t->rule_mask;
    return &t->rules[i];
}

static const struct rule *rule_of(const struct tokenizer *t, uint32_t left, uint32_t right)
{
    const struct rule *r = rule_slot(t, pair_of(left, right));
    return r->pair == NO_PAIR ? NULL : r;
}

static bool copy_tokens(struct tokenizer *t, const struct vocabulary *v)
{
    size_t bytes = 1;
    for (uint32_t i = 0; i < v->count; i++) bytes += v->tokens[i].count;
    t->text = malloc(bytes);
    t->tokens = malloc(v->count * sizeof *t->tokens);
    t->specials = malloc((v->special_count + 1) * sizeof *t->specials);
    if (!t->text || !t->tokens || !t->specials) return false;
    uint8_t *to = t->text;
    for (uint32_t i = 0; i < v->count; to += v->tokens[i].count, i++)
        t->tokens[i] =
            bytes_of(memcpy(to, v->tokens[i].data, v->tokens[i].count), v->tokens[i].count);
    for (size_t i = 0; i < v->special_count; i++) {
        t->specials[i] = v->specials[i];
        t->special_first[v->tokens[v->specials[i]].data[0]] = true;
    }
    t->special_count = v->special_count;
    return true;
}

static bool copy_rules(struct tokenizer *t, const struct vocabulary *v)
{
    size_t room = 16;
    while (room < 2 * v->merge_count) room *= 2;
    t->rules = malloc(room * sizeof *t->rules);
    if (!t->rules) return false;
    t->rule_mask = room - 1;
    for (size_t i = 0; i < room; i++) t->rules[i].pair = NO_PAIR;
    /* Of two rules for one pair the later one applies. */
    for (size_t i = 0; i < v->merge_count; i++) {
        const struct vocabulary_merge *m = &v->merges[i];
        uint64_t pair = pair_of(m->left, m->right);
        *rule_slot(t, pair) = (struct rule){pair, (uint32_t)i, m->result};
    }
    return true;
}

enum err tokenizer_open(const struct vocabulary *v, struct tokenizer **out, struct why *w)
{
    enum err e = word_init(w);
    if (e) return e;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t || !copy_tokens(t, v) || !copy_rules(t, v)) {
        tokenizer_close(t);
        return why(w, ERR_MEMORY, "no memory for a tokenizer of %u tokens", v->count);
    }
    t->count = v->count;
    t->end_of_text = v->end_of_text;
    memcpy(t->bytes, v->bytes, sizeof t->bytes);
    *out = t;
    return ERR_OK;
}

enum err tokenizer_parse(const char *name, struct bytes json, struct tokenizer **out, struct why *w)
{
    struct vocabulary v;
    enum err e = vocabulary_parse(name, json, &v, w);
    if (e) return e;
    e = tokenizer_open(&v, out, w);
    vocabulary_fini(&v);
    return e;
}

enum err tokenizer_read(const char *path, struct tokenizer **out, struct why *w)
{
    uint8_t *json;
    size_t count;
    enum err e = file_read(path, TOKENIZER_BYTES_MAX, &json, &count, w);
    if (e) return e;
    e = tokenizer_parse(path, bytes_of(json, count), out, w);
    free(json);
    return e;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t) return;
    free(t->tokens);
    free(t->text);
    free(t->specials);
    free(t->rules);
    free(t);
}

uint32_t tokenizer_vocab(const struct tokenizer *t) { return t->count; }
uint32_t tokenizer_end_of_text(const struct tokenizer *t) { return t->end_of_text; }

struct bytes tokenizer_token(const struct tokenizer *t, uint32_t id)
{
    return id < t->count ? t->tokens[id] : (struct bytes){0};
}

size_t tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t count, uint8_t *out,
                        size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct bytes b = tokenizer_token(t, ids[i]);
        if (used < room && b.count)
            memcpy(out + used, b.data, b.count < room - used ? b.count : room - used);
        used += b.count;
    }
    return used;
}

/* ---- One word ---- */

#define WORD_BYTES 30 /* longest cached word */
#define WORD_IDS   8
/* 4 MiB: nearly every word of a language occurs again before its slot is overwritten */
#define WORD_SLOTS 65536u

struct kept_word {
    uint8_t bytes, ids; /* lengths; bytes 0: empty */
    uint8_t text[WORD_BYTES];
    uint32_t id[WORD_IDS];
};
static_assert(sizeof(struct kept_word) == 64, "one cache line");

struct symbol { /* a part of the word being merged, in a linked list; removed when id is NONE */
    uint32_t id;
    uint32_t before, after; /* NONE at the ends */
};
#define NONE UINT32_MAX

struct wish { /* a possible merge of symbol `at` with the next one, if both are unchanged */
    uint32_t rank, at;
};

struct tokenizer_cache {
    struct kept_word *words;
    struct symbol *symbols;
    struct wish *heap; /* smallest (rank, at) first */
    size_t room;       /* capacity in bytes of a word */
    size_t heap_count;
};

enum err tokenizer_cache_open(const struct tokenizer *t, struct tokenizer_cache **out,
                              struct why *w)
{
    struct tokenizer_cache *c = calloc(1, sizeof *c);
    if (c) c->words = aligned_alloc(64, WORD_SLOTS * sizeof *c->words);
    if (!c || !c->words) {
        tokenizer_cache_close(c);
        return why(w, ERR_MEMORY, "no memory for a tokenizer's cache");
    }
    memset(c->words, 0, WORD_SLOTS * sizeof *c->words);
    *out = c;
    return ERR_OK;
}

void tokenizer_cache_close(struct tokenizer_cache *c)
{
    if (!c) return;
    free(c->words);
    free(c->symbols);
    free(c->heap);
    free(c);
}

static enum err make_room(struct tokenizer_cache *c, size_t bytes, struct why *w)
{
    if (bytes <= c->room) return ERR_OK;
    free(c->symbols);
    free(c->heap);
    c->room = 0;
    c->symbols = malloc(bytes * sizeof *c->symbols);
    c->heap = malloc(3 * bytes * sizeof *c->heap); /* one wish per pair, two more per merge */
    if (!c->symbols || !c->heap)
        return why(w, ERR_MEMORY, "no memory to encode a word of %zu bytes", bytes);
    c->room = bytes;
    return ERR_OK;
}

static bool sooner(struct wish a, struct wish b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void heap_push(struct tokenizer_cache *c, struct wish x)
{
    size_t i = c->heap_count++;
    for (; i > 0 && sooner(x, c->heap[(i - 1) / 2]); i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = x;
}

static struct wish heap_pop(struct tokenizer_cache *c)
{
    struct wish top = c->heap[0], x = c->heap[--c->heap_count];
    size_t i = 0;
    for (size_t next; (next = 2 * i + 1) < c->heap_count; i = next) {
        if (next + 1 < c->heap_count && sooner(c->heap[next + 1], c->heap[next])) next++;
        if (!sooner(c->heap[next], x)) break;
        c->heap[i] = c->heap[next];
    }
    c->heap[i] = x;
    return top;
}

/* Pushes the merge of symbol `at` with the next one, if there is a rule for it. */
static void wish_for(const struct tokenizer *t, struct tokenizer_cache *c, uint32_t at)
{
    if (at == NONE || c->symbols[at].after == NONE) return;
    const struct rule *r = rule_of(t, c->symbols[at].id, c->symbols[c->symbols[at].after].id);
    if (r) heap_push(c, (struct wish){r->rank, at});
}

/* Merges a word, lowest rank first and at equal rank leftmost first, in O(n log n). */
static size_t merge_word(const struct tokenizer *t, struct tokenizer_cache *c, struct bytes word,
                         uint32_t *out)
{
    uint32_t n = (uint32_t)word.count;
    struct symbol *s = c->symbols;
    for (uint32_t i = 0; i < n; i++)
        s[i] = (struct symbol){t->bytes[word.data[i]], i ? i - 1 : NONE, i + 1 < n ? i + 1 : NONE};
    c->heap_count = 0;
    for (uint32_t i = 0; i < n; i++) wish_for(t, c, i);
    while (c->heap_count) {
        struct wish top = heap_pop(c);
        struct symbol *left = &s[top.at];
        if (left->id == NONE || left->after == NONE) continue;
        struct symbol *right = &s[left->after];
        const struct rule *r = rule_of(t, left->id, right->id);
        if (!r || r->rank != top.rank) continue;
        left->id = r->result;
        left->after = right->after;
        right->id = NONE;
        if (left->after != NONE) s[left->after].before = top.at;
        wish_for(t, c, left->before);
        wish_for(t, c, top.at);
    }
    size_t count = 0;
    for (uint32_t i = 0; i != NONE; i = s[i].after) out[count++] = s[i].id;
    return count;
}

/* ---- A text ---- */

static enum err encode_word(const struct tokenizer *t, struct tokenizer_cache *c, struct bytes word,
                            uint32_t *out, size_t *count, struct why *w)
{
    struct kept_word *k = NULL;
    if (word.count <= WORD_BYTES) {
        k = &c->words[XXH3_64bits(word.data, word.count) % WORD_SLOTS];
        if (k->bytes == word.count && !memcmp(k->text, word.data, word.count)) {
            memcpy(out, k->id, k->ids * sizeof *out);
            *count = k->ids;
            return ERR_OK;
        }
    }
    enum err e = make_room(c, word.count, w);
    if (e) return e;
    *count = merge_word(t, c, word, out);
    if (k && *count <= WORD_IDS) {
        k->bytes = (uint8_t)word.count;
        k->ids = (uint8_t)*count;
        memcpy(k->text, word.data, word.count);
        memcpy(k->id, out, *count * sizeof *out);
    }
    return ERR_OK;
}

/* The longest special token that begins at `at`, or NULL. */
static const uint32_t *special_at(const struct tokenizer *t, struct bytes text, size_t at)
{
    const uint32_t *longest = NULL;
    for (size_t i = 0; i < t->special_count; i++) {
        struct bytes b = t->tokens[t->specials[i]];
        if (b.count <= text.count - at && !memcmp(b.data, text.data + at, b.count) &&
            (!longest || b.count > t->tokens[*longest].count))
            longest = &t->specials[i];
    }
    return longest;
}

/* Where the next special token begins, from `at` on; text.count when there is none. */
static size_t special_next(const struct tokenizer *t, struct bytes text, size_t at,
                           const uint32_t **special)
{
    *special = NULL;
    for (; at < text.count; at++)
        if (t->special_first[text.data[at]] && (*special = special_at(t, text, at))) break;
    return at;
}

static enum err encode(const struct tokenizer *t, struct tokenizer_cache *c, struct bytes text,
                       uint32_t *out, size_t *count, struct why *w)
{
    *count = 0;
    for (size_t at = 0; at < text.count;) {
        const uint32_t *special;
        size_t end = special_next(t, text, at, &special);
        for (size_t n, ids; at < end; at += n) {
            n = word_length(text.data + at, end - at);
            enum err e = encode_word(t, c, bytes_of(text.data + at, n), out + *count, &ids, w);
            if (e) return e;
            *count += ids;
        }
        if (!special) break;
        out[(*count)++] = *special;
        at += t->tokens[*special].count;
    }
    return ERR_OK;
}

enum err tokenizer_encode(const struct tokenizer *t, struct tokenizer_cache *c, struct bytes text,
                          uint32_t *out, size_t *count, struct why *w)
{
    if (text.count > INT_MAX)
        return why(w, ERR_USAGE, "a text of %zu bytes is too long: encode it in parts below 2 GiB",
                   text.count);
    if (c) return encode(t, c, text, out, count, w);
    enum err e = tokenizer_cache_open(t, &c, w);
    if (!e) e = encode(t, c, text, out, count, w);
    tokenizer_cache_close(c);
    return e;
}
