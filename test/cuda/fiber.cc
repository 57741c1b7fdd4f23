#include "fiber.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define STACK_BYTES (64 << 10)
#define GUARD_BYTES                                                                                \
    4096 /* before and after each piece of memory: one element for each thread of any block */

/* All __shared__ variables; the linker names the ends of the section. */
extern char fiber_shared_start[] __asm__("__start_fiber_shared") __attribute__((weak));
extern char fiber_shared_stop[] __asm__("__stop_fiber_shared") __attribute__((weak));

namespace fiber
{

thread *now;
dim3 block, block_size, grid_size;
char *dynamic_shared;

static thread threads[THREADS_MAX];
static warp warps[THREADS_MAX / LANES];
static char *stacks[THREADS_MAX];
alignas(128) static char shared[SHARED_BYTES_MAX];
static void (*body)(const void *);
static const void *closure;
static const char *kernel;
static unsigned count, alive, at_barrier; /* threads of the block; those that have not ended */
static size_t shared_used, shared_allowed;
static uint64_t launches;
static int barrier_line;
static void *host_stack;

struct piece { /* of the device's memory; lies at the begin of the guard before it */
    piece *next, **back;
    size_t bytes;
    /* A signaling NaN, in fp32 and in bf16, so that arithmetic on it changes it; and another one than in the guards of
     * the pieces before, so that a copy does. */
    uint16_t filled_with;
};
static piece *pieces;
static unsigned pieces_ever;

/* Saves what a call must preserve on the present stack, and goes on where `to` was left. */
extern "C" void fiber_switch(void **save, void *to);
asm(R"(
.globl fiber_switch
fiber_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
)");

void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "fiber: kernel %s", kernel);
    if (now)
        fprintf(stderr, ", block (%u, %u, %u), thread %u", block.x, block.y, block.z, now->number);
    fputs(": ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

bool in_shared(const void *p, size_t bytes)
{
    const char *at = (const char *)p;
    return (at >= shared && at + bytes <= shared + shared_used) ||
           (at >= fiber_shared_start && at + bytes <= fiber_shared_stop);
}

void allow_shared(size_t bytes) { shared_allowed = bytes; }

static void yield() { fiber_switch(&now->stack_pointer, host_stack); }

static void release_block()
{
    at_barrier = 0;
    for (unsigned i = 0; i < count; i++)
        if (threads[i].wait == waits::for_the_block) threads[i].wait = waits::for_nothing;
}

/* A thread that has ended counts as arrived, as on sm_70 and later. */
void barrier(int line)
{
    if (at_barrier && line != barrier_line)
        fail("it waits at the barrier of line %d, others at that of line %d", line, barrier_line);
    barrier_line = line;
    if (++at_barrier == alive) {
        release_block();
        return;
    }
    now->wait = waits::for_the_block;
    yield();
}

warp *meet(const char *what, unsigned mask, const void *brought, size_t bytes)
{
    unsigned first = now->number / LANES * LANES;
    warp *w = &warps[now->number / LANES];
    if (mask != ~0u) fail("%s with mask 0x%x: only whole warps are known here", what, mask);
    if (w->alive != LANES) fail("%s, and other lanes of its warp have ended", what);
    if (w->arrived && strcmp(w->what, what))
        fail("it waits in %s, other lanes of its warp in %s", what, w->what);
    w->what = what;
    memcpy(w->in[lane()], brought, bytes);
    if (++w->arrived == LANES) {
        memcpy(w->out, w->in, sizeof w->out);
        w->arrived = 0;
        for (unsigned i = 0; i < LANES; i++) threads[first + i].wait = waits::for_nothing;
        return w;
    }
    now->wait = waits::for_its_warp;
    yield();
    return w;
}

static void ended()
{
    warp *w = &warps[now->number / LANES];
    now->done = true;
    w->alive--;
    alive--;
    if (now->copies) fail("it ends, and has not waited for %u of its copies", now->copies);
    if (w->arrived) fail("it ends, and other lanes of its warp wait in %s", w->what);
    if (at_barrier && at_barrier == alive) release_block();
}

static void entry()
{
    body(closure);
    ended();
    yield();
    abort();
}

static void prepare(unsigned i)
{
    void **top = (void **)(stacks[i] + STACK_BYTES);
    *--top = nullptr; /* where entry() would return to; keeps the stack aligned as after a call */
    *--top = (void *)entry;
    for (int r = 0; r < 6; r++) *--top = nullptr;
    struct thread *t = &threads[i];
    t->index =
        dim3(i % block_size.x, i / block_size.x % block_size.y, i / block_size.x / block_size.y);
    t->number = i;
    t->wait = waits::for_nothing;
    t->done = false;
    t->stack_pointer = top;
    t->groups = t->copies = 0;
}

/* Lets a thread run until it waits. False when it cannot. */
static bool run(unsigned i)
{
    if (threads[i].done || threads[i].wait != waits::for_nothing) return false;
    now = &threads[i];
    fiber_switch(&host_stack, now->stack_pointer);
    now = nullptr;
    return true;
}

static bool run_warp(unsigned w)
{
    bool ran = false, again = true;
    while (again) {
        again = false;
        for (unsigned i = 0; i < LANES; i++) again |= run(w * LANES + i);
        ran |= again;
    }
    return ran;
}

static void run_block()
{
    const char *schedule = getenv("FIBER_SCHEDULE");
    bool by_warp = schedule && !strcmp(schedule, "warps");
    bool reverse = schedule && !strcmp(schedule, "reverse");
    while (alive) {
        bool ran = false;
        if (by_warp)
            for (unsigned w = 0; w < count / LANES; w++) ran |= run_warp(w);
        else
            for (unsigned i = 0; i < count; i++) ran |= run(reverse ? count - 1 - i : i);
        if (!ran) {
            for (unsigned i = 0; i < count; i++)
                if (!threads[i].done) now = &threads[i];
            fail("it waits for threads that wait elsewhere");
        }
    }
}

static void begin_block(dim3 at)
{
    block = at;
    memset(shared, 0xff, shared_used);
    if (fiber_shared_start)
        memset(fiber_shared_start, 0xff, (size_t)(fiber_shared_stop - fiber_shared_start));
    alive = count;
    at_barrier = 0;
    for (unsigned w = 0; w < count / LANES; w++) warps[w].arrived = 0, warps[w].alive = LANES;
    for (unsigned i = 0; i < count; i++) prepare(i);
}

/* Is a guard as cudaMalloc() left it? `skip` bytes of its begin hold something else. */
static bool untouched(const char *guard, const piece *p, size_t skip)
{
    return memcmp(guard + skip, &p->filled_with, 2) == 0 &&
           memcmp(guard + skip, guard + skip + 2, GUARD_BYTES - skip - 2) == 0;
}

static void look_at_guards()
{
    for (const piece *p = pieces; p; p = p->next) {
        if (!untouched((const char *)p, p, sizeof *p))
            fail("a thread of its grid wrote before the start of %zu bytes of memory", p->bytes);
        if (!untouched((const char *)p + GUARD_BYTES + p->bytes, p, 0))
            fail("a thread of its grid wrote past the end of %zu bytes of memory", p->bytes);
    }
}

/* A page that is nobody's, as the tests put behind matrices (tensor.h). */
static void on_fault(int signal_number)
{
    if (now) fail("it touches memory that is nobody's");
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void run_grid(const char *name, dim3 grid, dim3 size, size_t shared_bytes,
              void (*what)(const void *), const void *with)
{
    if (!launches++) signal(SIGSEGV, on_fault);
    kernel = name;
    now = nullptr;
    count = size.x * size.y * size.z;
    if (count == 0 || count > THREADS_MAX || count % LANES)
        fail("a block of %u threads: launch whole warps, at most %u", count, THREADS_MAX);
    if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535)
        fail("a grid of (%u, %u, %u) blocks", grid.x, grid.y, grid.z);
    if (shared_bytes > SHARED_BYTES_MAX ||
        (shared_bytes > SHARED_BYTES_UNASKED && shared_bytes > shared_allowed))
        fail("%zu bytes of shared memory, and %zu are allowed", shared_bytes, shared_allowed);
    shared_allowed = 0;
    body = what;
    closure = with;
    block_size = size;
    grid_size = grid;
    shared_used = shared_bytes;
    dynamic_shared = shared;
    for (unsigned i = 0; i < count; i++)
        if (!stacks[i]) stacks[i] = (char *)aligned_alloc(64, STACK_BYTES);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                begin_block(dim3(x, y, z));
                run_block();
            }
    look_at_guards();
}

} // namespace fiber

/* ---- the runtime ---- */

/* The environment may ask for a worse machine: FIBER_DEVICES, FIBER_DRIVER (13000: CUDA 13.0), FIBER_GENERATION (90:
 * sm_90), FIBER_MEMORY (bytes), FIBER_FAILS (the launch, counted from 1, from which on all fail). */
static uint64_t asked(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}

static size_t memory_bytes() { return asked("FIBER_MEMORY", (size_t)8 << 30); }

static size_t memory_used;

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = (int)asked("FIBER_DEVICES", 1);
    return *count ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = (int)asked("FIBER_DRIVER", 13000);
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device)
{
    (void)device;
    int generation = (int)asked("FIBER_GENERATION", 90);
    *out =
        cudaDeviceProp{"fibers on the host", memory_bytes(), generation / 10, generation % 10, 1};
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    (void)device;
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    *out = nullptr;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    (void)s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    (void)s;
    return cudaSuccess;
}

/* Memory is poisoned, as a device's is not zero either, and lies between two guards. */
cudaError_t cudaMalloc(void **out, size_t bytes)
{
    if (bytes > memory_bytes() - memory_used) return cudaErrorMemoryAllocation;
    char *p = (char *)aligned_alloc(256, GUARD_BYTES + (bytes + GUARD_BYTES + 255) / 256 * 256);
    if (!p) return cudaErrorMemoryAllocation;
    const uint16_t filled_with = (uint16_t)(0xff81 + fiber::pieces_ever++ % 63);
    memset(p + GUARD_BYTES, 0xff, bytes);
    for (size_t i = 0; i < GUARD_BYTES; i += 2) {
        memcpy(p + i, &filled_with, 2);
        memcpy(p + GUARD_BYTES + bytes + i, &filled_with, 2);
    }
    fiber::piece *one = (fiber::piece *)p;
    *one = {fiber::pieces, &fiber::pieces, bytes, filled_with};
    if (fiber::pieces) fiber::pieces->back = &one->next;
    fiber::pieces = one;
    memory_used += bytes;
    *out = p + GUARD_BYTES;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    if (!p) return cudaSuccess;
    fiber::piece *one = (fiber::piece *)((char *)p - GUARD_BYTES);
    if (one->next) one->next->back = one->back;
    *one->back = one->next;
    memory_used -= one->bytes;
    free(one);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *total = memory_bytes();
    *available = *total - memory_used;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    (void)kind, (void)s;
    memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int byte, size_t bytes, cudaStream_t s)
{
    (void)s;
    memset(p, byte, bytes);
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    static const uint64_t fails = asked("FIBER_FAILS", UINT64_MAX);
    return fiber::launches >= fails ? cudaErrorLaunchFailure : cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorLaunchFailure:
        return "unspecified launch failure";
    default:
        return "no error";
    }
}
