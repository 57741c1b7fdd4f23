/* again.h -- when to ask again for what others may have, such as names and lists. */
#ifndef SHOAL_NODE_AGAIN_H
#define SHOAL_NODE_AGAIN_H

#include "base/instant.h"
#include "base/rng.h"

/* From one answer to the next question, +- 25 %: `usual`; after a failure `first`, doubled with
 * each further one in a row, `most` at most. */
static inline span again_after(uint32_t failures, span usual, span first, span most,
                               struct rng *rng)
{
    uint64_t ns = usual.ns;
    if (failures) {
        uint32_t doublings = failures - 1 < 16 ? failures - 1 : 16;
        ns = first.ns << doublings;
        if (ns > most.ns) ns = most.ns;
    }
    return span_ns(ns * 3 / 4 + rng_below(rng, ns / 2 + 1));
}

#endif
