/* tree.h -- a YAML text as a tree whose every node knows its line and column.
 *
 * Accepts the part of YAML that an experiment needs: one document of mappings, sequences and
 * scalars, in flow or block style. Anchors, aliases, tags, a second document, bytes that are not
 * UTF-8 and control characters are refused, each with name:line:column. The meaning of keys is not
 * known here. */
#ifndef SHOAL_CONFIG_TREE_H
#define SHOAL_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "config/mistakes.h"
#include "config/tree_text.h"

#define TREE_BYTES_MAX (1u << 20) /* an experiment is a page; this is a mistake or an attack */
#define TREE_DEPTH_MAX 8          /* an experiment needs 4 */

enum tree_kind { TREE_SCALAR, TREE_SEQUENCE, TREE_MAPPING };

struct tree_node {
    enum tree_kind kind;
    struct tree_place at;
    bool quoted;  /* a scalar in quotes or as a block: text, whatever it looks like */
    char *text;   /* of a scalar: `bytes` long and then a zero; may contain zeros */
    size_t bytes; /* of text */
    size_t first; /* index of the first child; in a mapping: key, value, key, value; 0: none */
    size_t next;  /* index of the next sibling; 0: none */
};

struct tree {
    struct tree_node *nodes; /* nodes[0] is the root */
    size_t count, room;
};

/* Reads `text`; `name` is the file's name in messages. Mistakes are added to `found`: ERR_USAGE, or
 * ERR_MEMORY. True, with a tree, even after mistakes that could be isolated: `steps:400` is read as
 * `steps: 400`. tree_fini frees the tree. `is_key`: may a word be a key? */
bool tree_parse(const char *name, struct bytes text, bool (*is_key)(const char *word, size_t bytes),
                struct tree *out, struct mistakes *found);
void tree_fini(struct tree *d);

#endif
