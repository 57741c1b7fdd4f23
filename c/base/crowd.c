#include "base/crowd.h"

size_t crowd_choose(size_t count, bool (*one)(const void *ctx, size_t i, struct crowd_one *out),
                    const void *ctx)
{
    size_t chosen = count, most = 0;
    instant since = INSTANT_NEVER;
    for (size_t i = 0; i < count; i++) {
        struct crowd_one a, b;
        size_t here = 0;
        if (!one(ctx, i, &a)) continue;
        for (size_t j = 0; j < count; j++)
            here += one(ctx, j, &b) && address_same_place(a.address, b.address);
        if (here < most || (here == most && a.since.ns >= since.ns)) continue;
        chosen = i;
        most = here;
        since = a.since;
    }
    return chosen;
}
