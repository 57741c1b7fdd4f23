/* ops.h -- the operations of the CUDA backend, one file each, and what they share. */
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
    /* The first failure of a queued operation; reported by the next that waits. */
    cudaError_t failed;
    const char *failed_where; /* its operation */
    struct op_sizes sizes;    /* what the scratch memory is for */
    float *partials;          /* norm: gains of each block of rows */
    float *delta;             /* attention: rows of out_grad * out */
    uint32_t *chain; /* embedding: the next row of the same token, and whether it is the first */
    double *sums;    /* [CUDA_SUMS], sum and norm2: of each piece */
    double sums_host[CUDA_SUMS]; /* what was downloaded of them */
    struct {                     /* the outer step's: outer_step.cu */
        void *memory, *pinned;
        size_t bytes;
        cudaStream_t in, out;
        cudaEvent_t come[CUDA_OUTER_SLOTS], computed[CUDA_OUTER_SLOTS], gone[CUDA_OUTER_SLOTS];
    } outer;
    struct cublaslt *cublaslt; /* NULL: our own products serve */
    struct cuda_group *group;  /* the GPUs that it was joined with (group.cu); NULL for none */
    size_t memory;             /* bytes of the device's, free when it had been opened */
    char text[300];
};

/* `self` of an operation. Its GPU is the current one from here on: a thread that drives several
 * comes from another. No operation gets at its struct cuda otherwise. */
struct cuda *cuda_of(void *self);

/* Zeroed device memory. ERR_MEMORY, ERR_DEVICE. */
enum err cuda_take(struct cuda *c, size_t bytes, void **out, struct why *w);

/* Brings device memory to the host, `where` being the operation that wants it. ERR_DEVICE. */
enum err cuda_download(struct cuda *c, void *host, const void *device, size_t bytes,
                       const char *where, struct why *w);

/* Notes a failed launch of `where`. */
void cuda_launched(struct cuda *c, const char *where);

/* Notes the first failure; nothing when `e` is none. */
void cuda_note(struct cuda *c, cudaError_t e, const char *where);

/* ERR_DEVICE with what was noted, or ERR_OK. */
enum err cuda_said(const struct cuda *c, struct why *w);

/* cudaErrorNoKernelImageForDevice where they were compiled for others than the current device. */
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
/* Makes the streams and events of the outer step; closing frees its memory too, and unpins. */
cudaError_t cuda_outer_open(struct cuda *c);
void cuda_outer_close(struct cuda *c);
void cuda_pin(void *self, void *host, size_t bytes);

/* Waits for all that was queued; ERR_DEVICE with the first failure, of a GPU that it was joined
 * with too: when one fails, what they have begun together would end on none of them. */
enum err cuda_wait(struct cuda *c, struct why *w);

/* The same for a GPU that was joined with others. */
enum err cuda_wait_together(struct cuda *c, struct why *w);

/* Ends the group that it was joined to, if it was. */
void cuda_leave(struct cuda *c);

#endif
