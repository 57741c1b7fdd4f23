/* carve.h -- divides one piece of memory: the same function carves all arrays twice, first to count
 * bytes, then to assign addresses. */
#ifndef SHOAL_BASE_CARVE_H
#define SHOAL_BASE_CARVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/whole.h"

#define CARVE_ALIGNMENT 256 /* bytes; of each piece, relative to the start */

struct carver {
    uint8_t *start; /* NULL: only count */
    size_t used;
};

/* The next `bytes` bytes; NULL while only counting. The memory's owner does not change. */
static inline void *carve(struct carver *c, size_t bytes)
{
    void *at = c->start ? c->start + c->used : NULL;
    c->used += align_up(bytes, CARVE_ALIGNMENT);
    return at;
}

#endif
