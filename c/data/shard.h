/* shard.h -- a file of token ids: a header of 64 bytes, then the ids, all little-endian.
 *
 *      0  8  magic "SHOALTOK"           40  4  split: 0 train, 1 validation
 *      8  4  version, 1                 44  4  index among the shards of the split
 *     12  4  bytes of an id, 2 or 4     48  8  XXH3-64 of tokenizer.json
 *     16  8  count of ids               56  8  XXH3-64 of the preceding 56 bytes
 *     24  8  XXH3-64 of the ids
 *     32  8  ids before this shard */
#ifndef SHOAL_DATA_SHARD_H
#define SHOAL_DATA_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define SHARD_HEADER_BYTES 64
#define SHARD_NAME_BYTES   32
#define SHARD_VERSION      1
#define SHARD_SPLITS       2

struct shard_header {
    uint32_t id_bytes; /* 2 or 4 */
    uint32_t split, index;
    uint64_t count;
    uint64_t before;    /* ids in the shards of its split with a smaller index */
    uint64_t checksum;  /* of the ids */
    uint64_t tokenizer; /* checksum of tokenizer.json */
};

/* Writes "train-00000.bin" and so on to `out`, which it returns. */
const char *shard_name(uint32_t split, uint32_t index, char out[SHARD_NAME_BYTES]);

/* Parses the header of a whole file's bytes; `name` is the file's name in messages. ERR_FORMAT when
 * it is another kind of file, of another version, damaged, or its length does not match its header.
 * The ids are not checked. */
enum err shard_parse(const char *name, struct bytes file, struct shard_header *out, struct why *w);

/* Checks the ids of a parsed file against the checksum and the vocabulary. ERR_FORMAT. */
enum err shard_verify(const char *name, struct bytes file, const struct shard_header *h,
                      uint32_t vocab, struct why *w);

/* Copies ids [first, first + count) of a parsed file, which must exist. */
void shard_ids(struct bytes file, const struct shard_header *h, uint64_t first, size_t count,
               uint32_t *out);

struct shard_writer;

/* Creates the file; `h` has everything except count and checksum. Then shard_add appends ids, below
 * 2^16 where id_bytes is 2. ERR_IO, ERR_MEMORY; end the writer with shard_finish or
 * shard_abandon. */
enum err shard_create(const char *path, const struct shard_header *h, struct shard_writer **out,
                      struct why *w);
enum err shard_add(struct shard_writer *s, const uint32_t *ids, size_t count, struct why *w);
/* Completes and syncs the file, writes its header to `out`, and frees the writer, also on failure.
 * Without this the file has no header and is refused. ERR_IO. */
enum err shard_finish(struct shard_writer *s, struct shard_header *out, struct why *w);
/* Frees the writer and leaves the file incomplete. NULL is fine. */
void shard_abandon(struct shard_writer *s);

#endif
