/* cuda.h -- the CUDA backend: every operation of backend.h in kernels of our own.
 *
 * Activations are in bf16, with products on tensor cores; or everything is in fp32, slowly. Sums,
 * master weights, moments and accumulated gradients are fp32 in either case. Deterministic: no
 * float atomics, and no sum whose order depends on the device. The same kernels run on a machine
 * without a GPU under test/cuda/fiber.h.
 *
 * Operations are queued one by one, not as CUDA graphs. A micro-batch of 16384 tokens takes about
 * 380 launches with the 150m preset and 660 with the 1b preset: at 4 us each the host needs 1.5 and
 * 2.6 ms, while at 989 TFLOP/s the products alone take 19 and 110 ms. */
#ifndef SHOAL_CU_CUDA_H
#define SHOAL_CU_CUDA_H

#include "backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Number of GPUs of this machine: 0 also without a driver, 1 if the driver is too old or does not
 * answer: then cuda_open reports what is wrong. */
int cuda_devices(void);

struct cuda_options {
    int device; /* the GPU, from 0 */
    bool bf16;  /* activations; else fp32 */
    /* The file of cuBLASLt, used for products in bf16; NULL or empty: search for it. */
    const char *cublaslt;
    void (*say)(const char *sentence); /* for the log; may be NULL */
};

/* Opens a GPU for one thread. ERR_DEVICE says what is missing: a driver, a newer driver, this
 * device, a newer GPU generation, or cuBLASLt if its file is named. If it is not named and not
 * found, `say` gets a sentence and our own products are used. */
enum err cuda_open(struct backend *out, const struct cuda_options *o, struct why *w);
void cuda_close(struct backend *b);

/* The version of the installed NCCL, 22809 for 2.28.9: the file `library`; empty: search for it.
 * ERR_DEVICE. */
enum err cuda_nccl(int *version, const char *library, struct why *w);

/* Joins 2 .. BACKEND_RANKS_MAX open backends, each on its own GPU, all used by one thread: the
 * first gets all_reduce and broadcast (backend.h). Closing one of them ends the group. ERR_DEVICE
 * without NCCL, or when it cannot join them. */
enum err cuda_join(struct backend *ranks, size_t count, const char *library, struct why *w);

/* "NVIDIA H100 80GB HBM3, sm_90, cuBLASLt 13.1", or ", own products", or with fp32 only the GPU;
 * valid as long as the backend. */
const char *cuda_describe(const struct backend *b);

/* Dense bf16 operations per second with fp32 sums, from NVIDIA's data sheets; 0 for a GPU that is
 * not in the table. */
double cuda_peak(const struct backend *b);

/* Bytes per second to and from its memory: two transfers per clock times the bus width; 0 where the
 * driver does not report them. */
double cuda_memory_peak(const struct backend *b);

#ifdef __cplusplus
}
#endif
#endif
