/* source.h -- one file that a corpus is made from; source_list.h finds it, stream.h reads it. */
#ifndef SHOAL_DATA_SOURCE_H
#define SHOAL_DATA_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "data/kind.h"

struct source {
    char *name;     /* for the user, and the path unless `fd` is one */
    int fd;         /* the copy of standard input; -1: open `name` */
    uint64_t bytes; /* on the disk, packed as it is */
    enum kind kind; /* any but KIND_FOREIGN */
    bool lines;     /* of JSON */
};

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
 * lent until source_fini. ERR_USAGE for a folder without files, or "-" named twice. */
enum err source_add(struct source_list *l, const char *name, struct why *w);

/* Adds the names in a file, or in standard input ("-"): one a line, or ended by zero bytes as find
 * -print0 writes them. Errors as source_add; ERR_USAGE when there is none. */
enum err source_add_from(struct source_list *l, const char *path, struct why *w);

void source_fini(struct source_list *l);

#endif
