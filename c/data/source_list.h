/* source_list.h -- the files that a corpus is made from, found and checked before any work begins.
 *
 * A name is a file, a folder (all files in it and below, sorted by name in each folder, without
 * those whose names begin with a dot) or "-", standard input, which is copied to a temporary file
 * since texts are read more than once. The compression of a file is recognized by its bytes; JSON,
 * one object per line, by its name (.jsonl, .ndjson; also .json if a field was given), and for
 * standard input by a given field.
 *
 * Each file is opened here once and its beginning read: a file that is unreadable, or not text, is
 * refused by name. */
#ifndef SHOAL_DATA_SOURCE_LIST_H
#define SHOAL_DATA_SOURCE_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/source.h"

struct source_list {
    const char *field;      /* field of JSON lines that holds the text; NULL: "text" */
    const char *aside;      /* the folder for the copy of standard input */
    unsigned (*stop)(void); /* waiting for input ends when it returns nonzero; may be NULL */
    struct source *sources;
    size_t count, room;
    uint64_t bytes; /* of all files */
};

#define SOURCE_FIELD(list) ((list)->field ? (list)->field : "text")

/* Adds the file or files that `name` denotes. ERR_IO for a missing file or one that is not regular
 * (a pipe, a device, a socket), ERR_FORMAT for a file that is not text, ERR_STOPPED, ERR_MEMORY.
 * The strings of the list are lent until source_fini. */
enum err source_add(struct source_list *l, const char *name, struct why *w);

/* Adds the names in a file, or in standard input ("-"): one per line, or ended by zero bytes as
 * from find -print0. */
enum err source_add_from(struct source_list *l, const char *path, struct why *w);

void source_fini(struct source_list *l);

#endif
