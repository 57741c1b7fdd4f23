/* cublaslt.h -- NVIDIA's matrix products, if installed: cuBLASLt 12 or 13, opened at run time
 * (library.h).
 *
 * Only what we use is declared here, so that no CUDA header is needed; where there are headers,
 * cublaslt.cu compares. Numbers and meanings: https://docs.nvidia.com/cuda/cublas/, "Using the
 * cublasLt API".
 *
 * For each product the library offers several algorithms, and their bits differ. The fastest
 * deterministic one is used, measured once per shape, in turns, on a warm GPU and scratch memory.
 * The choice is stored in a file of the user's cache folder, for this GPU, library and driver, so
 * that the next start makes the same one. */
#ifndef SHOAL_CU_CUBLASLT_H
#define SHOAL_CU_CUBLASLT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "library.h"
#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the library ---- */

enum { LT_SUCCESS = 0, LT_INVALID_VALUE = 7, LT_EXECUTION_FAILED = 13, LT_NOT_SUPPORTED = 15 };
enum { LT_FP32 = 0, LT_BF16 = 14 }; /* cudaDataType */
enum { LT_COMPUTE_FP32 = 68 };
enum { LT_AS_IT_IS = 0, LT_TRANSPOSED = 1 };
enum { LT_DESC_TRANSPOSE_A = 3, LT_DESC_TRANSPOSE_B = 4 }; /* int32_t */
enum {
    LT_PREFER_WORKSPACE_BYTES = 1, /* uint64_t */
    LT_PREFER_REDUCTIONS = 3,      /* uint32_t, a mask of the values below */
    LT_PREFER_ALIGNMENT_A = 5,     /* uint32_t, bytes; then b's, c's and d's */
    LT_PREFER_ALIGNMENT_D = 8,
};
/* How partial sums are reduced. IN_PLACE adds them in the order in which blocks finish, and in the
 * output's type they would be rounded to bf16 first: neither is allowed. */
enum { LT_REDUCTION_NONE = 0, LT_REDUCTION_IN_PLACE = 1, LT_REDUCTION_FP32 = 2 };
enum { LT_CONFIG_REDUCTION = 3 }; /* uint32_t */

struct lt_algorithm {
    uint64_t data[8]; /* may be stored and used with the same version of the library */
};
struct lt_result {
    struct lt_algorithm algorithm;
    size_t workspace_bytes;
    int status;
    float waves;
    int reserved[4];
};

/* Matrices are column-major; functions return one of LT_SUCCESS, ... */
struct lt_functions {
    size_t (*version)(void); /* 130100: 13.1.0 */
    const char *(*status_text)(int status);
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*desc_create)(void **desc, int compute, int scale);
    int (*desc_destroy)(void *desc);
    int (*desc_set)(void *desc, int attribute, const void *value, size_t bytes);
    int (*layout_create)(void **layout, int type, uint64_t rows, uint64_t columns, int64_t stride);
    int (*layout_destroy)(void *layout);
    int (*preference_create)(void **preference);
    int (*preference_destroy)(void *preference);
    int (*preference_set)(void *preference, int attribute, const void *value, size_t bytes);
    int (*suggest)(void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference,
                   int room, struct lt_result *out, int *count);
    int (*check)(void *handle, void *desc, void *a, void *b, void *c, void *d,
                 const struct lt_algorithm *algorithm, struct lt_result *out);
    int (*config_get)(const struct lt_algorithm *algorithm, int attribute, void *value,
                      size_t bytes, size_t *written);
    int (*multiply)(void *handle, void *desc, const void *alpha, const void *a, void *a_layout,
                    const void *b, void *b_layout, const void *beta, const void *c, void *c_layout,
                    void *d, void *d_layout, const struct lt_algorithm *algorithm, void *workspace,
                    size_t workspace_bytes, void *stream);
};

/* Opens the library at `path`; if NULL or empty, searches for it. ERR_DEVICE. */
enum err cublaslt_load(struct library *out, struct lt_functions *functions, const char *path,
                       struct why *w);

/* A product in the library's descriptors. */
struct lt_product {
    void *desc, *a, *b, *c; /* c is d as well; a is the library's, our b: see cublaslt_describe */
};

/* LT_SUCCESS, or the library's error. A row-major matrix is a column-major one transposed, and c^T
 * = b^T a^T: so the library's a is our b, and its b our a. Release `out` with cublaslt_forget, also
 * after a failure. */
int cublaslt_describe(const struct lt_functions *f, const struct op_product *o,
                      struct lt_product *out);
void cublaslt_forget(const struct lt_functions *f, struct lt_product *p);

/* Asks for deterministic algorithms that need no more than our workspace, for operands aligned to
 * `alignment` bytes. */
int cublaslt_prefer(const struct lt_functions *f, uint32_t alignment, void **preference);

/* ---- for the backend ---- */

struct cuda;
struct cublaslt;

/* Opens it for the backend's device: the library at `path`, or the installed one, the older one if
 * the newest does not start. `device` names the GPU and its driver; algorithms chosen for another
 * are not used. `say`, which may be NULL, gets a sentence when the file of choices cannot be used.
 * ERR_DEVICE, ERR_MEMORY. */
enum err cublaslt_open(struct cublaslt **out, struct cuda *c, const char *path, const char *device,
                       void (*say)(const char *sentence), struct why *w);
void cublaslt_close(struct cublaslt *lt);             /* NULL is fine */
const char *cublaslt_text(const struct cublaslt *lt); /* "cuBLASLt 13.1" */

/* Queues the product. False, with nothing done, when the library has no algorithm for its shape;
 * then always so. */
bool cublaslt_product(struct cublaslt *lt, const struct op_product *o);

#ifdef __cplusplus
}
#endif
#endif
