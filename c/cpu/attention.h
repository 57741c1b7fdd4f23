/* attention.h -- causal attention of one head, a block of queries at a time.
 *
 * A block's scores (queries x keys up to the block's last) are one matrix product, become probabilities in place, and
 * meet the values in another: they stay in the second-level cache, and the full square of scores never exists. */
#ifndef SHOAL_CPU_ATTENTION_H
#define SHOAL_CPU_ATTENTION_H

#include "cpu/kernels.h"

/* Queries at once: enough for the products to run well; the diagonal's waste is half a block a query. */
#define ATTENTION_BLOCK 64

/* Floats of scratch that one call needs for up to `length` keys. */
size_t attention_scratch(size_t length);

/* One head: queries and outputs of `rows` tokens at positions past, past + 1, ..., keys and values of past + rows. Rows
 * are *_stride floats apart. */
struct attention_head {
    const float *queries, *keys, *values;
    float *out;
    size_t rows, past, head_dim;
    size_t queries_stride, keys_stride, out_stride; /* of keys and values alike */
    float *logsum;                                  /* [rows] or NULL */
};
void attention_forward(const struct kernels *k, const struct attention_head *h, float *scratch);

/* The gradients of one head with past = 0 and a logsum; those of queries are written, those of keys and values added
 * to (several query heads share them). Gradients lie as far apart as what they are gradients of. */
struct attention_head_gradient {
    struct attention_head forward; /* its `out` is read */
    const float *out_grad;         /* out_stride apart */
    float *queries_grad, *keys_grad, *values_grad;
};
void attention_backward(const struct kernels *k, const struct attention_head_gradient *g,
                        float *scratch);

#endif
