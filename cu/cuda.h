/* cuda.h -- the CUDA backend: every operation of backend.h in kernels of our own.
 *
 * Activations in bf16, their products on tensor cores; or all in fp32, slowly. Sums, master
 * weights, moments and accumulated gradients are fp32 in either case. Deterministic: no float
 * atomics, and no sum whose order depends on the device. The same kernels run on a machine without
 * a GPU under test/cuda/fiber.h.
 *
 * Operations are queued one by one, not as CUDA graphs. A micro-batch of 16384 tokens is some 380
 * launches of the 150m preset and some 660 of the 1b preset: at 4 us each the host is done after
 * 1.5 and 2.6 ms, and 989 TFLOP/s would take 19 and 110 ms for the products alone. */
#ifndef SHOAL_CU_CUDA_H
#define SHOAL_CU_CUDA_H

#include "backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* GPUs that this machine has: 0 also where there is no driver, 1 where the driver is too old to
 * tell or does not answer: then cuda_open says what is wrong. */
int cuda_devices(void);

struct cuda_options {
    int device; /* the GPU, from 0 */
    bool bf16;  /* activations; else fp32 */
    /* The file of cuBLASLt, which multiplies in bf16; NULL or empty: where it usually is. */
    const char *cublaslt;
    void (*say)(const char *sentence); /* for the log; may be NULL */
};

/* Opens a GPU for one thread. ERR_DEVICE says what is missing: a driver, a newer one, such a
 * device, a newer generation, or cuBLASLt where its file is named. Where it is not, and cuBLASLt is
 * nowhere, `say` gets a sentence and our own products serve. */
enum err cuda_open(struct backend *out, const struct cuda_options *o, struct why *w);
void cuda_close(struct backend *b);

/* The version of NCCL that is here, 22809 for 2.28.9: the file `library`, empty for where it
 * usually is. ERR_DEVICE. */
enum err cuda_nccl(int *version, const char *library, struct why *w);

/* Joins 2 .. BACKEND_RANKS_MAX open backends, each on a GPU of its own, of one thread: the first
 * gets all_reduce and broadcast (backend.h). When one of them is closed the others take part in no
 * more. ERR_DEVICE without NCCL, or when it cannot join them. */
enum err cuda_join(struct backend *ranks, size_t count, const char *library, struct why *w);

/* "NVIDIA H100 80GB HBM3, sm_90, cuBLASLt 13.1", or ", own products", or of fp32 only the GPU;
 * lives as long as the backend. */
const char *cuda_describe(const struct backend *b);

/* Dense bf16 operations a second, fp32 sums, as NVIDIA's data sheets have them; 0 for a GPU that is
 * not in the table. */
double cuda_peak(const struct backend *b);

/* Bytes a second to and from its memory: what two transfers a clock over its bus make; 0 where the
 * driver does not tell. */
double cuda_memory_peak(const struct backend *b);

#ifdef __cplusplus
}
#endif
#endif
