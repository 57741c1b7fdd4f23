/* blas.h -- matrix products of row-major fp32, one thread each, by OpenBLAS with the core that suits this machine. */
#ifndef SHOAL_CPU_BLAS_H
#define SHOAL_CPU_BLAS_H

#include <stdbool.h>
#include <stddef.h>

/* Chooses the core and one thread, once in a process; call before any product. */
void blas_setup(void);

/* The core in use: "SkylakeX". */
const char *blas_core(void);

/* The core to ask for, or NULL where OpenBLAS's own choice `core` is as good: it takes AVX-512 machines that it does not
 * know for a Haswell, and AVX2 machines for something older. Pure, for tests. */
const char *blas_core_wanted(const char *core, bool avx512, bool avx2);

/* c[m, n] = alpha * op(a)[m, k] op(b)[k, n] + beta * c; ld: elements from one row to the next. */
struct blas_product {
    bool a_transposed, b_transposed; /* as stored: a is [k, m], b is [n, k] */
    size_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    size_t lda, ldb;
    float *c;
    size_t ldc;
};
void blas_product(const struct blas_product *p);

#endif
