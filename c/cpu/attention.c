#include "cpu/attention.h"

#include <math.h>

#include "cpu/blas.h"

/* Scores of a row start on a cache line. */
static size_t stride_of(size_t length) { return (length + 15) / 16 * 16; }

size_t attention_scratch(size_t length)
{
    return ATTENTION_BLOCK * (2 * stride_of(length) + 1); /* scores, their gradients, delta */
}

/* c = alpha * x y^T for x [m, k], y [n, k]. */
static void times_transposed(const float *x, size_t ldx, const float *y, size_t ldy, float *c,
                             size_t ldc, size_t m, size_t n, size_t k, float alpha)
{
    blas_product(&(struct blas_product){.b_transposed = true,
                                        .m = m,
                                        .n = n,
                                        .k = k,
                                        .alpha = alpha,
                                        .a = x,
                                        .lda = ldx,
                                        .b = y,
                                        .ldb = ldy,
                                        .c = c,
                                        .ldc = ldc});
}

/* c = x y for x [m, k], y [k, n]. */
static void times(const float *x, size_t ldx, const float *y, size_t ldy, float *c, size_t ldc,
                  size_t m, size_t n, size_t k)
{
    blas_product(&(struct blas_product){.m = m,
                                        .n = n,
                                        .k = k,
                                        .alpha = 1,
                                        .a = x,
                                        .lda = ldx,
                                        .b = y,
                                        .ldb = ldy,
                                        .c = c,
                                        .ldc = ldc});
}

/* c += x^T y for x [k, m], y [k, n]. */
static void add_transposed_times(const float *x, size_t ldx, const float *y, size_t ldy, float *c,
                                 size_t ldc, size_t m, size_t n, size_t k)
{
    blas_product(&(struct blas_product){.a_transposed = true,
                                        .m = m,
                                        .n = n,
                                        .k = k,
                                        .alpha = 1,
                                        .beta = 1,
                                        .a = x,
                                        .lda = ldx,
                                        .b = y,
                                        .ldb = ldy,
                                        .c = c,
                                        .ldc = ldc});
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

void attention_forward(const struct kernels *k, const struct attention_head *h, float *scratch)
{
    const size_t stride = stride_of(h->past + h->rows), dim = h->head_dim;
    const float alpha = 1 / sqrtf((float)dim);
    for (size_t q = 0; q < h->rows; q += ATTENTION_BLOCK) {
        const size_t rows = least(ATTENTION_BLOCK, h->rows - q), keys = h->past + q + rows;
        const struct kernel_scores s = {scratch, rows, keys, stride, h->past + q};
        times_transposed(h->queries + q * h->queries_stride, h->queries_stride, h->keys,
                         h->keys_stride, scratch, stride, rows, keys, dim, alpha);
        k->softmax(&s, h->logsum ? h->logsum + q : NULL);
        times(scratch, stride, h->values, h->keys_stride, h->out + q * h->out_stride, h->out_stride,
              rows, dim, keys);
    }
}

/* With P the probabilities and S = alpha Q K^T:  dV = P^T dO,  dP = dO V^T,  delta = rowsum(dO O),
 * dS = P (dP - delta),  dQ = alpha dS K,  dK = alpha dS^T Q  (arXiv 2205.14135, appendix B.2). */
void attention_backward(const struct kernels *k, const struct attention_head_gradient *g,
                        float *scratch)
{
    const struct attention_head *h = &g->forward;
    const size_t stride = stride_of(h->rows), dim = h->head_dim;
    const float alpha = 1 / sqrtf((float)dim);
    float *scores = scratch, *grad = scores + ATTENTION_BLOCK * stride,
          *delta = grad + ATTENTION_BLOCK * stride;
    for (size_t q = 0; q < h->rows; q += ATTENTION_BLOCK) {
        const size_t rows = least(ATTENTION_BLOCK, h->rows - q), keys = q + rows;
        const float *queries = h->queries + q * h->queries_stride;
        const float *out_grad = g->out_grad + q * h->out_stride;
        const struct kernel_scores s = {scores, rows, keys, stride, q};
        for (size_t r = 0; r < rows; r++)
            delta[r] = k->dot(out_grad + r * h->out_stride, h->out + (q + r) * h->out_stride, dim);
        times_transposed(queries, h->queries_stride, h->keys, h->keys_stride, scores, stride, rows,
                         keys, dim, alpha);
        times_transposed(out_grad, h->out_stride, h->values, h->keys_stride, grad, stride, rows,
                         keys, dim, 1);
        k->softmax_backward(&s, grad, h->logsum + q, delta, alpha);
        add_transposed_times(scores, stride, out_grad, h->out_stride, g->values_grad,
                             h->keys_stride, keys, dim, rows);
        times(grad, stride, h->keys, h->keys_stride, g->queries_grad + q * h->queries_stride,
              h->queries_stride, rows, dim, keys);
        add_transposed_times(grad, stride, queries, h->queries_stride, g->keys_grad, h->keys_stride,
                             keys, dim, rows);
    }
}
