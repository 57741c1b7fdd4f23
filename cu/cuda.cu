#include "cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/whole.h"
#include "cublaslt.h"
#include "ops.h"

/* The runtime that we link requires a driver for its major version: CUDA 13.x for 13.0. */
#define DRIVER_MIN (CUDART_VERSION / 1000 * 1000)
#define SM_MIN     80
#define MEBIBYTE   0x1p20

static const char *said(cudaError_t e) { return cudaGetErrorString(e); }

struct cuda *cuda_of(void *self)
{
    struct cuda *c = (struct cuda *)self;
    cuda_note(c, cudaSetDevice(c->device), "taking its turn");
    return c;
}

void cuda_note(struct cuda *c, cudaError_t e, const char *where)
{
    if (e == cudaSuccess || c->failed != cudaSuccess) return;
    c->failed = e;
    c->failed_where = where;
}

void cuda_launched(struct cuda *c, const char *where) { cuda_note(c, cudaGetLastError(), where); }

enum err cuda_said(const struct cuda *c, struct why *w)
{
    if (c->failed == cudaSuccess) return ERR_OK;
    return why(w, ERR_DEVICE, "GPU %d failed in %s: %s", c->device, c->failed_where,
               said(c->failed));
}

enum err cuda_wait(struct cuda *c, struct why *w)
{
    if (c->group) return cuda_wait_together(c, w);
    cuda_note(c, cudaStreamSynchronize(c->stream), "a kernel");
    return cuda_said(c, w);
}

enum err cuda_download(struct cuda *c, void *host, const void *device, size_t bytes,
                       const char *where, struct why *w)
{
    /* The copy would wait for earlier work, but not watch the group as cuda_wait does. */
    enum err e = c->group ? cuda_wait(c, w) : ERR_OK;
    if (e) return e;
    cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, c->stream);
    cuda_launched(c, where);
    return cuda_wait(c, w);
}

enum err cuda_take(struct cuda *c, size_t bytes, void **out, struct why *w)
{
    size_t available = 0, total = 0;
    cudaError_t e = cudaMalloc(out, bytes ? bytes : 1);
    if (e == cudaSuccess) e = cudaMemsetAsync(*out, 0, bytes, c->stream);
    if (e == cudaSuccess) return ERR_OK;
    if (e != cudaErrorMemoryAllocation)
        return why(w, ERR_DEVICE, "GPU %d gave no memory: %s", c->device, said(e));
    (void)cudaGetLastError(); /* reported; the next launch must not report it again */
    cudaMemGetInfo(&available, &total);
    return why(w, ERR_MEMORY,
               "%.1f MiB of memory are needed at once, and GPU %d has %.1f of its %.1f left",
               (double)bytes / MEBIBYTE, c->device, (double)available / MEBIBYTE,
               (double)total / MEBIBYTE);
}

static size_t memory_all(void *self) { return ((struct cuda *)self)->memory; }

static enum err memory_alloc(void *self, size_t bytes, void **out, struct why *w)
{
    return cuda_take(cuda_of(self), bytes, out, w);
}

static void memory_free(void *self, void *memory, size_t bytes)
{
    (void)bytes;
    (void)cuda_of(self);
    cudaFree(memory);
}

static void memory_upload(void *self, void *device, const void *host, size_t bytes)
{
    struct cuda *c = cuda_of(self);
    cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, c->stream);
    cuda_launched(c, "upload");
}

static enum err memory_download(void *self, void *host, const void *device, size_t bytes,
                                struct why *w)
{
    return cuda_download(cuda_of(self), host, device, bytes, "download", w);
}

static void memory_zero(void *self, void *device, size_t bytes)
{
    struct cuda *c = cuda_of(self);
    cudaMemsetAsync(device, 0, bytes, c->stream);
    cuda_launched(c, "zero");
}

static void release(struct cuda *c)
{
    cudaFree(c->partials);
    cudaFree(c->delta);
    cudaFree(c->chain);
    c->partials = c->delta = NULL;
    c->chain = NULL;
    c->sizes = {};
}

static enum err prepare(void *self, const struct op_sizes *sizes, struct why *w)
{
    struct cuda *c = cuda_of(self);
    struct op_sizes s = *sizes;
    s.rows = max_u64(s.rows, c->sizes.rows);
    s.dim = max_u64(s.dim, c->sizes.dim);
    s.heads = max_u64(s.heads, c->sizes.heads);
    s.kv_heads = max_u64(s.kv_heads, c->sizes.kv_heads);
    s.head_dim = max_u64(s.head_dim, c->sizes.head_dim);
    s.ffn = max_u64(s.ffn, c->sizes.ffn);
    s.vocab = max_u64(s.vocab, c->sizes.vocab);
    release(c);
    void *partials = NULL, *delta = NULL, *chain = NULL;
    enum err e = cuda_take(c, cuda_norm_partials(&s) * sizeof(float), &partials, w);
    if (!e) e = cuda_take(c, s.rows * max_u64(s.heads, 1) * sizeof(float), &delta, w);
    if (!e) e = cuda_take(c, s.rows * sizeof(uint32_t), &chain, w);
    c->partials = (float *)partials;
    c->delta = (float *)delta;
    c->chain = (uint32_t *)chain;
    if (e) {
        release(c);
        return why_while(w, e, "taking the scratch memory of GPU %d", c->device);
    }
    c->sizes = s;
    return ERR_OK;
}

static void close_one(struct cuda *c)
{
    cuda_leave(c);
    cublaslt_close(c->cublaslt);
    release(c);
    cudaFree(c->sums);
    cuda_outer_close(c);
    if (c->stream) cudaStreamDestroy(c->stream);
    free(c);
}

int cuda_devices(void)
{
    int count = 0, driver = 0;
    cudaDriverGetVersion(&driver);
    const cudaError_t e = cudaGetDeviceCount(&count);
    if (e == cudaSuccess) return count;
    /* With a driver that is too old or does not answer there may be GPUs: cuda_open reports what is
     * wrong. */
    return driver && e != cudaErrorNoDevice ? 1 : 0;
}

/* Checks driver, device and its generation. */
static enum err look(int device, struct cudaDeviceProp *p, struct why *w)
{
    int driver = 0, count = 0;
    cudaDriverGetVersion(&driver);
    if (driver == 0)
        return why(w, ERR_DEVICE,
                   "this machine has no NVIDIA driver: install one, for CUDA %d.0 or "
                   "later, or set machine.device to cpu",
                   DRIVER_MIN / 1000);
    cudaError_t e = cudaGetDeviceCount(&count);
    if (driver < DRIVER_MIN || e == cudaErrorInsufficientDriver)
        return why(w, ERR_DEVICE,
                   "the NVIDIA driver here is for CUDA %d.%d: install one for %d.0 or later, or "
                   "set machine.device to cpu",
                   driver / 1000, driver % 1000 / 10, DRIVER_MIN / 1000);
    if (e != cudaSuccess && e != cudaErrorNoDevice)
        return why(w, ERR_DEVICE, "asking for GPUs: %s: mend it, or set machine.device to cpu",
                   said(e));
    if (device >= count)
        return why(w, ERR_DEVICE,
                   count ? "there is no GPU %d: this machine has 0 to %d"
                         : "there is no GPU %d: this machine has none",
                   device, count - 1);
    e = cudaGetDeviceProperties(p, device);
    if (e != cudaSuccess)
        return why(w, ERR_DEVICE, "asking GPU %d what it is: %s", device, said(e));
    if (p->major * 10 + p->minor < SM_MIN)
        return why(w, ERR_DEVICE,
                   "GPU %d, %s, is of generation sm_%d%d: shoal needs sm_80 or later", device,
                   p->name, p->major, p->minor);
    return ERR_OK;
}

/* Checks that there are kernels for it. The device is the current one. */
static enum err look_at_kernels(int device, const struct cudaDeviceProp *p, struct why *w)
{
    cudaError_t e = cuda_kernels_here();
    if (e == cudaSuccess) return ERR_OK;
    (void)cudaGetLastError(); /* reported; the next launch must not report it again */
    if (e != cudaErrorNoKernelImageForDevice)
        return why(w, ERR_DEVICE, "asking GPU %d for its kernels: %s", device, said(e));
    return why(
        w, ERR_DEVICE,
        "GPU %d, %s, is of generation sm_%d%d, for which this shoal has no kernels: build one "
        "that lists it in build/gpu.zig, or set machine.device to cpu",
        device, p->name, p->major, p->minor);
}

/* Free memory after the driver, the kernels and cuBLASLt have allocated theirs. */
static enum err measure_memory(struct cuda *c, struct why *w)
{
    size_t total = 0;
    const cudaError_t e = cudaMemGetInfo(&c->memory, &total);
    if (e == cudaSuccess) return ERR_OK;
    return why(w, ERR_DEVICE, "asking GPU %d for its free memory: %s", c->device, said(e));
}

/* The configuration for which the choice of an algorithm is valid. */
static void name_machine(const struct cudaDeviceProp *p, char *out, size_t room)
{
    int driver = 0;
    cudaDriverGetVersion(&driver);
    snprintf(out, room, "%s, sm_%d%d, %d multiprocessors, driver %d", p->name, p->major, p->minor,
             p->multiProcessorCount, driver);
}

/* A named library must work; if a searched one does not, that is only reported. */
static enum err open_products(struct cuda *c, const struct cuda_options *o,
                              const struct cudaDeviceProp *p, struct why *w)
{
    struct why missing;
    char machine[400];
    const bool named = o->cublaslt && o->cublaslt[0];
    name_machine(p, machine, sizeof machine);
    enum err e = cublaslt_open(&c->cublaslt, c, o->cublaslt, machine, o->say, &missing);
    if (e == ERR_DEVICE && !named) {
        why_while(&missing, e, "our own matrix products serve");
        if (o->say) o->say(missing.text);
        e = ERR_OK;
    }
    if (e) return why(w, e, "%s", missing.text);
    const size_t used = strlen(c->text);
    snprintf(c->text + used, sizeof c->text - used, ", %s",
             c->cublaslt ? cublaslt_text(c->cublaslt) : "own products");
    return ERR_OK;
}

enum err cuda_open(struct backend *out, const struct cuda_options *o, struct why *w)
{
    struct cudaDeviceProp p;
    enum err e = look(o->device, &p, w);
    if (e) return e;
    struct cuda *c = (struct cuda *)calloc(1, sizeof *c);
    if (!c) return why(w, ERR_MEMORY, "no memory for the CUDA backend");
    c->device = o->device;
    c->bf16 = o->bf16;
    snprintf(c->text, sizeof c->text, "%s, sm_%d%d", p.name, p.major, p.minor);
    cudaError_t failed = cudaSetDevice(o->device);
    if (failed == cudaSuccess) failed = cudaStreamCreate(&c->stream);
    if (failed == cudaSuccess) failed = cuda_outer_open(c);
    void *sums = NULL;
    if (failed != cudaSuccess)
        e = why(w, ERR_DEVICE, "opening GPU %d: %s", o->device, said(failed));
    if (!e) e = look_at_kernels(o->device, &p, w);
    if (!e) e = cuda_take(c, CUDA_SUMS * sizeof(double), &sums, w);
    c->sums = (double *)sums;
    if (!e && c->bf16) e = open_products(c, o, &p, w);
    if (!e) e = measure_memory(c, w);
    if (e) {
        close_one(c);
        return e;
    }
    *out = {};
    out->name = "cuda";
    out->activation_bytes = c->bf16 ? 2 : sizeof(float);
    out->self = c;
    out->memory = memory_all;
    out->prepare = prepare;
    out->alloc = memory_alloc;
    out->free = memory_free;
    out->upload = memory_upload;
    out->download = memory_download;
    out->zero = memory_zero;
    out->embed = cuda_embed;
    out->embed_backward = cuda_embed_backward;
    out->norm = cuda_norm;
    out->norm_backward = cuda_norm_backward;
    out->rotary = cuda_rotary;
    out->attention = cuda_attention;
    out->attention_backward = cuda_attention_backward;
    out->attention_cached = cuda_attention_cached;
    out->swiglu = cuda_swiglu;
    out->swiglu_backward = cuda_swiglu_backward;
    out->linear = cuda_linear;
    out->linear_input = cuda_linear_input;
    out->linear_weight = cuda_linear_weight;
    out->cross_entropy = cuda_cross_entropy;
    out->adamw = cuda_adamw;
    out->bf16_weights = c->bf16;
    out->round = c->bf16 ? cuda_round : NULL;
    out->sum = cuda_sum;
    out->norm2 = cuda_norm2;
    out->pin = cuda_pin;
    out->outer_quantize = cuda_outer_quantize;
    out->outer_step = cuda_outer_step;
    return ERR_OK;
}

void cuda_close(struct backend *b)
{
    if (b->self) close_one(cuda_of(b->self));
    b->self = NULL;
}

const char *cuda_describe(const struct backend *b) { return ((struct cuda *)b->self)->text; }

double cuda_peak(const struct backend *b)
{
    /* Without sparsity. The first entry contained in the GPU's name counts. */
    static const struct {
        const char *name;
        double tera;
    } known[] = {{"B200", 2250},    {"GH200", 990},   {"H200", 989},     {"H100 PCIe", 756},
                 {"H100 NVL", 835}, {"H100", 989},    {"A100", 312},     {"L40S", 362},
                 {"RTX 4090", 165}, {"RTX 3090", 71}, {"RTX 5090", 210}, {"A40", 150},
                 {"A6000", 155},    {"L40", 181},     {"L4", 121}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(((struct cuda *)b->self)->text, known[i].name)) return known[i].tera * 1e12;
    return 0;
}

double cuda_memory_peak(const struct backend *b)
{
    const int device = ((struct cuda *)b->self)->device;
    int khz = 0, bits = 0;
    if (cudaDeviceGetAttribute(&khz, cudaDevAttrMemoryClockRate, device) != cudaSuccess) return 0;
    if (cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, device) != cudaSuccess)
        return 0;
    return 2.0 * khz * 1e3 * bits / 8;
}
