/* shard_fuzz.c -- a token shard from anywhere: it is refused, or every id can be read. The first
 * try takes the input as it is; the second repairs both checksums, which no mutation would
 * guess. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "data/shard.h"

static void read_all(struct bytes file)
{
    struct shard_header h;
    struct why w;
    uint32_t ids[100];
    if (shard_parse("fuzz", file, &h, &w)) return;
    if (shard_verify("fuzz", file, &h, 50000, &w)) return;
    for (uint64_t at = 0; at < h.count; at += 100) {
        size_t n = h.count - at < 100 ? (size_t)(h.count - at) : 100;
        shard_ids(file, &h, at, n, ids);
        for (size_t i = 0; i < n; i++) assert(ids[i] < 50000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = aligned_alloc(64, (size / 64 + 1) * 64); /* a mapping is aligned */
    if (size) memcpy(copy, data, size);
    read_all(bytes_of(copy, size));
    if (size >= SHARD_HEADER_BYTES) {
        memcpy(copy, "SHOALTOK\1\0\0\0", 12);
        uint64_t sum = XXH3_64bits(copy + SHARD_HEADER_BYTES, size - SHARD_HEADER_BYTES);
        memcpy(copy + 24, &sum, sizeof sum);
        sum = XXH3_64bits(copy, 56);
        memcpy(copy + 56, &sum, sizeof sum);
        read_all(bytes_of(copy, size));
    }
    free(copy);
    return 0;
}
