/* blocks.h -- where scales and q lie in wire bytes (outer.h). Private to c/outer. */
#ifndef SHOAL_OUTER_BLOCKS_H
#define SHOAL_OUTER_BLOCKS_H

#include <string.h>

#include "outer/outer.h"

static inline size_t blocks_of(size_t n) { return ceil_div(n, OUTER_BLOCK); }

/* Elements of a block of n elements' wire bytes: fewer in the last one. */
static inline size_t block_count(size_t n, size_t block)
{
    size_t left = n - block * OUTER_BLOCK;
    return left < OUTER_BLOCK ? left : OUTER_BLOCK;
}

static inline float scale_at(const uint8_t *wire, size_t block)
{
    float s;
    memcpy(&s, wire + block * sizeof s, sizeof s);
    return s;
}

/* The block's q. */
static inline const int8_t *block_at(const uint8_t *wire, size_t n, size_t block)
{
    return (const int8_t *)wire + blocks_of(n) * sizeof(float) + block * OUTER_BLOCK;
}

#endif
