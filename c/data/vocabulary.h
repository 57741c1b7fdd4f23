/* vocabulary.h -- the content of a tokenizer.json: the token of each id, and the merges in order.
 *
 * In the file a byte is written as one printable character, the byte alphabet of GPT-2
 * (src/encoder.py, bytes_to_unicode): ! .. ~, U+00A1 .. U+00AC and U+00AE .. U+00FF stand for
 * themselves, U+0100 .. U+0143 for the other 68 bytes in order. In this struct tokens are the plain
 * bytes. */
#ifndef SHOAL_DATA_VOCABULARY_H
#define SHOAL_DATA_VOCABULARY_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define VOCABULARY_END_OF_TEXT "<|endoftext|>"
#define VOCABULARY_MAX         262144u /* tokens; an experiment allows the same */
#define VOCABULARY_MIN         257u    /* 256 bytes and <|endoftext|> */

struct vocabulary_merge {
    uint32_t left, right, result; /* ids */
};

struct vocabulary {
    uint32_t count;       /* ids are below this; each has a token */
    uint32_t end_of_text; /* id of <|endoftext|> */
    struct bytes *tokens; /* [count], into `text` */
    uint8_t *text;
    uint32_t bytes[256];             /* the id of each single byte */
    uint32_t *specials;              /* ids of tokens that are matched literally in a text */
    struct vocabulary_merge *merges; /* by rank: earlier ones are applied first */
    size_t special_count, merge_count;
};

/* Reads the JSON of a file called `name`. ERR_FORMAT when it is damaged, ERR_UNSUPPORTED when it
 * requires what could not be reproduced exactly. The caller frees it with vocabulary_fini. */
enum err vocabulary_parse(const char *name, struct bytes json, struct vocabulary *out,
                          struct why *w);

/* The JSON of a vocabulary whose only special token is <|endoftext|>, readable by `tokenizers`;
 * deterministic. The caller frees it with free(); NULL without memory. */
char *vocabulary_print(const struct vocabulary *v);

void vocabulary_fini(struct vocabulary *v);

/* The character of the byte alphabet for a byte, and back: -1 for a character outside the
 * alphabet. */
uint32_t vocabulary_letter(uint8_t byte);
int vocabulary_byte(uint32_t letter);

#endif
