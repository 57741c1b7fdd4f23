/* tree_text.h -- the characters of a YAML text: which it may hold, and how they are shown. */
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

/* Adds the first byte that is not UTF-8, or control character, to `m`, with its place in the file
 * `name`. False when there is one. */
bool tree_text_check(const char *name, struct bytes text, struct mistakes *m);

#define TREE_SHOWN_BYTES 64

/* Text from a file made fit for a message: in quotes, cut to some 40 bytes, what does not fit a
 * line as '?'. */
const char *tree_shown(const char *text, size_t bytes, char out[TREE_SHOWN_BYTES]);

/* UTF-8 without control characters, line ends (YAML 1.1 counts U+0085, U+2028 and U+2029 among
 * them) and byte order marks, so that in quotes it reads back as it is. */
bool tree_fits_line(const char *text, size_t bytes);

/* The first character of `text`, of which `bytes` are left, as a double-quoted scalar of YAML or
 * JSON holds it, in `out`; '?' for a byte that is not UTF-8. Returns its bytes in `text`. */
size_t tree_quoted(const char *text, size_t bytes, char out[8]);

#endif
