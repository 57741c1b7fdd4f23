/* tokenizer.h -- text to token ids and back: byte-level BPE, as in GPT-2.
 *
 *     text --special tokens cut out--> pieces --word.h--> words --merges, lowest rank first--> ids
 *
 * Encoding equals that of Hugging Face's `tokenizers` on the same tokenizer.json, for every
 * character of Unicode 14. A file that requires something else (a normalizer, another
 * pre-tokenizer, another model, ...) is refused, never approximated. A tokenizer is immutable once
 * read: any number of threads may share it. */
#ifndef SHOAL_DATA_TOKENIZER_H
#define SHOAL_DATA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "data/vocabulary.h"

#define TOKENIZER_BYTES_MAX (64u << 20) /* limit of tokenizer.json */

struct tokenizer;

/* State of one thread between calls: a cache of words, and scratch. About 4 MiB. */
struct tokenizer_cache;

/* Reads a tokenizer.json; the caller closes it. ERR_IO; ERR_FORMAT when it is damaged;
 * ERR_UNSUPPORTED when it requires what is not supported here. */
enum err tokenizer_read(const char *path, struct tokenizer **out, struct why *w);

/* The same from memory; `name` is the file's name in messages. */
enum err tokenizer_parse(const char *name, struct bytes json, struct tokenizer **out,
                         struct why *w);

/* Makes one from a vocabulary (vocabulary.h), which is copied. ERR_MEMORY. */
enum err tokenizer_open(const struct vocabulary *v, struct tokenizer **out, struct why *w);
void tokenizer_close(struct tokenizer *t);

uint32_t tokenizer_vocab(const struct tokenizer *t);       /* ids are below this */
uint32_t tokenizer_end_of_text(const struct tokenizer *t); /* the id of <|endoftext|> */

/* Used by one thread at a time; must not outlive the tokenizer. ERR_MEMORY. */
enum err tokenizer_cache_open(const struct tokenizer *t, struct tokenizer_cache **out,
                              struct why *w);
void tokenizer_cache_close(struct tokenizer_cache *c);

/* Writes the ids of `text` to `out`, which has room for text.count ids: there are never more.
 * Special tokens that occur in the text become their own ids, as in `tokenizers`. The text should
 * be UTF-8; a byte that is not is encoded as itself, so that decoding always restores what was
 * encoded. `c` was opened for `t`, or is NULL: then the call uses a temporary one. ERR_MEMORY. */
enum err tokenizer_encode(const struct tokenizer *t, struct tokenizer_cache *c, struct bytes text,
                          uint32_t *out, size_t *count, struct why *w);

/* The bytes of a token, the name for a special one; an empty view for an unknown id. */
struct bytes tokenizer_token(const struct tokenizer *t, uint32_t id);

/* Writes the bytes of `ids` to `out`, as many as fit in `room`, and returns their total number. The
 * bytes of one token need not be whole characters; those of an encoded text are. */
size_t tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t count, uint8_t *out,
                        size_t room);

#endif
