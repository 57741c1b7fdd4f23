/* utf8.h -- characters of UTF-8 text, and the handling of invalid bytes (RFC 3629; Unicode 14,
 * section 3.9). */
#ifndef SHOAL_DATA_UTF8_H
#define SHOAL_DATA_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define UTF8_INVALID     0xffffffffu
#define UTF8_REPLACEMENT 0xfffdu

/* The character at data[0], with `count` > 0 bytes available, and its length. If it is invalid:
 * UTF8_INVALID and the length of the maximal subpart (1 .. 3: the longest prefix of a valid
 * sequence, or one byte). */
uint32_t utf8_next(const uint8_t *data, size_t count, size_t *length);

/* Writes character `c` as UTF-8; returns its length. */
size_t utf8_write(uint32_t c, uint8_t out[4]);

/* Copies `text` to `out` with U+FFFD for each maximal subpart that is invalid ("U+FFFD Substitution
 * of Maximal Subparts"). `out` has room for 3 * text.count bytes. Returns the bytes written; adds
 * the substitutions to *invalid. */
size_t utf8_repair(struct bytes text, uint8_t *out, uint64_t *invalid);

#endif
