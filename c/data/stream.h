/* stream.h -- the texts of one source, decompressed on the fly, in bounded memory. The input is
 * untrusted. A plain file holds one text, a file of JSON lines one per line.
 *
 *     stream_open --> stream_next: true --> stream_read ... 0 --> stream_next: true --> ...
 *                                `--> false: there are no more */
#ifndef SHOAL_DATA_STREAM_H
#define SHOAL_DATA_STREAM_H

#include "base/err.h"
#include "data/source.h"

#define STREAM_LINE_BYTES_MAX (64u << 20) /* of a line of JSON */

struct stream;

/* `s` and `field` are lent until stream_close. ERR_IO, ERR_MEMORY. */
enum err stream_open(const struct source *s, const char *field, struct stream **out, struct why *w);

/* Goes to the next text; *more is false when there is none. ERR_FORMAT, with file and line, for a
 * line that is not a JSON object with a string in `field`. */
enum err stream_next(struct stream *s, bool *more, struct why *w);

/* Reads up to `room` > 0 bytes of the text; *count is 0 at its end. ERR_IO; ERR_FORMAT when the
 * compressed data is damaged, or when the middle of a plain file is not text. */
enum err stream_read(struct stream *s, uint8_t *to, size_t room, size_t *count, struct why *w);

/* Bytes of the file read so far, as stored on disk. */
uint64_t stream_position(const struct stream *s);

void stream_close(struct stream *s); /* NULL is fine */

#endif
