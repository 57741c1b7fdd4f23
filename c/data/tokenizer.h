/* tokenizer.h -- text to token ids and back: byte-level BPE, as GPT-2 has it.
 *
 *     text --special tokens cut out--> pieces --word.h--> words --merges, lowest rank first--> ids
 *
 * Encoding equals that of Hugging Face's `tokenizers` on the same tokenizer.json, for every
 * character of Unicode 14. A file that asks for something else (a normalizer, another
 * pre-tokenizer, another model, ...) is refused, never approximated. A tokenizer does not change
 * after it was read: any number of threads may share it. */
#ifndef SHOAL_DATA_TOKENIZER_H
#define SHOAL_DATA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "data/vocabulary.h"

#define TOKENIZER_BYTES_MAX (64u << 20) /* largest tokenizer.json that is read */

struct tokenizer;

/* What one thread keeps between calls: words it has met, and scratch. About 4 MiB. */
struct tokenizer_cache;

/* Reads a tokenizer.json; the caller closes it. ERR_IO; ERR_FORMAT when it is damaged;
 * ERR_UNSUPPORTED when it asks for what is not reproduced here. */
enum err tokenizer_read(const char *path, struct tokenizer **out, struct why *w);

/* The same from memory; `name` stands for the file in messages. */
enum err tokenizer_parse(const char *name, struct bytes json, struct tokenizer **out,
                         struct why *w);

/* From a vocabulary (vocabulary.h), which is copied. ERR_MEMORY. */
enum err tokenizer_open(const struct vocabulary *v, struct tokenizer **out, struct why *w);
void tokenizer_close(struct tokenizer *t);

uint32_t tokenizer_vocab(const struct tokenizer *t);       /* ids are below this */
uint32_t tokenizer_end_of_text(const struct tokenizer *t); /* the id of <|endoftext|> */

/* For one thread at a time; must not outlive the tokenizer. ERR_MEMORY. */
enum err tokenizer_cache_open(const struct tokenizer *t, struct tokenizer_cache **out,
                              struct why *w);
void tokenizer_cache_close(struct tokenizer_cache *c);

/* Writes the ids of `text` to `out`, which has room for text.count ids: there are never more.
 * Special tokens that occur in the text become their own ids, as in `tokenizers`. The text should
 * be UTF-8; a byte that is not stands for itself, so that decoding gives back what was encoded in
 * any case. `c` was opened for `t`, or is NULL: then the call makes one for itself. ERR_MEMORY. */
enum err tokenizer_encode(const struct tokenizer *t, struct tokenizer_cache *c, struct bytes text,
                          uint32_t *out, size_t *count, struct why *w);

/* The bytes that a token stands for, special tokens by their name; an empty view for an id that is
 * not there. */
struct bytes tokenizer_token(const struct tokenizer *t, uint32_t id);

/* Writes the bytes of `ids` to `out`, as many as fit in `room`, and returns how many bytes they are
 * in all. The bytes of one token need not be whole characters; those of an encoded text are. */
size_t tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t count, uint8_t *out,
                        size_t room);

#endif
