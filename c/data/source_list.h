/* source_list.h -- the files that a corpus is made from, found and looked at before any work
 * begins.
 *
 * A name is a file, a folder (all files in it and below, sorted by name in each folder, without
 * those whose names begin with a dot) or "-", standard input, which is copied aside since texts are
 * read more than once. What a file is packed by is seen in its bytes; whether it is JSON, one
 * object a line, in its name (.jsonl, .ndjson; .json too where a field was named) or, of standard
 * input, in that a field was named.
 *
 * Each file is opened once here and its beginning read: what cannot be read, or is no text, is
 * refused by its name. */
#ifndef SHOAL_DATA_SOURCE_LIST_H
#define SHOAL_DATA_SOURCE_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/source.h"

struct source_list {
    const char *field;      /* of JSON lines: the one that holds the text; NULL: "text" */
    const char *aside;      /* the folder for the copy of standard input */
    unsigned (*stop)(void); /* waiting for input ends when it is not 0; may be NULL */
    struct source *sources;
    size_t count, room;
    uint64_t bytes; /* of all together */
};

#define SOURCE_FIELD(list) ((list)->field ? (list)->field : "text")

/* Adds what `name` stands for. ERR_IO for what is missing or is no file (a pipe, a device, a
 * socket), ERR_FORMAT for what is no text, ERR_STOPPED, ERR_MEMORY. The strings of the list are
 * lent until source_fini. */
enum err source_add(struct source_list *l, const char *name, struct why *w);

/* Adds the names in a file, or in standard input ("-"): one a line, or ended by zero bytes as find
 * -print0 has it. */
enum err source_add_from(struct source_list *l, const char *path, struct why *w);

void source_fini(struct source_list *l);

#endif
