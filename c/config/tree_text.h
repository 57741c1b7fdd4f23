/* tree_text.h -- the characters of a YAML text: which are allowed, and how they are shown in
 * messages. */
#ifndef SHOAL_CONFIG_TREE_TEXT_H
#define SHOAL_CONFIG_TREE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "config/mistakes.h"

struct tree_place {
    uint32_t line, column; /* from 1, columns in characters; 0: none */
};

/* Reports the first byte that is not UTF-8, or control character, in `m`, with its place in the
 * file `name`. False when there is one. */
bool tree_text_check(const char *name, struct bytes text, struct mistakes *m);

#define TREE_SHOWN_BYTES 64

/* Text of a file in a form for messages: quoted, cut to about 40 bytes, with '?' for characters
 * that do not fit a line. */
const char *tree_shown(const char *text, size_t bytes, char out[TREE_SHOWN_BYTES]);

/* UTF-8 without control characters, line ends (YAML 1.1 counts U+0085, U+2028 and U+2029 among
 * them) and byte order marks, so that in quotes it reads back unchanged. */
bool tree_fits_line(const char *text, size_t bytes);

/* The first character of `text`, of which `bytes` are left, written to `out` as in a double-quoted
 * scalar of YAML or JSON; '?' for a byte that is not UTF-8. Returns its length in `text`. */
size_t tree_quoted(const char *text, size_t bytes, char out[8]);

#endif
