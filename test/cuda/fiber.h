/* fiber.h -- CUDA kernels on a machine without a GPU: one fiber per CUDA thread, one block after
 * the other.
 *
 * Stands in for cuda_runtime.h when cu/ is compiled as C++ (cu/device.h). The threads of a block
 * take turns on one thread of the host; they switch at barriers and warp operations only, in the
 * order that FIBER_SCHEDULE asks for:
 *
 *     threads   each thread as far as it can, in ascending order (the default)
 *     warps     each warp as far as it can before the next one runs: finds a missing barrier between warps
 *     reverse   each thread as far as it can, in descending order
 *
 * What a stream is given runs when FIBER_STREAMS says:
 *
 *     now       at once (the default)
 *     behind    when something waits for it, and what other streams have only as far as that waits for it
 *     ahead     when something waits for anything, and what other streams have first, as far as it can
 *
 * so that a missing event, and memory used again too early, change results. A copy from or to host
 * memory that is not registered is made when it is queued, as a GPU's driver does.
 *
 * Ends the program with one sentence about: a barrier that some threads reach at another line or
 * not at all, a warp operation that a part of a warp does not take part in, a launch that a GPU
 * would refuse, a write into the 4 KiB before or after a piece of memory, a launch, copy or fill
 * that is given memory of another device than its stream's, or a launch while another device is the
 * current one, a thread that ends before its asynchronous copies (fiber_ptx.h). Shared memory is
 * filled with 0xff (a NaN, or -1) before each block, and memory when it is taken, so that it shows
 * when a kernel reads what nobody wrote. test/cuda/planted.cc shows most of these. */
#ifndef SHOAL_TEST_CUDA_FIBER_H
#define SHOAL_TEST_CUDA_FIBER_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("fiber_shared")))

struct dim3 {
    unsigned x, y, z;
    dim3(size_t a = 1, size_t b = 1, size_t c = 1) : x((unsigned)a), y((unsigned)b), z((unsigned)c)
    {
    }
};

struct fiber_stream; /* cudaStream_t */

namespace fiber
{

constexpr unsigned LANES = 32, THREADS_MAX = 1024, SLOT_BYTES = 64, COPIES_MAX = 96;
constexpr size_t SHARED_BYTES_MAX = 99
                                    << 10; /* of one block, on sm_86 and sm_89: the least of all */
constexpr size_t SHARED_BYTES_UNASKED = 48 << 10; /* without cudaFuncSetAttribute */

enum class waits : uint8_t { for_nothing, for_the_block, for_its_warp };

struct copy { /* an asynchronous one, under way */
    void *to;
    const void *from;
    unsigned bytes, group;
};

struct thread {
    dim3 index;
    unsigned number; /* within the block */
    waits wait;
    bool done;
    void *stack_pointer;
    unsigned groups, copies; /* groups of copies that are closed; copies under way */
    struct copy copy[COPIES_MAX];
};

struct warp {
    unsigned arrived, alive;
    const char *what; /* the operation that the first of them came for */
    char in[LANES][SLOT_BYTES], out[LANES][SLOT_BYTES];
};

extern thread *now; /* the one that runs */
extern dim3 block, block_size, grid_size;
extern char *dynamic_shared;

[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void barrier(int line);
bool in_shared(const void *p, size_t bytes);
/* The next launch may take so many bytes of dynamic shared memory. */
void allow_shared(size_t bytes);
/* Waits for all lanes of the warp; then `out` holds what they brought in `in`. */
warp *meet(const char *what, unsigned mask, const void *brought, size_t bytes);

struct launched {
    const char *kernel;
    dim3 grid, size;
    size_t shared_bytes;
};
void look_at_launch(const struct launched &l);
/* Is there an address of another device's memory in an argument, or in a struct that is one? */
void look_at_argument(struct fiber_stream *s, const void *argument, size_t bytes);
int device_of(const struct fiber_stream *s);
int device_of(const void *p); /* whose memory that is; -1: no device's */
/* Runs `body(closure)` as every thread of every block, and looks at the guards of all memory. */
void run_grid(const struct launched &l, void (*body)(const void *), const void *closure);
void look_at_guards();

/* What waits in a stream. */
struct operation {
    operation *next = nullptr;
    virtual void run() = 0;
    /* Is there nothing left that it must wait for? */
    virtual bool ready() { return true; }
    virtual ~operation() {}
};
void queue(struct fiber_stream *s, operation *o);
void count_launch();

template <class F> struct kernel_call : operation {
    struct launched l;
    F call;
    kernel_call(const struct launched &a, const F &f) : l(a), call(f) {}
    void run() override
    {
        run_grid(
            l, [](const void *f) { (*(const F *)f)(); }, &call);
    }
};

/* Takes copies of the arguments, as a GPU does. Static: files have types of the same name among
 * theirs. */
template <class... P, class... A>
static void launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 size,
                   size_t shared_bytes, struct fiber_stream *s, const A &...arguments)
{
    const struct launched l = {name, grid, size, shared_bytes};
    const auto call = [kernel, ... held = (P)arguments] { kernel(held...); };
    const auto look = [&](auto argument) { look_at_argument(s, &argument, sizeof argument); };
    look_at_launch(l);
    (look((P)arguments), ...);
    count_launch();
    queue(s, new kernel_call<decltype(call)>(l, call));
}

inline unsigned lane() { return now->number % LANES; }

template <class T> T shuffle(const char *what, unsigned mask, T v, unsigned from)
{
    static_assert(sizeof v <= SLOT_BYTES, "a lane brings 64 bytes at most");
    T got;
    memcpy(&got, meet(what, mask, &v, sizeof v)->out[from % LANES], sizeof got);
    return got;
}

} // namespace fiber

#define threadIdx (fiber::now->index)
#define blockIdx  (fiber::block)
#define blockDim  (fiber::block_size)
#define gridDim   (fiber::grid_size)

#define __syncthreads() fiber::barrier(__LINE__)
#define __syncwarp(...) ((void)fiber::meet("__syncwarp", ~0u, "", 0))

template <class T> T __shfl_sync(unsigned mask, T v, int from)
{
    return fiber::shuffle("__shfl_sync", mask, v, (unsigned)from);
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int bits)
{
    return fiber::shuffle("__shfl_xor_sync", mask, v, fiber::lane() ^ (unsigned)bits);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned by)
{
    unsigned from = fiber::lane() + by;
    return fiber::shuffle("__shfl_down_sync", mask, v, from < fiber::LANES ? from : fiber::lane());
}
inline unsigned __ballot_sync(unsigned mask, int predicate)
{
    bool yes = predicate != 0;
    const fiber::warp *w = fiber::meet("__ballot_sync", mask, &yes, sizeof yes);
    unsigned bits = 0;
    for (unsigned i = 0; i < fiber::LANES; i++) bits |= (unsigned)(w->out[i][0] != 0) << i;
    return bits;
}

/* ---- arithmetic of which each step is rounded by itself (compiled without contraction) ---- */

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline int __float2int_rn(float a) { return (int)rintf(a); }
inline uint32_t __float_as_uint(float a)
{
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
inline float __uint_as_float(uint32_t bits)
{
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

/* ---- the runtime: what cu/ calls of it (runtime.cc) ---- */

typedef struct fiber_stream *cudaStream_t;
typedef struct fiber_event *cudaEvent_t;
#define CUDART_VERSION 13000 /* of the runtime: CUDA 13.0 */

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorNotReady = 600,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorLaunchFailure = 719,
    cudaErrorUnknown = 999
};
enum cudaDeviceAttr { cudaDevAttrMemoryClockRate = 36, cudaDevAttrGlobalMemoryBusWidth = 37 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostRegisterDefault = 0 };

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor, multiProcessorCount;
};

struct cudaFuncAttributes {
    int numRegs;
};

cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device);
cudaError_t cudaDeviceGetAttribute(int *out, cudaDeviceAttr attribute, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaStreamCreate(cudaStream_t *out);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaStreamQuery(cudaStream_t s);
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, const void *kernel);
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags = 0);
cudaError_t cudaEventCreate(cudaEvent_t *out); /* one that tells the time */
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaLaunchHostFunc(cudaStream_t s, void (*function)(void *), void *data);
cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned flags);
cudaError_t cudaHostUnregister(void *p);
cudaError_t cudaMalloc(void **out, size_t bytes);
cudaError_t cudaFree(void *p);
cudaError_t cudaMemGetInfo(size_t *available, size_t *total);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s);
cudaError_t cudaMemsetAsync(void *p, int byte, size_t bytes, cudaStream_t s);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t e);

#endif
