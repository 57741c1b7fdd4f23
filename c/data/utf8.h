/* utf8.h -- characters of UTF-8 text, and what becomes of bytes that are none (RFC 3629; Unicode
 * 14, section 3.9). */
#ifndef SHOAL_DATA_UTF8_H
#define SHOAL_DATA_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define UTF8_INVALID     0xffffffffu
#define UTF8_REPLACEMENT 0xfffdu

/* The character at data[0], `count` > 0 bytes being there, and its length. UTF8_INVALID and the
 * length of the maximal subpart (1 .. 3: the longest start of a valid sequence, or one byte) where
 * there is none. */
uint32_t utf8_next(const uint8_t *data, size_t count, size_t *length);

/* The UTF-8 of character `c`, and its length. */
size_t utf8_write(uint32_t c, uint8_t out[4]);

/* Copies `text` to `out` with U+FFFD for each maximal subpart that is no character ("U+FFFD
 * Substitution of Maximal Subparts"). `out` has room for 3 * text.count bytes. Returns the bytes
 * written; adds the substitutions to *invalid. */
size_t utf8_repair(struct bytes text, uint8_t *out, uint64_t *invalid);

#endif
