/* reduce.cu -- the sum and the Euclidean norm of a vector, in fp64.
 *
 * A block sums a piece of 65536 elements, the host the pieces' sums in order: the same bits on any
 * device. One launch and one download for any length: a vector of more than 2^32 elements has
 * longer pieces, not more of them. */
#include "base/whole.h"
#include "ops.h"

#define THREADS 256
#define AHEAD   8
#define PIECE   ((size_t)1 << 16)

__device__ __forceinline__ double term(float x, bool squares)
{
    return squares ? (double)x * (double)x : (double)x;
}

__global__ void __launch_bounds__(THREADS)
    sum_pieces(double *sums, const float *x, size_t count, size_t piece, bool squares)
{
    __shared__ double room[THREADS / WARP];
    const size_t first = blockIdx.x * piece;
    const size_t last = first + piece < count ? first + piece : count;
    double sum = 0;
    size_t i = first + threadIdx.x;
    for (; i + (AHEAD - 1) * THREADS < last; i += AHEAD * THREADS) {
        float v[AHEAD]; /* loaded concurrently */
#pragma unroll
        for (int a = 0; a < AHEAD; a++) v[a] = x[i + a * THREADS];
#pragma unroll
        for (int a = 0; a < AHEAD; a++) sum += term(v[a], squares);
    }
    for (; i < last; i += THREADS) sum += term(x[i], squares);
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
    const size_t piece = max_u64(PIECE, (count + CUDA_SUMS - 1) / CUDA_SUMS);
    const size_t pieces = (count + piece - 1) / piece;
    *out = 0;
    if (!count) return ERR_OK;
    LAUNCH(sum_pieces, dim3(pieces), dim3(THREADS), 0, c->stream, c->sums, x, count, piece,
           squares);
    cuda_launched(c, where);
    enum err e = cuda_download(c, c->sums_host, c->sums, pieces * sizeof *c->sums, where, w);
    for (size_t p = 0; !e && p < pieces; p++) *out += c->sums_host[p];
    return e;
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
