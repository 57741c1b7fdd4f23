/* word.h -- splits a text into words: GPT-2's pre-tokenization, whose boundaries merges never
 * cross.
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * The first alternative that matches wins (github.com/openai/gpt-2, src/encoder.py). \s is
 * Unicode's White_Space. The classes come from PCRE2, which fills a table once; the scanner over it
 * is ours, since a general regular expression engine is ten times slower. */
#ifndef SHOAL_DATA_WORD_H
#define SHOAL_DATA_WORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum word_class { WORD_OTHER, WORD_LETTER, WORD_NUMBER, WORD_SPACE };

/* Fills the table of classes; later calls do nothing. From any thread. ERR_MEMORY; ERR_UNSUPPORTED
 * when PCRE2 was built without Unicode. */
enum err word_init(struct why *w);

/* The class of a character below 0x110000. Requires word_init, as does word_length. */
enum word_class word_class_of(uint32_t character);

/* The length of the first word of a text of `count` > 0 bytes; the end of the bytes is the end of
 * the text. A byte that is not UTF-8 counts as a character of its own that is neither letter,
 * number nor space. */
size_t word_length(const uint8_t *text, size_t count);

#endif
