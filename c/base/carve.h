/* carve.h -- one piece of memory cut into many: the same walk over all that is needed runs twice,
 * first to count, then to hand out. */
#ifndef SHOAL_BASE_CARVE_H
#define SHOAL_BASE_CARVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/whole.h"

#define CARVE_ALIGNMENT 256 /* bytes; of each piece, from the start on */

struct carver {
    uint8_t *start; /* NULL: only count */
    size_t used;
};

/* The next `bytes` bytes; NULL while only counting. The memory stays its owner's. */
static inline void *carve(struct carver *c, size_t bytes)
{
    void *at = c->start ? c->start + c->used : NULL;
    c->used += align_up(bytes, CARVE_ALIGNMENT);
    return at;
}

#endif
