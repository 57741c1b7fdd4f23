/* reduce.cu -- the sum and the Euclidean norm of a vector, in fp64.
 *
 * A block adds up 65536 elements, the host the blocks' sums in order: the same bits on any
 * device. */
#include "ops.h"

#include <stdlib.h>

#define THREADS 256
#define PIECE   ((size_t)1 << 16)

__global__ void __launch_bounds__(THREADS)
    sum_pieces(double *sums, const float *x, size_t count, bool squares)
{
    __shared__ double room[THREADS / WARP];
    const size_t first = blockIdx.x * PIECE;
    const size_t last = first + PIECE < count ? first + PIECE : count;
    double sum = 0;
    for (size_t i = first + threadIdx.x; i < last; i += THREADS)
        sum += squares ? (double)x[i] * (double)x[i] : (double)x[i];
    for (int step = WARP / 2; step; step /= 2) sum += __shfl_xor_sync(LANES, sum, step);
    if (threadIdx.x % WARP == 0) room[threadIdx.x / WARP] = sum;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < THREADS / WARP; w++) sum += room[w];
    sums[blockIdx.x] = sum;
}

static enum err add_up(struct cuda *c, const float *x, size_t count, bool squares, double *out,
                       struct why *w)
{
    const char *where = squares ? "norm2" : "sum";
    double part[64];
    *out = 0;
    for (size_t first = 0; first < count;) { /* as many pieces at once as there is scratch for */
        const size_t most = PIECE * (sizeof part / sizeof *part);
        const size_t n = count - first < most ? count - first : most;
        const size_t pieces = (n + PIECE - 1) / PIECE;
        LAUNCH(sum_pieces, dim3(pieces), dim3(THREADS), 0, c->stream, c->sums, x + first, n,
               squares);
        cuda_launched(c, where);
        enum err e = cuda_download(c, part, c->sums, pieces * sizeof *part, where, w);
        if (e) return e;
        for (size_t p = 0; p < pieces; p++) *out += part[p];
        first += n;
    }
    return ERR_OK;
}

enum err cuda_sum(void *self, const float *x, size_t count, double *out, struct why *w)
{
    return add_up(cuda_of(self), x, count, false, out, w);
}

enum err cuda_norm2(void *self, const float *x, size_t count, double *out, struct why *w)
{
    enum err e = add_up(cuda_of(self), x, count, true, out, w);
    if (!e) *out = sqrt(*out);
    return e;
}

cudaError_t cuda_kernels_here(void)
{
    struct cudaFuncAttributes a;
    return cudaFuncGetAttributes(&a, (const void *)sum_pieces);
}
