/* manifest.h -- manifest.json, which makes a folder of shards a corpus. It is written last.
 *
 * A checksum covers all of its values, so a manifest that parses is exactly what was written. */
#ifndef SHOAL_DATA_MANIFEST_H
#define SHOAL_DATA_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "data/shard.h"

#define MANIFEST_NAME      "manifest.json"
#define MANIFEST_VERSION   1
#define MANIFEST_BYTES_MAX (16u << 20)
#define MANIFEST_TOKENIZER "tokenizer.json"

struct manifest_split {
    uint64_t documents;
    uint64_t bytes;  /* of their text, as read */
    uint64_t tokens; /* including the end of each document */
};

struct manifest {
    struct manifest_split splits[SHARD_SPLITS];
    uint64_t files, invalid_utf8; /* sequences replaced by U+FFFD */
    uint32_t vocab, end_of_text;
    uint64_t tokenizer;     /* XXH3-64 of tokenizer.json */
    double validation;      /* the requested share */
    double unigram_entropy; /* nats, of the validation tokens */
    struct shard_header *shards;
    size_t shard_count;
};

/* ERR_FORMAT when it is another kind of file, of another version, damaged, or contradicts itself.
 * The caller frees it with manifest_fini. */
enum err manifest_parse(const char *name, struct bytes json, struct manifest *out, struct why *w);

/* Its JSON; `program` is the version that wrote it. The caller frees it with free(); NULL without
 * memory. */
char *manifest_print(const struct manifest *m, const char *program);

void manifest_fini(struct manifest *m);

#endif
