#include "arrivals.h"

#include <stddef.h>

#define ONE 1000 /* a bucket's rate is in thousandths of these a millisecond */

bool arrivals_take(struct arrivals *a, const struct address *from, uint32_t burst, uint32_t rate,
                   instant now)
{
    size_t at = 0;
    for (size_t i = 0; i < ARRIVALS_PLACES; i++) {
        if (a->places[i].at.family && address_same_place(&a->places[i].at, from)) {
            at = i;
            break;
        }
        if (a->places[i].bucket.at.ns < a->places[at].bucket.at.ns) at = i;
    }
    if (!a->places[at].at.family || !address_same_place(&a->places[at].at, from)) {
        a->places[at].at = *from;
        a->places[at].bucket = (struct bucket){0};
    }
    return bucket_take(&a->places[at].bucket, ONE, (uint64_t)burst * ONE, (uint64_t)rate * ONE,
                       now);
}
