/* product.h -- matrix products by the pool's threads.
 *
 * What a block of the product needs packed (kernels.h: strips) is packed once for all threads, and
 * then it is cut into tiles: both the pieces that the pool shares out. Where cuts along k are
 * depends on the shape alone, and with them the bits. */
#ifndef SHOAL_CPU_PRODUCT_H
#define SHOAL_CPU_PRODUCT_H

#include "base/pool.h"
#include "cpu/kernels.h"

/* Steps of a block at most: a tile's strips of both operands (128 KiB and 192 KiB then) stay in the
 * second-level cache, from where it reads some 20 bytes a cycle. Twice as many do not, and cost a
 * tenth; fewer mean more loads of sums. */
#define PRODUCT_STEPS 512

/* Words of one packed operand, and numbers of a block of sums where activations need several blocks
 * of steps. */
#define PRODUCT_WORDS ((size_t)1 << 19)
#define PRODUCT_SUMS  ((size_t)1 << 20)

/* Scratch: PRODUCT_ROOM words in all. */
#define PRODUCT_ROOM (2 * PRODUCT_WORDS + PRODUCT_SUMS)
struct product_room {
    uint32_t *a, *b; /* [PRODUCT_WORDS] each */
    float *sums;     /* [PRODUCT_SUMS] */
};

/* out[m, n] = sum over k of a[m, k] b[k, n], operands as kernel_pack has them (rows of a, columns
 * of b). */
struct product {
    const void *a, *b;
    size_t a_stride, b_stride; /* elements from row to row of what is in memory */
    bool a_along, b_along;
    bool b_floats; /* b is fp32, whatever activations are */
    size_t m, n, k;
    void *out;   /* [m, n], activations; or NULL, and */
    float *sums; /* [m, n], written, or */
    bool add;    /* added to */
};
void product_run(struct pool *pool, const struct kernels *k, const struct product_room *room,
                 const struct product *p);

#endif
