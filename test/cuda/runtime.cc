/* runtime.cc -- the CUDA runtime of fiber.h: devices, memory between guards, streams and events. */
#include "fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* No C++ runtime is linked. */
void *operator new(size_t bytes) { return malloc(bytes); }
void operator delete(void *p) noexcept { free(p); }
void operator delete(void *p, size_t) noexcept { free(p); }
extern "C" void __cxa_pure_virtual() { abort(); }

/* before and after each piece of memory: one element for each thread of any block */
#define GUARD_BYTES 4096

/* The environment may ask for a worse machine: FIBER_DEVICES (-1: the driver does not say),
 * FIBER_DRIVER (13000: CUDA 13.0; 0: none), FIBER_GENERATION (90: sm_90), FIBER_MEMORY (bytes of
 * each), FIBER_OTHERS (bytes of it that other programs have), FIBER_FAILS (the launch, counted from
 * 1, from which on all fail), FIBER_FAILING (the only device on which they do). */
static uint64_t asked(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}

static size_t memory_bytes() { return asked("FIBER_MEMORY", (size_t)8 << 30); }

#define DEVICES_MAX 32
static size_t memory_used[DEVICES_MAX];
static int current; /* device */
static uint64_t launches;

static size_t memory_left()
{
    const size_t taken = memory_used[current] + asked("FIBER_OTHERS", 0);
    return taken < memory_bytes() ? memory_bytes() - taken : 0;
}

void fiber::count_launch() { launches++; }

/* ---- devices ---- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = (int)asked("FIBER_DEVICES", 1);
    if (asked("FIBER_DRIVER", CUDART_VERSION) < CUDART_VERSION / 1000 * 1000)
        return cudaErrorInsufficientDriver; /* without any too */
    if (*count < 0) return cudaErrorUnknown;
    return *count ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = (int)asked("FIBER_DRIVER", CUDART_VERSION);
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

/* A memory of 2 x 1 GHz x 64 bits: 16 GB/s. */
cudaError_t cudaDeviceGetAttribute(int *out, cudaDeviceAttr attribute, int device)
{
    (void)device;
    *out = attribute == cudaDevAttrMemoryClockRate ? 1000000 : 64;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    int count;
    if (cudaGetDeviceCount(&count) != cudaSuccess || device < 0 || device >= count)
        return cudaErrorInvalidDevice;
    current = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = current;
    return cudaSuccess;
}

/* sm_11x is the one without kernels. */
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, const void *kernel)
{
    (void)kernel;
    *out = cudaFuncAttributes{32};
    return asked("FIBER_GENERATION", 90) / 10 == 11 ? cudaErrorNoKernelImageForDevice : cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    const bool here = asked("FIBER_FAILING", (uint64_t)current) == (uint64_t)current;
    return here && launches >= asked("FIBER_FAILS", UINT64_MAX) ? cudaErrorLaunchFailure
                                                                : cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInsufficientDriver:
        return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorUnknown:
        return "unknown error";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    case cudaErrorNotReady:
        return "device not ready";
    case cudaErrorNoKernelImageForDevice:
        return "no kernel image is available for execution on the device";
    case cudaErrorLaunchFailure:
        return "unspecified launch failure";
    default:
        return "no error";
    }
}

/* ---- streams: what each was given, and how much of it has run ---- */

struct fiber_stream {
    fiber_stream *next;
    fiber::operation *first, **end; /* that wait */
    uint64_t given, run;            /* operations, ever */
    bool running;                   /* the first of them */
    int device;
};

struct fiber_event { /* that a stream has run so many */
    fiber_stream *stream;
    uint64_t count;
    struct timespec *at; /* when that was; NULL: it does not tell the time */
};

static fiber_stream *streams;

enum class when { now, behind, ahead };

static when streams_run()
{
    const char *text = getenv("FIBER_STREAMS");
    return text && !strcmp(text, "behind")  ? when::behind
           : text && !strcmp(text, "ahead") ? when::ahead
                                            : when::now;
}

static void run_first(fiber_stream *s)
{
    fiber::operation *o = s->first;
    s->running = true;
    o->run();
    s->running = false;
    s->first = o->next;
    if (!s->first) s->end = &s->first;
    s->run++;
    delete o;
}

/* Until it has run `count` operations. */
static void run_until(fiber_stream *s, uint64_t count)
{
    if (s->running) fprintf(stderr, "fiber: streams wait for each other\n"), abort();
    while (s->run < count) run_first(s);
}

static void run_others(const fiber_stream *but)
{
    for (bool ran = true; ran;) {
        ran = false;
        for (fiber_stream *s = streams; s; s = s->next)
            while (s != but && !s->running && s->first && s->first->ready()) {
                run_first(s);
                ran = true;
            }
    }
}

static void run_all()
{
    for (fiber_stream *s = streams; s; s = s->next) run_until(s, s->given);
}

/* Without a stream: after all that is waiting, and at once. */
void fiber::queue(fiber_stream *s, operation *o)
{
    if (!s) {
        run_all();
        o->run();
        delete o;
        return;
    }
    *s->end = o;
    s->end = &o->next;
    s->given++;
    if (streams_run() == when::now) run_until(s, s->given);
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    streams = new fiber_stream{streams, nullptr, nullptr, 0, 0, false, current};
    streams->end = &streams->first;
    *out = streams;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    (void)flags;
    return cudaStreamCreate(out);
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    fiber_stream **at = &streams;
    run_until(s, s->given);
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    if (streams_run() == when::ahead) run_others(s);
    if (s) run_until(s, s->given);
    else run_all();
    return cudaSuccess;
}

/* Whoever asks again and again lets it get on, one operation each time. */
cudaError_t cudaStreamQuery(cudaStream_t s)
{
    if (s->run < s->given && !s->running) run_first(s);
    return s->run < s->given ? cudaErrorNotReady : cudaSuccess;
}

int fiber::device_of(const fiber_stream *s) { return s ? s->device : current; }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    (void)flags;
    *out = new fiber_event{nullptr, 0, nullptr};
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    *out = new fiber_event{nullptr, 0, new timespec{}};
    return cudaSuccess;
}

static void look_at_clock(void *at) { clock_gettime(CLOCK_MONOTONIC, (struct timespec *)at); }

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    if (e->at) cudaEventSynchronize(e);
    delete e->at;
    delete e;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    if (e->at) cudaLaunchHostFunc(s, look_at_clock, e->at);
    *e = fiber_event{s, s ? s->given : 0, e->at};
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    *milliseconds = (float)((double)(to->at->tv_sec - from->at->tv_sec) * 1e3 +
                            (double)(to->at->tv_nsec - from->at->tv_nsec) * 1e-6);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    if (streams_run() == when::ahead) run_others(e->stream);
    if (e->stream) run_until(e->stream, e->count);
    return cudaSuccess;
}

namespace
{

struct wait : fiber::operation {
    fiber_event until;
    explicit wait(const fiber_event &e) : until(e) {}
    bool ready() override { return !until.stream || until.stream->run >= until.count; }
    void run() override
    {
        if (!ready()) run_until(until.stream, until.count);
    }
};

struct host_call : fiber::operation {
    void (*function)(void *);
    void *data;
    host_call(void (*f)(void *), void *d) : function(f), data(d) {}
    void run() override { function(data); }
};

struct copy : fiber::operation {
    void *to;
    const void *from;
    size_t bytes;
    copy(void *t, const void *f, size_t n) : to(t), from(f), bytes(n) {}
    void run() override { memcpy(to, from, bytes); }
};

/* From memory that may change once it is queued. */
struct copy_of_copy : copy {
    void *kept;
    copy_of_copy(void *t, const void *f, size_t n) : copy(t, malloc(n ? n : 1), n)
    {
        kept = (void *)from;
        memcpy(kept, f, n);
    }
    ~copy_of_copy() override { free(kept); }
};

struct fill : fiber::operation {
    void *at;
    int byte;
    size_t bytes;
    fill(void *p, int b, size_t n) : at(p), byte(b), bytes(n) {}
    void run() override { memset(at, byte, bytes); }
};

} // namespace

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags)
{
    (void)flags;
    fiber::queue(s, new wait(*e));
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t s, void (*function)(void *), void *data)
{
    fiber::queue(s, new host_call(function, data));
    return cudaSuccess;
}

/* ---- memory ---- */

struct piece { /* of the device's memory; lies at the begin of the guard before it */
    piece *next, **back;
    size_t bytes;
    int device;
    /* A signaling NaN, in fp32 and in bf16, so that arithmetic on it changes it; and another one
     * than in the guards of the pieces before, so that a copy does. */
    uint16_t filled_with;
};
static piece *pieces;
static unsigned pieces_ever;

int fiber::device_of(const void *p)
{
    for (const piece *one = pieces; one; one = one->next) {
        const char *first = (const char *)one + GUARD_BYTES;
        if ((const char *)p >= first && (const char *)p < first + one->bytes) return one->device;
    }
    return -1;
}

void fiber::look_at_argument(fiber_stream *s, const void *argument, size_t bytes)
{
    const int device = device_of(s);
    if (device != current)
        fail("it is launched on a stream of device %d, and %d is the current one", device, current);
    for (size_t at = 0; at + sizeof(void *) <= bytes; at += sizeof(void *)) {
        void *p;
        memcpy(&p, (const char *)argument + at, sizeof p);
        const int owner = device_of(p);
        if (owner >= 0 && owner != device)
            fail("it runs on device %d, and is given memory of device %d", device, owner);
    }
}

/* Of a copy or a fill. */
static void look_at_memory(const char *what, fiber_stream *s, const void *p)
{
    const int device = fiber::device_of(s), owner = fiber::device_of(p);
    if (owner < 0 || owner == device) return;
    fprintf(stderr, "fiber: a %s on a stream of device %d touches memory of device %d\n", what,
            device, owner);
    abort();
}

/* Is a guard as cudaMalloc() left it? `skip` bytes of its begin hold something else. */
static bool untouched(const char *guard, const piece *p, size_t skip)
{
    return memcmp(guard + skip, &p->filled_with, 2) == 0 &&
           memcmp(guard + skip, guard + skip + 2, GUARD_BYTES - skip - 2) == 0;
}

void fiber::look_at_guards()
{
    for (const piece *p = pieces; p; p = p->next) {
        if (!untouched((const char *)p, p, sizeof *p))
            fail("a thread of its grid wrote before the start of %zu bytes of memory", p->bytes);
        if (!untouched((const char *)p + GUARD_BYTES + p->bytes, p, 0))
            fail("a thread of its grid wrote past the end of %zu bytes of memory", p->bytes);
    }
}

/* Memory is poisoned, as a device's is not zero either, and lies between two guards. */
cudaError_t cudaMalloc(void **out, size_t bytes)
{
    if (bytes > memory_left()) return cudaErrorMemoryAllocation;
    char *p = (char *)aligned_alloc(256, GUARD_BYTES + (bytes + GUARD_BYTES + 255) / 256 * 256);
    if (!p) return cudaErrorMemoryAllocation;
    const uint16_t filled_with = (uint16_t)(0xff81 + pieces_ever++ % 63);
    memset(p + GUARD_BYTES, 0xff, bytes);
    for (size_t i = 0; i < GUARD_BYTES; i += 2) {
        memcpy(p + i, &filled_with, 2);
        memcpy(p + GUARD_BYTES + bytes + i, &filled_with, 2);
    }
    piece *one = (piece *)p;
    *one = {pieces, &pieces, bytes, current, filled_with};
    if (pieces) pieces->back = &one->next;
    pieces = one;
    memory_used[current] += bytes;
    *out = p + GUARD_BYTES;
    return cudaSuccess;
}

/* As a device does, it waits for all that was queued before. */
cudaError_t cudaFree(void *p)
{
    if (!p) return cudaSuccess;
    run_all();
    piece *one = (piece *)((char *)p - GUARD_BYTES);
    if (one->next) one->next->back = one->back;
    *one->back = one->next;
    memory_used[one->device] -= one->bytes;
    free(one);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *total = memory_bytes();
    *available = memory_left();
    return cudaSuccess;
}

struct range { /* of host memory that copies may use later */
    range *next;
    const char *first, *last;
};
static range *registered;

static bool is_registered(const void *p, size_t bytes)
{
    for (const range *r = registered; r; r = r->next)
        if ((const char *)p >= r->first && (const char *)p + bytes <= r->last) return true;
    return false;
}

cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned flags)
{
    (void)flags;
    registered = new range{registered, (const char *)p, (const char *)p + bytes};
    return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *p)
{
    run_all();
    range **at = &registered;
    while (*at && (*at)->first != p) at = &(*at)->next;
    if (!*at)
        fprintf(stderr, "fiber: host memory that was not registered is unregistered\n"), abort();
    range *gone = *at;
    *at = gone->next;
    delete gone;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    look_at_memory("copy", s, to);
    look_at_memory("copy", s, from);
    if (kind == cudaMemcpyHostToDevice && !is_registered(from, bytes))
        fiber::queue(s, new copy_of_copy(to, from, bytes));
    else fiber::queue(s, new copy(to, from, bytes));
    if (kind == cudaMemcpyDeviceToHost && !is_registered(to, bytes)) cudaStreamSynchronize(s);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int byte, size_t bytes, cudaStream_t s)
{
    look_at_memory("fill", s, p);
    fiber::queue(s, new fill(p, byte, bytes));
    return cudaSuccess;
}
