/* cuda.h -- the CUDA backend: every operation of backend.h in kernels of our own.
 *
 * Activations in bf16, their products on tensor cores; or all in fp32, slowly. Sums, master weights, moments and
 * accumulated gradients are fp32 in either case. Deterministic: no float atomics, and no sum whose order depends on the device. The
 * same kernels run on a machine without a GPU under test/cuda/fiber.h. */
#ifndef SHOAL_CU_CUDA_H
#define SHOAL_CU_CUDA_H

#include "backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* GPUs that this machine has: 0 also where there is no driver, 1 where it is too old to tell. */
int cuda_devices(void);

/* Opens GPU `device` for one thread, with activations in bf16 or fp32. ERR_DEVICE says what is missing: a driver, a newer one, such a device, a newer
 * generation. */
enum err cuda_open(struct backend *out, int device, bool bf16, struct why *w);
void cuda_close(struct backend *b);

/* "NVIDIA H100 80GB HBM3, sm_90"; lives as long as the backend. */
const char *cuda_describe(const struct backend *b);

/* Dense bf16 operations a second, fp32 sums, as NVIDIA's data sheets have them; 0 for a GPU that is not in the table. */
double cuda_peak(const struct backend *b);

#ifdef __cplusplus
}
#endif
#endif
