/* bucket.h -- bounds what somebody sends: bytes at once, and bytes a second. */
#ifndef SHOAL_BASE_BUCKET_H
#define SHOAL_BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

struct bucket { /* zeroed: full */
    uint64_t used;
    instant at; /* when `used` was right */
};

/* Takes so many bytes, of which `burst` fit at once and `rate` become free each second. False, with
 * nothing taken: they do not fit. */
static inline bool bucket_take(struct bucket *b, uint64_t bytes, uint64_t burst, uint64_t rate,
                               instant now)
{
    uint64_t ms = span_in_ms(instant_since(now, b->at));
    uint64_t freed = ms > 1000000 ? b->used : ms * rate / 1000;
    b->used -= freed < b->used ? freed : b->used;
    if (freed || !b->used) b->at = now;
    if (b->used + bytes > burst) return false;
    b->used += bytes;
    return true;
}

#endif
