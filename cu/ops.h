/* ops.h -- the operations of the CUDA backend, one file each, and their shared state. */
#ifndef SHOAL_CU_OPS_H
#define SHOAL_CU_OPS_H

#include "backend.h"
#include "device.h"
#include "tensor.h"

#define CUDA_OUTER_SLOTS 3
#define CUDA_SUMS        ((size_t)1 << 16) /* 512 KiB */

struct cuda {
    int device;
    bool bf16; /* activations; else fp32 */
    cudaStream_t stream;
    /* The first failure of a queued operation; reported by the next operation that waits. */
    cudaError_t failed;
    const char *failed_where; /* its operation */
    struct op_sizes sizes;    /* for which the scratch memory suffices */
    float *partials;          /* norm: gains of each block of rows */
    float *delta;             /* attention: rows of out_grad * out */
    /* embedding: the next row with the same token, and whether this is the first */
    uint32_t *chain;
    double *sums;                /* [CUDA_SUMS], sum and norm2: one per piece */
    double sums_host[CUDA_SUMS]; /* downloaded sums */
    struct {                     /* of the outer step: outer_step.cu */
        void *memory, *pinned;
        size_t bytes;
        cudaStream_t in, out;
        cudaEvent_t come[CUDA_OUTER_SLOTS], computed[CUDA_OUTER_SLOTS], gone[CUDA_OUTER_SLOTS];
    } outer;
    struct cublaslt *cublaslt; /* NULL: our own products are used */
    struct cuda_group *group;  /* its group of GPUs (group.cu); NULL: none */
    size_t memory;             /* bytes of device memory that were free when it was opened */
    char text[300];
};

/* `self` of an operation. Makes its GPU the current one, since a thread that drives several may
 * have used another. Operations get their struct cuda only this way. */
struct cuda *cuda_of(void *self);

/* Allocates zeroed device memory. ERR_MEMORY, ERR_DEVICE. */
enum err cuda_take(struct cuda *c, size_t bytes, void **out, struct why *w);

/* Copies device memory to the host; `where`: the operation, for messages. ERR_DEVICE. */
enum err cuda_download(struct cuda *c, void *host, const void *device, size_t bytes,
                       const char *where, struct why *w);

/* Records a failed launch of `where`. */
void cuda_launched(struct cuda *c, const char *where);

/* Records the first failure; does nothing if `e` is success. */
void cuda_note(struct cuda *c, cudaError_t e, const char *where);

/* ERR_DEVICE with the recorded failure, or ERR_OK. */
enum err cuda_said(const struct cuda *c, struct why *w);

/* cudaErrorNoKernelImageForDevice if the kernels were not compiled for the current device. */
cudaError_t cuda_kernels_here(void);

/* The operations; `self` is the backend's, prepared for these sizes. */
void cuda_embed(void *self, const struct op_embed *o);
void cuda_embed_backward(void *self, const struct op_embed_backward *o);
void cuda_norm(void *self, const struct op_norm *o);
void cuda_norm_backward(void *self, const struct op_norm_backward *o);
size_t cuda_norm_partials(const struct op_sizes *s); /* floats of scratch */
void cuda_rotary(void *self, const struct op_rotary *o);
void cuda_attention(void *self, const struct op_attention *o);
void cuda_attention_backward(void *self, const struct op_attention_backward *o);
void cuda_attention_cached(void *self, const struct op_attention_cached *o);
void cuda_swiglu(void *self, const struct op_swiglu *o);
void cuda_swiglu_backward(void *self, const struct op_swiglu_backward *o);
void cuda_linear(void *self, const struct op_linear *o);
void cuda_linear_input(void *self, const struct op_linear_input *o);
void cuda_linear_weight(void *self, const struct op_linear_weight *o);
void cuda_cross_entropy(void *self, const struct op_cross_entropy *o);
void cuda_adamw(void *self, const struct op_adamw *o);
void cuda_round(void *self, const struct op_round *o);
enum err cuda_sum(void *self, const float *x, size_t count, double *out, struct why *w);
enum err cuda_norm2(void *self, const float *x, size_t count, double *out, struct why *w);
enum err cuda_outer_quantize(void *self, const struct op_outer_quantize *o, bool *finite,
                             struct why *w);
enum err cuda_outer_step(void *self, const struct op_outer_step *o, struct why *w);
/* Creates the streams and events of the outer step; closing also frees its memory, and unpins. */
cudaError_t cuda_outer_open(struct cuda *c);
void cuda_outer_close(struct cuda *c);
void cuda_pin(void *self, void *host, size_t bytes);

/* Waits for everything queued; ERR_DEVICE with the first failure, also of another GPU of its group:
 * if one fails, a collective operation would not end on any of them. */
enum err cuda_wait(struct cuda *c, struct why *w);

/* The same for a GPU in a group. */
enum err cuda_wait_together(struct cuda *c, struct why *w);

/* Ends its group, if it is in one. */
void cuda_leave(struct cuda *c);

#endif
