/* tensor.h -- the operations on tensor cores: bf16 in memory (the upper half of an fp32), sums in
 * fp32.
 *
 * `self` is that of a backend opened by cuda_open. Like all operations these are queued, and give
 * the same bits on every device of the same kind. */
#ifndef SHOAL_CU_TENSOR_H
#define SHOAL_CU_TENSOR_H

#include "backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* c (+)= a b, c [rows, columns], a sum over `depth` terms each. Strides are elements from row to
 * row in memory. For a layer y = x w^T with w [n_out, n_in]:
 *
 *     form             c, rows x columns        a, as stored            b, as stored
 *     PRODUCT_FORWARD  y, rows x n_out          x [rows, depth]         w [columns, depth]
 *     PRODUCT_INPUT    x_grad, rows x n_in      y_grad [rows, depth]    w [depth, columns]
 *     PRODUCT_WEIGHT   w_grad, n_out x n_in     y_grad [depth, rows]    x [depth, columns]
 *
 * Any sizes and strides work. It is fastest if a and b are aligned to 16 bytes and their strides
 * are multiples of 8. */
enum product_form { PRODUCT_FORWARD, PRODUCT_INPUT, PRODUCT_WEIGHT };

struct op_product {
    enum product_form form;
    void *c;
    const void *a, *b; /* bf16 */
    size_t rows, columns, depth;
    size_t c_stride, a_stride, b_stride;
    bool c_bf16; /* otherwise fp32 */
    bool add;    /* add to c; fp32 only */
    int tile; /* 64 or 128 rows and columns of c per block, with the same bits; 0: chosen by size */
};
void cuda_product_bf16(void *self, const struct op_product *o);

/* The same by cuBLASLt, if it was found and has an algorithm for the shape (cublaslt.h); otherwise
 * by cuda_product_bf16. */
void cuda_multiply_bf16(void *self, const struct op_product *o);

/* As in backend.h, with activations in bf16 aligned to 16 bytes, and head_dim 32, 64 or 128.
 * Backward needs the scratch memory of prepare. */
void cuda_attention_bf16(void *self, const struct op_attention *o);
void cuda_attention_bf16_backward(void *self, const struct op_attention_backward *o);

#ifdef __cplusplus
}
#endif
#endif
