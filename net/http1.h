/* http1.h -- reads the answer to one GET of HTTP/1.1 (RFC 9112), as the bytes come.
 *
 *     STATUS --> FIELDS --> BODY --> DONE
 *        ^--1xx--'  |
 *                   `--> SIZE --> CHUNK --> CHUNK_END --> SIZE ... --> TRAILER --> DONE
 *
 * The bytes are a stranger's: every length is checked before use, and an answer that could be read
 * in two ways is refused. Pure: no socket, clock or malloc. */
#ifndef SHOAL_NET_HTTP1_H
#define SHOAL_NET_HTTP1_H

#include "base/bytes.h"
#include "base/err.h"

#define HTTP1_LINE_BYTES  4096       /* longest line: a status, a field, the size of a chunk */
#define HTTP1_HEAD_BYTES  (64 << 10) /* all lines of an answer, those between chunks included */
#define HTTP1_FIELD_BYTES 2048       /* of a Location; an ETag has a quarter of it */

enum http1_state {
    HTTP1_STATUS,
    HTTP1_FIELDS,
    HTTP1_BODY,
    HTTP1_SIZE,
    HTTP1_CHUNK,
    HTTP1_CHUNK_END,
    HTTP1_TRAILER,
    HTTP1_DONE
};

struct http1 {
    enum http1_state state;
    uint32_t status;                       /* 200 .. 599; of 304 and 204 there is no body */
    char location[HTTP1_FIELD_BYTES];      /* printable; "" when there is none */
    char etag[HTTP1_FIELD_BYTES / 4];      /* the same; one that is longer is passed over */
    uint8_t *body;                         /* storage, the caller's */
    size_t body_count, body_most;          /* bytes there, and that fit */
    bool sized, chunked, encoded, located; /* which fields the answer has */
    uint64_t left;                         /* bytes to come: of the body or of this chunk */
    size_t head;                           /* bytes of lines so far */
    size_t line_count;
    char line[HTTP1_LINE_BYTES];
};

/* `room`: where the body goes, `most` bytes, lent until the end. */
void http1_init(struct http1 *h, uint8_t *room, size_t most);

/* Takes the next bytes; what comes after the end of the answer is ignored. ERR_WIRE with a sentence
 * about the server ("it ...") for an answer that cannot be read or whose body is too long. */
enum err http1_take(struct http1 *h, struct bytes b, struct why *w);

/* The server has sent all. `orderly`: it said so, rather than that the connection was lost. Then
 * a body without a length has come to its end. ERR_WIRE when something is missing. */
enum err http1_end(struct http1 *h, bool orderly, struct why *w);

#endif
