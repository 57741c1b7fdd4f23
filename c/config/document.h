/* document.h -- a YAML text as a tree whose every node knows its line and column.
 *
 * Takes what an experiment needs of YAML: one document of mappings, sequences and scalars, in flow or block style.
 * Anchors, aliases, tags, a second document, bytes that are not UTF-8 and control characters are refused, each with
 * name:line:column. What keys mean is not known here. */
#ifndef SHOAL_CONFIG_DOCUMENT_H
#define SHOAL_CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define DOCUMENT_BYTES_MAX (1u << 20) /* an experiment is a page; this is a mistake or an attack */
#define DOCUMENT_DEPTH_MAX 8          /* an experiment needs 4 */

struct document_place {
    uint32_t line, column; /* from 1, columns in characters; 0: none */
};

enum document_kind { DOCUMENT_SCALAR, DOCUMENT_SEQUENCE, DOCUMENT_MAPPING };

struct document_node {
    enum document_kind kind;
    struct document_place at;
    bool quoted;  /* a scalar in quotes or as a block: text, whatever it looks like */
    char *text;   /* of a scalar: `bytes` long and a zero after them; may hold zeros of its own */
    size_t bytes; /* of text */
    size_t first; /* index of the first child; of a mapping key, value, key, value; 0: none */
    size_t next;  /* index of the next sibling; 0: none */
};

struct document {
    struct document_node *nodes; /* nodes[0] is the root */
    size_t count, room;
};

/* Reads `text`; `name` stands for the file in messages. ERR_USAGE for what is wrong in it; then nothing is kept.
 * Otherwise document_fini frees the tree. */
enum err document_parse(const char *name, struct bytes text, struct document *out, struct why *w);
void document_fini(struct document *d);

/* "name:line:column: " and the sentence; returns `e`. */
enum err document_complain(const char *name, struct document_place at, struct why *w, enum err e,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));

#define DOCUMENT_SHOWN_BYTES 64

/* Text from a file made fit for a message: in quotes, cut to some 40 bytes, control characters as '?'. */
const char *document_shown(const char *text, size_t bytes, char out[DOCUMENT_SHOWN_BYTES]);

#endif
