#include "node/device.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cpu/choose.h"
#include "cpu/cpu.h"
#ifdef SHOAL_CUDA
#include "cu/cuda.h"
#include "cu/marks.h"
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
    const struct cuda_options options = {(int)o->index, o->precision != PRECISION_FP32, o->cublaslt,
                                         o->quiet ? NULL : say};
    return cuda_open(out, &options, w);
}

static void close_gpu(struct backend *b) { cuda_close(b); }
static uint32_t count_gpus(void) { return (uint32_t)cuda_devices(); }

static enum err join_gpus(struct devices *d, const struct experiment *x, struct why *w)
{
    return cuda_join(d->ranks, d->count, x->machine.nccl, w);
}

static const char *describe_gpu(const struct backend *b) { return cuda_describe(b); }
static double peak_gpu(const struct backend *b) { return cuda_peak(b); }
static double memory_peak_gpu(const struct backend *b) { return cuda_memory_peak(b); }

static enum err marks_gpu(const struct backend *b, size_t count, struct why *w)
{
    return cuda_marks(b, count, w);
}
static void mark_gpu(const struct backend *b, size_t mark) { cuda_mark(b, mark); }
static double between_gpu(const struct backend *b, size_t from, size_t to)
{
    return cuda_between(b, from, to);
}

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
static uint32_t count_gpus(void) { return 1; } /* so that opening it reports the reason */
static enum err join_gpus(struct devices *d, const struct experiment *x, struct why *w)
{
    (void)d, (void)x, (void)w;
    return ERR_OK;
}

static const char *describe_gpu(const struct backend *b) { return b->name; }
static double peak_gpu(const struct backend *b)
{
    (void)b;
    return 0;
}
static double memory_peak_gpu(const struct backend *b) { return peak_gpu(b); }

static enum err marks_gpu(const struct backend *b, size_t count, struct why *w)
{
    (void)b, (void)count, (void)w;
    return ERR_OK;
}
static void mark_gpu(const struct backend *b, size_t mark) { (void)b, (void)mark; }
static double between_gpu(const struct backend *b, size_t from, size_t to)
{
    (void)from, (void)to;
    return peak_gpu(b);
}

#endif

/* CPU operations are done when they return, so a mark is a time. */
static instant *marks;

enum err device_marks(const struct backend *b, size_t count, struct why *w)
{
    if (!b->host) return marks_gpu(b, count, w);
    free(marks);
    marks = count ? calloc(count, sizeof *marks) : NULL;
    return count && !marks ? why(w, ERR_MEMORY, "no memory for %zu marks", count) : ERR_OK;
}

void device_mark(const struct backend *b, size_t mark)
{
    if (b->host) marks[mark] = clock_now();
    else mark_gpu(b, mark);
}

double device_between(const struct backend *b, size_t from, size_t to)
{
    if (!b->host) return between_gpu(b, from, to);
    return span_in_s(instant_since(marks[to], marks[from]));
}

/* Names in c/cpu/ of the values of machine.kernels. */
static const char *const kernels_names[] = {[KERNELS_AVX2] = "AVX2",
                                            [KERNELS_AVX512] = "AVX-512",
                                            [KERNELS_AVX512_BF16] = "AVX-512 BF16",
                                            [KERNELS_AMX] = "AMX"};

/* Opens the checkpoint's kernels; false where they are not available. */
static bool open_kept(struct backend *out, const char *kept, bool bf16, struct pool *pool)
{
    if (cpu_open_as(out, pool, kept, bf16, NULL) == ERR_OK) {
        cpu_chosen(out, "as in the checkpoint");
        return true;
    }
    fprintf(stderr,
            "shoal: the checkpoint was computed with %s, which this processor lacks: the run goes "
            "on, but with other bits than there\n",
            kept);
    return false;
}

static enum err open_cpu(struct backend *out, const struct device_options *o, struct pool *pool,
                         struct why *w)
{
    const bool bf16 = o->precision == PRECISION_BF16, any = o->precision == PRECISION_AUTO;
    const bool named = o->kernels != KERNELS_AUTO;
    const char *name = named ? kernels_names[o->kernels] : NULL;
    const struct model_shape *s = o->shape;
    if (!named && !any && o->kept && open_kept(out, o->kept, bf16, pool)) return ERR_OK;
    const struct op_sizes sizes = {.dim = s->dim,
                                   .heads = s->heads,
                                   .kv_heads = s->kv_heads,
                                   .head_dim = s->dim / s->heads,
                                   .ffn = s->ffn,
                                   .length = s->context};
    const struct choice_of of = {.fp32 = !bf16, .bf16 = bf16 || any, .kernels = name};
    enum err e = named && !any ? cpu_open_as(out, pool, name, bf16, w)
                               : cpu_open_fastest(out, pool, &of, &sizes, w);
    return e && named
               ? why_while(w, e,
                           "machine.kernels asks for what is not here (auto takes the fastest)")
               : e;
}

enum err device_open(struct backend *out, const struct device_options *o, struct pool *pool,
                     struct why *w)
{
    return wants_gpu(o->kind) ? open_gpu(out, o, w) : open_cpu(out, o, pool, w);
}

void device_close(struct backend *b) { (b->host ? cpu_close : close_gpu)(b); }

static_assert(EXPERIMENT_GPUS_MAX == BACKEND_RANKS_MAX, "a rank for each GPU that may be named");

static enum err open_gpus(struct devices *out, const struct experiment *x, struct why *w)
{
    const uint32_t named = x->machine.gpus_count;
    uint32_t count = named ? named : count_gpus();
    if (count == 0) count = 1; /* so that opening it reports what is missing */
    if (count > EXPERIMENT_GPUS_MAX)
        return why(w, ERR_UNSUPPORTED,
                   "this machine has %u GPUs and one worker takes at most %d: name them in "
                   "machine.device, as cuda:0,1",
                   (unsigned)count, EXPERIMENT_GPUS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct device_options o = {.index = named ? x->machine.gpus[i] : i,
                                         .precision = x->train.precision,
                                         .cublaslt = x->machine.cublaslt,
                                         .quiet = i > 0};
        enum err e = open_gpu(&out->ranks[i], &o, w);
        if (e && !named && count > 1)
            return why_while(w, e, "machine.device names the GPUs to use, as cuda:0");
        if (e) return e;
        out->count++;
    }
    return count > 1 ? join_gpus(out, x, w) : ERR_OK;
}

enum precision device_precision(const struct backend *b)
{
    return b->activation_bytes == sizeof(float) ? PRECISION_FP32 : PRECISION_BF16;
}

static enum err open_host(struct devices *out, const struct experiment *x, const char *kept,
                          struct pool *pool, struct why *w)
{
    const struct device_options o = {.precision = x->train.precision,
                                     .kernels = x->machine.kernels,
                                     .kept = kept,
                                     .shape = &x->model};
    enum err e = open_cpu(&out->ranks[0], &o, pool, w);
    out->count = !e;
    return e;
}

enum err devices_open(struct devices *out, struct experiment *x, const struct checkpoint *kept,
                      struct pool *pool, struct why *w)
{
    out->count = 0;
    if (kept && x->train.precision == PRECISION_AUTO) x->train.precision = kept->precision;
    enum err e = wants_gpu(x->machine.device)
                     ? open_gpus(out, x, w)
                     : open_host(out, x, kept && kept->kernels[0] ? kept->kernels : NULL, pool, w);
    if (!e) x->train.precision = device_precision(&out->ranks[0]);
    return e;
}

bool devices_deal(const struct experiment *x, size_t i, char out[16])
{
    if (!wants_gpu(x->machine.device)) return false;
    const uint32_t named = x->machine.gpus_count, count = named ? named : count_gpus();
    if (count < 2) return false;
    const uint32_t turn = (uint32_t)(i % count);
    snprintf(out, 16, "cuda:%u", (unsigned)(named ? x->machine.gpus[turn] : turn));
    return true;
}

void devices_close(struct devices *d)
{
    while (d->count > 0) device_close(&d->ranks[--d->count]);
}

size_t devices_gpus(const struct devices *d) { return d->ranks[0].host ? 0 : d->count; }

const char *device_describe(const struct backend *b)
{
    return (b->host ? cpu_describe : describe_gpu)(b);
}

const char *device_choice(const struct backend *b)
{
    const char *text = b->host ? cpu_choice(b) : "";
    return text[0] ? text : NULL;
}

double device_peak(const struct backend *b) { return (b->host ? cpu_peak : peak_gpu)(b); }

double device_memory_peak(const struct backend *b) { return b->host ? 0 : memory_peak_gpu(b); }
