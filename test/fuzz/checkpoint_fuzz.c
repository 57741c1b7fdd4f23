/* checkpoint_fuzz.c -- a checkpoint from anywhere: it is refused, or every wanted section comes
 * back. The first try takes the input as it is; the others repair magic, versions 1 and 2 and the
 * header's checksum, which no mutation would guess. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <stdio.h>
#include <unistd.h>
#include <xxhash.h>

#include "model/checkpoint.h"

#define HEADER_BYTES 4096
#define PARAMETERS   64

static void read_all(const uint8_t *data, size_t size)
{
    static float sections[CHECKPOINT_SECTIONS][PARAMETERS];
    struct checkpoint c = {0};
    struct why w;
    char path[64];
    int fd = memfd_create("fuzz", 0);
    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    checkpoint_peek(path, &c, &w);
    for (int i = 0; i < CHECKPOINT_SECTIONS; i++) c.sections[i] = sections[i];
    if (!checkpoint_read(path, PARAMETERS, &c, &w)) assert(c.parameters == PARAMETERS);
    assert(c.shared.count < sizeof c.shared.text);
    uint8_t start[CRYPTO_DIGEST_BYTES];
    (void)shared_start(&c.shared, start);
    close(fd);
}

static void repair(uint8_t *copy, size_t room, uint8_t version)
{
    memcpy(copy, "SHOALCKP\0\0\0\0\5\0\0\0", 16);
    copy[8] = version;
    uint64_t count = room, parameters = PARAMETERS;
    memcpy(copy + 16, &count, sizeof count);
    memcpy(copy + 24, &parameters, sizeof parameters);
    XXH128_canonical_t sum;
    XXH128_canonicalFromHash(&sum, XXH3_128bits(copy, HEADER_BYTES - 16));
    memcpy(copy + HEADER_BYTES - 16, sum.digest, 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t room = size < HEADER_BYTES ? HEADER_BYTES : size;
    uint8_t *copy = calloc(1, room);
    if (size) memcpy(copy, data, size);
    read_all(copy, size);
    for (uint8_t version = 1; version <= CHECKPOINT_VERSION; version++) {
        repair(copy, room, version);
        read_all(copy, room);
    }
    free(copy);
    return 0;
}
