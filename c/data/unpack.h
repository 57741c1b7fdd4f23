/* unpack.h -- the bytes of a file, decompressed if gzip or zstd, a chunk at a time. */
#ifndef SHOAL_DATA_UNPACK_H
#define SHOAL_DATA_UNPACK_H

#include "base/err.h"
#include "data/source.h"

struct unpack;

/* Opens the source's file; it is lent until unpack_close. ERR_IO, ERR_MEMORY. */
enum err unpack_open(const struct source *s, struct unpack **out, struct why *w);

/* Reads up to `room` > 0 bytes; *count is 0 at the end of the file. Consecutive members and frames
 * are concatenated, as by gzip -dc and zstd -dc. ERR_IO; ERR_FORMAT when the file is damaged or
 * truncated. */
enum err unpack_read(struct unpack *u, uint8_t *to, size_t room, size_t *count, struct why *w);

uint64_t unpack_position(const struct unpack *u); /* bytes read from the file so far */

void unpack_close(struct unpack *u); /* NULL is fine */

#endif
