/* document.h -- the documents of text files, one batch after the other, in bounded memory.
 *
 * A file of at most 1 MiB is a document. A longer one is cut: a document ends with the first blank line after 8 KiB;
 * without one in its first 64 KiB after the last line end there, else before the last space, else between two
 * characters. Where it is cut depends on the bytes of the file alone, not on the size of a batch. */
#ifndef SHOAL_DATA_DOCUMENT_H
#define SHOAL_DATA_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define DOCUMENT_WHOLE_BYTES  (1u << 20) /* a file up to this is one document */
#define DOCUMENT_TARGET_BYTES (8u << 10)
#define DOCUMENT_WINDOW_BYTES (64u << 10) /* the longest document of a longer file */

struct document_reader {
    const char *const *paths; /* lent until document_fini */
    size_t path_count, path_next;
    size_t batch_bytes;
    uint64_t bytes_all; /* of all files together, when the reader was opened */
    int fd;             /* of the file that is being read; -1: none */
    bool whole, ended;  /* it is one document; its end was reached */
    uint8_t *text;      /* of the present batch */
    size_t used;        /* bytes read into it */
    size_t cut;         /* of these, bytes that belong to documents */
    struct bytes *documents;
    size_t count, room;
};

/* Looks at all files first: ERR_IO for one that cannot be read or is no regular file. `batch_bytes` is how much text
 * a batch has, and a document more. */
enum err document_open(struct document_reader *r, const char *const *paths, size_t count,
                       size_t batch_bytes, struct why *w);

/* The next batch: r->documents[0 .. r->count), none of them empty, valid until the next call; r->count is 0 after
 * the last. ERR_IO, ERR_MEMORY. */
enum err document_next(struct document_reader *r, struct why *w);

void document_fini(struct document_reader *r);

#endif
