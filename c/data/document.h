/* document.h -- splits texts (source_list.h) into documents, batch by batch, in bounded memory.
 *
 * A text of at most 1 MiB is a document. A longer one is split: a document ends with the first
 * blank line after 8 KiB; if there is none in its first 64 KiB, after the last line end there, else
 * before the last space, else between two characters. The split depends only on the bytes of the
 * text, not on the size of a batch.
 *
 * Where that gives too few documents to hold some out, short texts are split like long ones
 * (document_finer). */
#ifndef SHOAL_DATA_DOCUMENT_H
#define SHOAL_DATA_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "data/source_list.h"
#include "data/stream.h"

#define DOCUMENT_WHOLE_BYTES  (1u << 20) /* a text up to this is one document */
#define DOCUMENT_TARGET_BYTES (8u << 10)
#define DOCUMENT_WINDOW_BYTES (64u << 10) /* the longest document of a longer text */

struct document_rule {
    size_t whole; /* longer texts are split; at most DOCUMENT_WHOLE_BYTES */
    /* A document of such a text ends with the first blank line after this; 1 .. window. */
    size_t target;
    size_t window; /* and at the latest after this; at most DOCUMENT_WINDOW_BYTES */
};

#define DOCUMENT_RULE                                                                              \
    ((struct document_rule){DOCUMENT_WHOLE_BYTES, DOCUMENT_TARGET_BYTES, DOCUMENT_WINDOW_BYTES})

/* A rule for texts of `bytes` in total: every text is split, into documents of 8 KiB, or a
 * sixteenth of the total where that is less. Texts of more than one character give at least two
 * documents. */
struct document_rule document_finer(uint64_t bytes);

struct document_reader {
    const struct source_list *list; /* lent until document_fini */
    struct document_rule rule;
    size_t batch_bytes;
    size_t next;           /* next source */
    struct stream *stream; /* of the previous source; NULL: none is open */
    bool inside;           /* a text of the stream is being read */
    bool longer, ended;    /* of that text: it is split; its end was reached */
    uint64_t before;       /* bytes of the sources read completely */
    uint8_t *text;         /* of the present batch */
    size_t used;           /* bytes read into it */
    size_t cut;            /* of those, bytes assigned to documents */
    struct bytes *documents;
    size_t count, room;
};

/* A batch has about `batch_bytes` of text: memory for that plus one document is allocated.
 * ERR_MEMORY. */
enum err document_open(struct document_reader *r, const struct source_list *list,
                       struct document_rule rule, size_t batch_bytes, struct why *w);

/* The next batch: r->documents[0 .. r->count), not empty, valid until the next call; r->count is 0
 * after the last batch. ERR_IO, ERR_MEMORY, ERR_FORMAT as in stream.h. */
enum err document_next(struct document_reader *r, struct why *w);

/* Bytes of the sources read so far, as stored on disk: 0 .. list->bytes. */
uint64_t document_position(const struct document_reader *r);

void document_fini(struct document_reader *r);

#endif
