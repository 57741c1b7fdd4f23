#include "data/bpe.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define TIMES_MIN 2 /* a pair that occurs less often is not merged */

struct text_word {
    uint32_t *symbols; /* into bpe.symbols; shrinks in place */
    size_t count;
    int64_t times;
};

struct pair {     /* two ids that are adjacent somewhere */
    uint64_t ids; /* left << 32 | right */
    int64_t times;
    /* Words that may contain it: complete, but with outdated and duplicate entries. */
    uint32_t *words;
    size_t count, room;
    uint32_t grown; /* the last round in which it grew */
};

struct candidate {
    int64_t times; /* count at insertion: never less than the pair's present count */
    uint64_t ids;
};

struct bpe {
    struct text_word *words;
    uint32_t *symbols;
    size_t word_count;
    struct pair *pairs;
    size_t pair_count, pair_room;
    uint32_t *slots; /* open addressing: index into pairs, plus 1 */
    size_t slot_count;
    struct candidate *heap; /* most frequent first */
    size_t heap_count, heap_room;
    uint32_t *grown; /* pairs that grew in the present round */
    uint32_t round;  /* one for the initial words, then one per merge */
    size_t grown_count, grown_room;
    struct lexicon known; /* tokens; their `times` is the id */
    struct vocabulary_merge *merges;
    size_t merge_count, merge_room;
};

/* Grows an array to hold one more element; false without memory. */
static bool grow(void *array, size_t count, size_t *room, size_t bytes)
{
    void **p = array;
    if (count < *room) return true;
    size_t more = *room ? 2 * *room : 4;
    void *q = realloc(*p, more * bytes);
    if (!q) return false;
    *p = q;
    *room = more;
    return true;
}

/* ---- Pairs ---- */

static bool grow_slots(struct bpe *t)
{
    size_t n = t->slot_count ? 2 * t->slot_count : 4096;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return false;
    for (size_t k = 0; k < t->pair_count; k++) {
        size_t i = rng_mix(t->pairs[k].ids) & (n - 1);
        while (slots[i]) i = (i + 1) & (n - 1);
        slots[i] = (uint32_t)k + 1;
    }
    free(t->slots);
    t->slots = slots;
    t->slot_count = n;
    return true;
}

/* Finds or creates a pair; NULL without memory. Valid until the next call. */
static struct pair *pair_of(struct bpe *t, uint32_t left, uint32_t right)
{
    uint64_t ids = (uint64_t)left << 32 | right;
    if (2 * t->pair_count >= t->slot_count && !grow_slots(t)) return NULL;
    size_t i = rng_mix(ids) & (t->slot_count - 1);
    for (; t->slots[i]; i = (i + 1) & (t->slot_count - 1))
        if (t->pairs[t->slots[i] - 1].ids == ids) return &t->pairs[t->slots[i] - 1];
    if (!grow(&t->pairs, t->pair_count, &t->pair_room, sizeof *t->pairs)) return NULL;
    t->pairs[t->pair_count] = (struct pair){.ids = ids};
    t->slots[i] = (uint32_t)++t->pair_count;
    return &t->pairs[t->pair_count - 1];
}

static bool lose(struct bpe *t, uint32_t left, uint32_t right, int64_t times)
{
    struct pair *p = pair_of(t, left, right);
    if (p) p->times -= times;
    return p;
}

/* Adds the occurrences of a pair in this word, and records it as grown in this round. */
static bool gain(struct bpe *t, uint32_t left, uint32_t right, uint32_t word)
{
    struct pair *p = pair_of(t, left, right);
    if (!p) return false;
    p->times += t->words[word].times;
    if (p->grown != t->round) {
        p->grown = t->round;
        if (!grow(&t->grown, t->grown_count, &t->grown_room, sizeof *t->grown)) return false;
        t->grown[t->grown_count++] = (uint32_t)(p - t->pairs);
    }
    if (p->count && p->words[p->count - 1] == word) return true; /* twice in the same word */
    if (!grow(&p->words, p->count, &p->room, sizeof *p->words)) return false;
    p->words[p->count++] = word;
    return true;
}

/* ---- The most frequent pair ---- */

static bool before(struct candidate a, struct candidate b)
{
    return a.times != b.times ? a.times > b.times : a.ids < b.ids;
}

static bool heap_push(struct bpe *t, struct candidate x)
{
    if (!grow(&t->heap, t->heap_count, &t->heap_room, sizeof *t->heap)) return false;
    size_t i = t->heap_count++;
    for (; i > 0 && before(x, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = x;
    return true;
}

static void sift_down(struct bpe *t, struct candidate x)
{
    size_t i = 0;
    for (size_t next; (next = 2 * i + 1) < t->heap_count; i = next) {
        if (next + 1 < t->heap_count && before(t->heap[next + 1], t->heap[next])) next++;
        if (!before(t->heap[next], x)) break;
        t->heap[i] = t->heap[next];
    }
    t->heap[i] = x;
}

/* Pushes the pairs that have grown; an entry's count may become too high later, never too low. */
static bool enter_grown(struct bpe *t)
{
    for (size_t i = 0; i < t->grown_count; i++) {
        const struct pair *p = &t->pairs[t->grown[i]];
        if (p->times >= TIMES_MIN && !heap_push(t, (struct candidate){p->times, p->ids}))
            return false;
    }
    t->grown_count = 0;
    t->round++;
    return true;
}

/* Pops the most frequent pair; NULL when none occurs often enough. */
static struct pair *most_frequent(struct bpe *t)
{
    while (t->heap_count) {
        struct candidate top = t->heap[0];
        struct pair *p = pair_of(t, (uint32_t)(top.ids >> 32), (uint32_t)top.ids);
        bool current = p->times == top.times;
        if (!current && p->times >= TIMES_MIN) {
            sift_down(t, (struct candidate){p->times, top.ids});
            continue;
        }
        struct candidate last = t->heap[--t->heap_count];
        if (t->heap_count) sift_down(t, last);
        if (current) return p;
    }
    return NULL;
}

/* ---- Merging ---- */

/* Replaces left, right by `result` throughout one word, from left to right. */
static bool merge_in(struct bpe *t, uint32_t word, struct vocabulary_merge m)
{
    struct text_word *x = &t->words[word];
    uint32_t *s = x->symbols;
    size_t kept = 0;
    bool good = true;
    for (size_t i = 0; i < x->count; i++) {
        if (i + 1 == x->count || s[i] != m.left || s[i + 1] != m.right) {
            s[kept++] = s[i];
            continue;
        }
        if (kept > 0) {
            good = good && lose(t, s[kept - 1], m.left, x->times);
            good = good && gain(t, s[kept - 1], m.result, word);
        }
        i++;
        s[kept++] = m.result;
        if (i + 1 < x->count) {
            good = good && lose(t, m.right, s[i + 1], x->times);
            good = good && gain(t, m.result, s[i + 1], word);
        }
    }
    x->count = kept;
    return good;
}

static struct bytes token_of(const struct bpe *t, uint32_t id)
{
    return lexicon_bytes(&t->known, &t->known.words[id]);
}

/* The id of left + right: a new one, unless other merges made the same token before. */
static enum err result_of(struct bpe *t, struct vocabulary_merge *m, struct why *w)
{
    struct bytes a = token_of(t, m->left), b = token_of(t, m->right);
    uint8_t *both = malloc(a.count + b.count);
    if (!both) return why(w, ERR_MEMORY, "no memory for a token");
    memcpy(both, a.data, a.count);
    memcpy(both + a.count, b.data, b.count);
    struct bytes token = bytes_of(both, a.count + b.count);
    const struct lexicon_word *same = lexicon_find(&t->known, token);
    m->result = (uint32_t)(same ? same->times : t->known.count);
    enum err e = same ? ERR_OK : lexicon_add(&t->known, token, m->result, w);
    free(both);
    return e;
}

static enum err merge(struct bpe *t, struct pair *p, struct why *w)
{
    struct vocabulary_merge m = {(uint32_t)(p->ids >> 32), (uint32_t)p->ids, 0};
    enum err e = result_of(t, &m, w);
    if (e) return e;
    uint32_t *words = p->words;
    size_t count = p->count;
    p->words = NULL; /* all of its occurrences are merged now */
    p->count = p->room = 0;
    bool good = grow(&t->merges, t->merge_count, &t->merge_room, sizeof *t->merges);
    for (size_t i = 0; i < count && good; i++) good = merge_in(t, words[i], m);
    free(words);
    if (!good) return why(w, ERR_MEMORY, "no memory for merge %zu", t->merge_count + 1);
    pair_of(t, m.left, m.right)->times = 0;
    t->merges[t->merge_count++] = m;
    return enter_grown(t) ? ERR_OK : why(w, ERR_MEMORY, "no memory for the pairs of a text");
}

/* ---- Start and end ---- */

/* <|endoftext|> and the bytes get their ids. */
static enum err begin_tokens(struct bpe *t, uint32_t byte_ids[256], struct why *w)
{
    enum err e = lexicon_add(
        &t->known, bytes_of(VOCABULARY_END_OF_TEXT, strlen(VOCABULARY_END_OF_TEXT)), 0, w);
    for (uint32_t letter = 0, id = 1; id <= 256 && !e; letter++) {
        int byte = vocabulary_byte(letter);
        if (byte < 0) continue;
        uint8_t b = (uint8_t)byte;
        byte_ids[b] = id;
        e = lexicon_add(&t->known, bytes_of(&b, 1), id++, w);
    }
    return e;
}

static enum err begin_words(struct bpe *t, const struct lexicon *l, const uint32_t *byte_ids,
                            struct why *w)
{
    t->words = calloc(l->count + 1, sizeof *t->words);
    t->symbols = malloc((l->text_used + 1) * sizeof *t->symbols);
    bool good = t->words && t->symbols;
    uint32_t *s = t->symbols;
    for (size_t i = 0; good && i < l->count; i++) {
        struct bytes b = lexicon_bytes(l, &l->words[i]);
        t->words[i] = (struct text_word){s, b.count, (int64_t)l->words[i].times};
        for (size_t k = 0; k < b.count; k++) s[k] = byte_ids[b.data[k]];
        for (size_t k = 0; good && k + 1 < b.count; k++)
            good = gain(t, s[k], s[k + 1], (uint32_t)i);
        s += b.count;
    }
    good = good && enter_grown(t);
    return good ? ERR_OK : why(w, ERR_MEMORY, "no memory for the %zu words of a text", l->count);
}

/* Moves the tokens and merges to `out`. */
static enum err finish(struct bpe *t, const uint32_t *byte_ids, struct vocabulary *out,
                       struct why *w)
{
    *out = (struct vocabulary){.count = (uint32_t)t->known.count, .special_count = 1};
    out->tokens = malloc(t->known.count * sizeof *out->tokens);
    out->specials = calloc(1, sizeof *out->specials);
    if (!out->tokens || !out->specials) {
        vocabulary_fini(out);
        return why(w, ERR_MEMORY, "no memory for a vocabulary");
    }
    for (uint32_t i = 0; i < out->count; i++) out->tokens[i] = token_of(t, i);
    memcpy(out->bytes, byte_ids, sizeof out->bytes);
    out->text = t->known.text;
    t->known.text = NULL;
    out->merges = t->merges;
    out->merge_count = t->merge_count;
    t->merges = NULL;
    return ERR_OK;
}

static void bpe_fini(struct bpe *t)
{
    for (size_t i = 0; i < t->pair_count; i++) free(t->pairs[i].words);
    free(t->pairs);
    free(t->words);
    free(t->symbols);
    free(t->slots);
    free(t->heap);
    free(t->grown);
    free(t->merges);
    lexicon_fini(&t->known);
}

enum err bpe_train(const struct lexicon *words, uint32_t vocab, unsigned (*stop)(void),
                   struct vocabulary *out, struct why *w)
{
    assert(vocab >= VOCABULARY_MIN && vocab <= VOCABULARY_MAX);
    struct bpe t = {.round = 1};
    uint32_t byte_ids[256];
    enum err e = begin_tokens(&t, byte_ids, w);
    if (!e) e = begin_words(&t, words, byte_ids, w);
    for (struct pair *p; !e && t.known.count < vocab && (p = most_frequent(&t));)
        e = stop && stop() ? why(w, ERR_STOPPED, "stopped: nothing was written") : merge(&t, p, w);
    if (!e) e = finish(&t, byte_ids, out, w);
    bpe_fini(&t);
    return e;
}
