/* planted.cc -- tiny kernels with one bug each, and their correct twins: is the bug seen on fibers
 * (fiber.h)?
 *
 *     planted NAME         runs the kernel with its bug
 *     planted NAME right   runs its twin
 *
 * Two warps, each of whose 64 threads t is to leave 63 - t in out[t]; the program says which does
 * not, and ends with 1. The bug is what happens if `wrong` is true. fiber_test.py knows the names
 * and what must be said of each. */
#include "device.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT 64

/* 63 - t, by way of another lane. */
__device__ static float by_shuffle(unsigned mask)
{
    const unsigned t = threadIdx.x;
    return __shfl_xor_sync(mask, 63.0f - (float)(t ^ 31), 31);
}

__global__ void two_barriers(float *out, bool wrong)
{
    __shared__ float room[COUNT];
    const unsigned t = threadIdx.x;
    room[t] = (float)t;
    if (wrong && t < 32) __syncthreads();
    else __syncthreads();
    out[t] = room[63 - t];
}

/* Half a warp waits for lanes that wait at the barrier. */
__global__ void unreached_barrier(float *out, bool wrong)
{
    __shared__ float room[COUNT];
    const unsigned t = threadIdx.x;
    room[t] = (float)t;
    if (wrong && t >= 48) by_shuffle(LANES);
    __syncthreads();
    out[t] = room[63 - t];
}

__global__ void half_a_shuffle(float *out, bool wrong)
{
    if (!wrong || threadIdx.x % 32 < 16) out[threadIdx.x] = by_shuffle(LANES);
}

__global__ void ended_lane(float *out, bool wrong)
{
    if (wrong && threadIdx.x % 32 == 0) return;
    out[threadIdx.x] = by_shuffle(LANES);
}

__global__ void two_operations(float *out, bool wrong)
{
    if (wrong && threadIdx.x % 32 < 16) __ballot_sync(LANES, 1);
    out[threadIdx.x] = by_shuffle(LANES);
}

__global__ void partial_mask(float *out, bool wrong)
{
    out[threadIdx.x] = by_shuffle(wrong ? LANES >> 1 : LANES);
}

__global__ void unwritten(float *out, bool wrong)
{
    __shared__ float room[COUNT];
    const unsigned t = threadIdx.x;
    if (!wrong || t != 5) room[t] = (float)t;
    __syncthreads();
    out[t] = room[63 - t];
}

/* By way of another warp. Where all threads advance in turn, the second __syncwarp() does for the
 * barrier. */
__global__ void no_barrier(float *out, bool wrong)
{
    __shared__ float room[COUNT];
    const unsigned t = threadIdx.x;
    room[t] = (float)t;
    __syncwarp();
    __syncwarp();
    if (!wrong) __syncthreads();
    out[t] = room[63 - t];
}

/* What the lane before left. Right by luck where lanes run in ascending order. */
__global__ void no_warp_barrier(float *out, bool wrong)
{
    __shared__ float room[COUNT];
    const unsigned t = threadIdx.x;
    room[t] = 62.0f - (float)t;
    if (!wrong) __syncwarp();
    out[t] = t % 32 ? room[t - 1] : 63.0f - (float)t;
}

__global__ void no_barrier_before_reuse(float *out, bool wrong)
{
    __shared__ float room[COUNT];
    const unsigned t = threadIdx.x;
    for (int round = 0; round < 2; round++) {
        room[t] = (float)t / 2 + (float)round;
        __syncthreads();
        out[t] = (round ? out[t] - 1 : 0) + room[63 - t];
        if (!wrong) __syncthreads();
    }
}

__global__ void past_the_end(float *out, bool wrong)
{
    out[threadIdx.x] = 63.0f - (float)threadIdx.x;
    if (wrong && threadIdx.x == 63) out[COUNT] = 0;
}

__global__ void before_the_start(float *out, bool wrong)
{
    out[threadIdx.x] = 63.0f - (float)threadIdx.x;
    if (wrong && threadIdx.x == 0) out[-1] = 0;
}

__global__ void wild_pointer(float *out, bool wrong)
{
    float *const nowhere = (float *)64;
    out[threadIdx.x] = 63.0f - (float)threadIdx.x;
    if (wrong && threadIdx.x == 40) *(volatile float *)nowhere = 0;
}

/* For launches that are wrong themselves. */
__global__ void plain(float *out)
{
    if (threadIdx.x < COUNT) out[threadIdx.x] = 63.0f - (float)threadIdx.x;
}

/* Calls of what stands in for NCCL (nccl_fiber.cc), of two ranks. Right: out becomes its half and
 * its half. */
struct ncclComm;

template <class F> static F in_nccl(const char *name)
{
    static void *library;
    if (!library) library = dlopen(getenv("NCCL_BIN"), RTLD_NOW);
    if (!library) fprintf(stderr, "planted: %s\n", dlerror()), exit(2);
    return (F)dlsym(library, name);
}

enum class mistake { missing, count, type, memory, stream, alone, twice };

static void add_halves(float *out, bool wrong, mistake what)
{
    const auto init = in_nccl<int (*)(ncclComm **, int, const int *)>("ncclCommInitAll");
    const auto sum =
        in_nccl<int (*)(const void *, void *, size_t, int, int, ncclComm *, cudaStream_t)>(
            "ncclAllReduce");
    const auto start = in_nccl<int (*)()>("ncclGroupStart"),
               end = in_nccl<int (*)()>("ncclGroupEnd");
    const int devices[] = {0, 1};
    const auto is = [&](mistake m) { return wrong && what == m; };
    float half[COUNT];
    void *other;
    cudaStream_t streams[2];
    ncclComm *comms[2];
    init(comms, 2, devices);
    for (int t = 0; t < COUNT; t++) half[t] = (float)(63 - t) / 2;
    cudaStreamCreate(&streams[0]);
    cudaMemcpyAsync(out, half, sizeof half, cudaMemcpyHostToDevice, streams[0]);
    cudaSetDevice(1);
    cudaStreamCreate(&streams[1]);
    cudaMalloc(&other, sizeof half);
    cudaMemcpyAsync(other, half, sizeof half, cudaMemcpyHostToDevice, streams[1]);
    if (!is(mistake::alone)) start();
    sum(out, out, COUNT, 7, 0, comms[0], streams[0]);
    if (is(mistake::twice)) sum(out, out, COUNT, 7, 0, comms[0], streams[0]);
    void *const memory = is(mistake::memory) ? out : other;
    if (!is(mistake::missing))
        sum(memory, memory, is(mistake::count) ? COUNT - 1 : COUNT, is(mistake::type) ? 9 : 7, 0,
            comms[1], streams[!is(mistake::stream)]);
    end();
    cudaStreamSynchronize(streams[0]);
    cudaStreamSynchronize(streams[1]);
    cudaFree(other);
    cudaSetDevice(0);
}

#define NCCL(what)                                                                                 \
    {                                                                                              \
        "nccl_" #what, [](float *out, bool wrong) { add_halves(out, wrong, mistake::what); }       \
    }

#define KERNEL(name)                                                                               \
    {                                                                                              \
#name, [](float *out, bool wrong) { LAUNCH(name, 1, COUNT, 0, 0, out, wrong); }            \
    }

static const struct {
    const char *name;
    void (*run)(float *out, bool wrong);
} planted[] = {
    KERNEL(two_barriers),
    KERNEL(unreached_barrier),
    KERNEL(half_a_shuffle),
    KERNEL(ended_lane),
    KERNEL(two_operations),
    KERNEL(partial_mask),
    KERNEL(unwritten),
    KERNEL(no_barrier),
    KERNEL(no_warp_barrier),
    KERNEL(no_barrier_before_reuse),
    KERNEL(past_the_end),
    KERNEL(before_the_start),
    KERNEL(wild_pointer),
    {"odd_block", [](float *out, bool wrong) { LAUNCH(plain, 1, wrong ? 65 : 96, 0, 0, out); }},
    {"large_block",
     [](float *out, bool wrong) { LAUNCH(plain, 1, wrong ? 1056 : 1024, 0, 0, out); }},
    {"empty_grid", [](float *out, bool wrong) { LAUNCH(plain, wrong ? 0 : 1, COUNT, 0, 0, out); }},
    {"much_shared",
     [](float *out, bool wrong) {
         const size_t bytes = (wrong ? 100 : 99) << 10;
         ALLOW_SHARED(plain, bytes);
         LAUNCH(plain, 1, COUNT, bytes, 0, out);
     }},
    {"unallowed_shared",
     [](float *out, bool wrong) {
         if (!wrong) ALLOW_SHARED(plain, 60 << 10);
         LAUNCH(plain, 1, COUNT, 60 << 10, 0, out);
     }},
    NCCL(missing),
    NCCL(count),
    NCCL(type),
    NCCL(memory),
    NCCL(stream),
    NCCL(alone),
    NCCL(twice),
    {"another_device",
     [](float *out, bool wrong) {
         cudaSetDevice(wrong);
         LAUNCH(plain, 1, COUNT, 0, 0, out);
     }},
    {"another_device_is_current",
     [](float *out, bool wrong) {
         cudaStream_t stream;
         cudaStreamCreate(&stream);
         cudaSetDevice(wrong);
         LAUNCH(plain, 1, COUNT, 0, stream, out);
     }},
    {"another_device_fills",
     [](float *out, bool wrong) {
         LAUNCH(plain, 1, COUNT, 0, 0, out);
         cudaSetDevice(1);
         if (wrong) cudaMemsetAsync(out, 0, 4, nullptr);
         cudaSetDevice(0);
     }},
};

int main(int argc, char **argv)
{
    const bool wrong = argc == 2;
    float found[COUNT];
    void *out;
    for (auto &p : planted) {
        if (argc < 2 || strcmp(p.name, argv[1])) continue;
        cudaMalloc(&out, sizeof found);
        p.run((float *)out, wrong);
        cudaMemcpyAsync(found, out, sizeof found, cudaMemcpyDeviceToHost, nullptr);
        cudaFree(out);
        for (int t = 0; t < COUNT; t++)
            if (!(found[t] == 63.0f - (float)t)) {
                fprintf(stderr, "planted: out[%d] is %g\n", t, (double)found[t]);
                return 1;
            }
        return 0;
    }
    fprintf(stderr, "planted: there is no such kernel\n");
    return 2;
}
