#include "bin/device.h"

#include <stdio.h>

#include "cpu/cpu.h"
#ifdef SHOAL_CUDA
#include "cu/cuda.h"
#endif

#ifdef SHOAL_CUDA

const char *device_built(void) { return "the CPU and on NVIDIA GPUs (CUDA)"; }

static bool wants_gpu(enum device_kind kind)
{
    return kind == DEVICE_CUDA || (kind == DEVICE_AUTO && cuda_devices() > 0);
}

static void say(const char *sentence) { fprintf(stderr, "shoal: %s\n", sentence); }

static enum err open_gpu(struct backend *out, const struct device_options *o, struct why *w)
{
    const struct cuda_options options = {(int)o->index, o->precision == PRECISION_BF16, o->cublaslt,
                                         say};
    return cuda_open(out, &options, w);
}

static void close_gpu(struct backend *b) { cuda_close(b); }
static const char *describe_gpu(const struct backend *b) { return cuda_describe(b); }
static double peak_gpu(const struct backend *b) { return cuda_peak(b); }
static double memory_peak_gpu(const struct backend *b) { return cuda_memory_peak(b); }

#else

const char *device_built(void) { return "the CPU; this build has no CUDA"; }

static bool wants_gpu(enum device_kind kind) { return kind == DEVICE_CUDA; }

static enum err open_gpu(struct backend *out, const struct device_options *o, struct why *w)
{
    (void)out, (void)o;
    return why(w, ERR_UNSUPPORTED,
               "this shoal was built without CUDA: build it where the CUDA toolkit is, or set "
               "machine.device to cpu");
}

static void close_gpu(struct backend *b) { (void)b; }
static const char *describe_gpu(const struct backend *b) { return b->name; }
static double peak_gpu(const struct backend *b)
{
    (void)b;
    return 0;
}
static double memory_peak_gpu(const struct backend *b) { return peak_gpu(b); }

#endif

enum err device_open(struct backend *out, const struct device_options *o, struct pool *pool,
                     struct why *w)
{
    return wants_gpu(o->kind) ? open_gpu(out, o, w)
                              : cpu_open(out, pool, o->precision == PRECISION_BF16, w);
}

void device_close(struct backend *b) { (b->host ? cpu_close : close_gpu)(b); }

const char *device_describe(const struct backend *b)
{
    return (b->host ? cpu_describe : describe_gpu)(b);
}

double device_peak(const struct backend *b) { return (b->host ? cpu_peak : peak_gpu)(b); }

double device_memory_peak(const struct backend *b) { return b->host ? 0 : memory_peak_gpu(b); }
