/* product.h -- matrix products by the pool's threads.
 *
 * For each block of the product the operands are packed (kernels.h: strips) once for all threads,
 * then the block is divided into tiles; the pool's threads share both kinds of work. The division
 * along k, and so the result's bits, depends only on the shape. */
#ifndef SHOAL_CPU_PRODUCT_H
#define SHOAL_CPU_PRODUCT_H

#include "base/pool.h"
#include "cpu/kernels.h"

/* Maximum steps of a block: a tile's strips of both operands (then 128 KiB and 192 KiB) stay in the
 * L2 cache, read at about 20 bytes per cycle. Twice as many do not fit, and cost a tenth; fewer
 * mean more loads of sums. */
#define PRODUCT_STEPS 512

/* Words of one packed operand, and numbers in a block of sums when activations need several blocks
 * of steps. */
#define PRODUCT_WORDS ((size_t)1 << 19)
#define PRODUCT_SUMS  ((size_t)1 << 20)

/* Scratch: PRODUCT_ROOM words in total. */
#define PRODUCT_ROOM (2 * PRODUCT_WORDS + PRODUCT_SUMS)
struct product_room {
    uint32_t *a, *b; /* [PRODUCT_WORDS] each */
    float *sums;     /* [PRODUCT_SUMS] */
};

/* out[m, n] = sum over k of a[m, k] b[k, n], operands as in kernel_pack (rows of a, columns of
 * b). */
struct product {
    const void *a, *b;
    size_t a_stride, b_stride; /* elements from row to row in memory */
    bool a_along, b_along;
    bool b_floats; /* b is fp32, regardless of activations */
    size_t m, n, k;
    void *out;   /* [m, n], activations; NULL: the result goes to sums */
    float *sums; /* [m, n], if out is NULL */
    bool add;    /* add to sums instead of overwriting them */
};
void product_run(struct pool *pool, const struct kernels *k, const struct product_room *room,
                 const struct product *p);

#endif
