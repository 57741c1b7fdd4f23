/* attention.h -- causal attention of one head, block by block (FlashAttention-2, arXiv 2307.08691,
 * for a CPU).
 *
 * Keys and values are packed once. Then for a block of queries, block by block of keys: scores are
 * a product with the queries in the lanes, become probabilities (online softmax) in the L1 cache,
 * and are multiplied with the values in another product. Backward works alike, accumulating the
 * gradients of keys and values in fp32. Scratch is linear in the length; the full matrix of scores
 * never exists. */
#ifndef SHOAL_CPU_ATTENTION_H
#define SHOAL_CPU_ATTENTION_H

#include "cpu/kernels.h"

/* Bytes of scratch (aligned to 64) that one call, forward or backward, needs for up to `length`
 * keys; one per thread. */
size_t attention_scratch(const struct kernels *k, size_t length, size_t head_dim);

/* One head: queries and outputs of `rows` tokens at positions past, past + 1, ...; keys and values
 * of past + rows tokens. Rows are *_stride activations apart. */
struct attention_head {
    const void *queries, *keys, *values;
    void *out;
    size_t rows, past, head_dim;
    size_t queries_stride, keys_stride, out_stride; /* keys_stride also for values */
    float *logsum; /* [rows]: log of the softmax's denominator; NULL: not needed */
};
void attention_forward(const struct kernels *k, const struct attention_head *h, void *scratch);

/* The gradients of `group` neighbouring query heads that share keys and values, with past = 0:
 * `forward` and the pointers here are those of the first head, the next head's are head_dim further
 * (logsum's: rows). All gradients are written, with the strides of the arrays that they are
 * gradients of. */
struct attention_gradient {
    struct attention_head forward; /* its `out` is read */
    size_t group;
    const void *out_grad; /* out_stride apart */
    void *queries_grad, *keys_grad, *values_grad;
};
void attention_backward(const struct kernels *k, const struct attention_gradient *g, void *scratch);

#endif
