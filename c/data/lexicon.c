#include "data/lexicon.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static uint32_t *slot_of(const struct lexicon *l, uint64_t hash, struct bytes word)
{
    size_t i = hash & (l->slot_count - 1);
    for (; l->slots[i]; i = (i + 1) & (l->slot_count - 1)) {
        const struct lexicon_word *x = &l->words[l->slots[i] - 1];
        if (x->hash == hash && x->bytes == word.count &&
            !memcmp(l->text + x->offset, word.data, word.count))
            break;
    }
    return &l->slots[i];
}

/* Inserts all words, which are distinct, into the empty slots. */
static void fill_slots(struct lexicon *l)
{
    for (size_t k = 0; k < l->count; k++) {
        size_t i = l->words[k].hash & (l->slot_count - 1);
        while (l->slots[i]) i = (i + 1) & (l->slot_count - 1);
        l->slots[i] = (uint32_t)k + 1;
    }
}

static bool grow_slots(struct lexicon *l)
{
    size_t n = l->slot_count ? 2 * l->slot_count : 1024;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return false;
    free(l->slots);
    l->slots = slots;
    l->slot_count = n;
    fill_slots(l);
    return true;
}

static bool make_room(struct lexicon *l, size_t bytes)
{
    if (2 * l->count >= l->slot_count && !grow_slots(l)) return false;
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 512;
        struct lexicon_word *words = realloc(l->words, room * sizeof *words);
        if (!words) return false;
        l->words = words;
        l->room = room;
    }
    if (l->text_room - l->text_used < bytes) {
        size_t room = 2 * l->text_room + bytes + 4096;
        uint8_t *text = realloc(l->text, room);
        if (!text) return false;
        l->text = text;
        l->text_room = room;
    }
    return true;
}

static enum err add(struct lexicon *l, uint64_t hash, struct bytes word, uint64_t times,
                    struct why *w)
{
    uint32_t *slot = l->slot_count ? slot_of(l, hash, word) : NULL;
    if (slot && *slot) {
        l->words[*slot - 1].times += times;
        return ERR_OK;
    }
    if (l->count == UINT32_MAX - 1 || !make_room(l, word.count))
        return why(w, ERR_MEMORY, "no memory for %zu different words", l->count + 1);
    l->words[l->count] = (struct lexicon_word){hash, times, l->text_used, word.count};
    memcpy(l->text + l->text_used, word.data, word.count);
    l->text_used += word.count;
    *slot_of(l, hash, word) = (uint32_t)++l->count;
    return ERR_OK;
}

enum err lexicon_add(struct lexicon *l, struct bytes word, uint64_t times, struct why *w)
{
    return add(l, XXH3_64bits(word.data, word.count), word, times, w);
}

enum err lexicon_add_all(struct lexicon *l, const struct lexicon *from, struct why *w)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < from->count && !e; i++)
        e = add(l, from->words[i].hash, lexicon_bytes(from, &from->words[i]), from->words[i].times,
                w);
    return e;
}

struct lexicon_word *lexicon_find(const struct lexicon *l, struct bytes word)
{
    uint32_t *slot = l->slot_count ? slot_of(l, XXH3_64bits(word.data, word.count), word) : NULL;
    return slot && *slot ? &l->words[*slot - 1] : NULL;
}

static void forget(struct lexicon *l, uint64_t times)
{
    size_t kept = 0, used = 0;
    for (size_t i = 0; i < l->count; i++) {
        struct lexicon_word x = l->words[i];
        if (x.times <= times) continue;
        memmove(l->text + used, l->text + x.offset, x.bytes);
        x.offset = used;
        used += x.bytes;
        l->words[kept++] = x;
    }
    l->count = kept;
    l->text_used = used;
    memset(l->slots, 0, l->slot_count * sizeof *l->slots);
    fill_slots(l);
}

void lexicon_prune(struct lexicon *l, size_t words_max, size_t bytes_max)
{
    uint64_t times = 1;
    if (l->count == 0) return;
    do {
        forget(l, times);
        times *= 2;
    } while (l->count > words_max || l->text_used > bytes_max);
}

void lexicon_clear(struct lexicon *l)
{
    l->count = l->text_used = 0;
    if (l->slots) memset(l->slots, 0, l->slot_count * sizeof *l->slots);
}

void lexicon_fini(struct lexicon *l)
{
    free(l->words);
    free(l->text);
    free(l->slots);
    *l = (struct lexicon){0};
}
