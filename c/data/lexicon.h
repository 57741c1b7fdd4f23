/* lexicon.h -- distinct words and the number of occurrences of each. Keeps copies of the words, in
 * order of arrival. */
#ifndef SHOAL_DATA_LEXICON_H
#define SHOAL_DATA_LEXICON_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct lexicon_word {
    uint64_t hash;  /* XXH3-64 of the bytes */
    uint64_t times; /* occurrences; or the caller's value for the word */
    size_t offset;  /* of its bytes in `text` */
    size_t bytes;
};

struct lexicon { /* all zeros: empty */
    struct lexicon_word *words;
    size_t count, room;
    uint8_t *text;
    size_t text_used, text_room;
    uint32_t *slots; /* open addressing: index into words, plus 1 */
    size_t slot_count;
};

/* Adds `times` to the word, inserting it if it is new. ERR_MEMORY. */
enum err lexicon_add(struct lexicon *l, struct bytes word, uint64_t times, struct why *w);

/* Adds all of `from`, in its order. ERR_MEMORY. */
enum err lexicon_add_all(struct lexicon *l, const struct lexicon *from, struct why *w);

/* The word, or NULL. Valid until the next add. */
struct lexicon_word *lexicon_find(const struct lexicon *l, struct bytes word);

static inline struct bytes lexicon_bytes(const struct lexicon *l, const struct lexicon_word *x)
{
    return bytes_of(l->text + x->offset, x->bytes);
}

/* Removes the words that occur only once; if more than `words_max` words or `bytes_max` bytes
 * remain, those that occur up to twice, four times, and so on. */
void lexicon_prune(struct lexicon *l, size_t words_max, size_t bytes_max);

void lexicon_clear(struct lexicon *l); /* empty again, memory kept */
void lexicon_fini(struct lexicon *l);

#endif
