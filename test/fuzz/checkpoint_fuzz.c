/* checkpoint_fuzz.c -- a checkpoint from anywhere: it is refused, or every wanted section comes back. The first try takes
 * the input as it is; the second repairs magic, version and the header's checksum, which no mutation would guess. */
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
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t room = size < HEADER_BYTES ? HEADER_BYTES : size;
    uint8_t *copy = calloc(1, room);
    if (size) memcpy(copy, data, size);
    read_all(copy, size);
    memcpy(copy, "SHOALCKP\1\0\0\0\5\0\0\0", 16);
    uint64_t count = room, parameters = PARAMETERS;
    memcpy(copy + 16, &count, sizeof count);
    memcpy(copy + 24, &parameters, sizeof parameters);
    XXH128_canonical_t sum;
    XXH128_canonicalFromHash(&sum, XXH3_128bits(copy, HEADER_BYTES - 16));
    memcpy(copy + HEADER_BYTES - 16, sum.digest, 16);
    read_all(copy, room);
    free(copy);
    return 0;
}
