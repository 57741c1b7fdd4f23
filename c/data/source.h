/* source.h -- one file that a corpus is made from; source_list.h finds it, stream.h reads it. */
#ifndef SHOAL_DATA_SOURCE_H
#define SHOAL_DATA_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "data/kind.h"

struct source {
    char *name;     /* name in messages, and the path unless there is an `fd` */
    int fd;         /* the copy of standard input; -1: open `name` */
    uint64_t bytes; /* on disk, compressed */
    enum kind kind; /* any but KIND_FOREIGN */
    bool lines;     /* it holds JSON lines */
};

#endif
