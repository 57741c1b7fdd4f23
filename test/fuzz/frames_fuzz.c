/* frames_fuzz.c -- the control stream's parser: whatever bytes come and however they are cut, it
 * says the same. */
#include <stdlib.h>

#include "net/frames.h"

#define BODY_MAX 5000

/* A sum over all frames and what was said last, fed in pieces of `cut`. */
static uint64_t parse(const uint8_t *data, size_t count, size_t cut)
{
    struct frames f;
    uint64_t sum = 0;
    enum frames_said said = FRAMES_MORE;
    frames_init(&f, BODY_MAX);
    for (size_t at = 0; at < count && said == FRAMES_MORE; at += cut) {
        struct bytes in = bytes_of(data + at, count - at < cut ? count - at : cut), body;
        uint8_t type;
        while ((said = frames_take(&f, &in, &type, &body)) == FRAMES_ONE) {
            if (body.count > BODY_MAX) abort();
            sum = sum * 31 + type + (body.count << 8);
            for (size_t i = 0; i < body.count; i++) sum = sum * 131 + body.data[i];
        }
    }
    frames_fini(&f);
    return sum * 4 + said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count < 2) return 0;
    size_t cut = data[0] + 1u;
    if (parse(data + 1, count - 1, cut) != parse(data + 1, count - 1, count)) abort();
    return 0;
}
