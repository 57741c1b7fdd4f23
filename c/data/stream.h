/* stream.h -- the texts of one source, unpacked on the way, in bounded memory: what others wrote,
 * so nothing in it is believed. A plain file holds one text, a file of JSON lines one a line.
 *
 *     stream_open --> stream_next: true --> stream_read ... 0 --> stream_next: true --> ...
 *                                `--> false: there is no other */
#ifndef SHOAL_DATA_STREAM_H
#define SHOAL_DATA_STREAM_H

#include "base/err.h"
#include "data/source.h"

#define STREAM_LINE_BYTES_MAX (64u << 20) /* of one line of JSON */

struct stream;

/* `s` and `field` are lent until stream_close. ERR_IO, ERR_MEMORY. */
enum err stream_open(const struct source *s, const char *field, struct stream **out, struct why *w);

/* Goes to the next text; *more false: there is none. ERR_FORMAT, with file and line, for a line
 * that is no JSON object with a string as `field`. */
enum err stream_next(struct stream *s, bool *more, struct why *w);

/* Up to `room` > 0 bytes of the text; *count is 0 at its end. ERR_IO; ERR_FORMAT when what it is
 * packed by is broken, or when the middle of a plain file is no text. */
enum err stream_read(struct stream *s, uint8_t *to, size_t room, size_t *count, struct why *w);

/* Bytes of the file that were read so far, as they lie on the disk. */
uint64_t stream_position(const struct stream *s);

void stream_close(struct stream *s); /* NULL is fine */

#endif
