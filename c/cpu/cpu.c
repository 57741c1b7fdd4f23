#include "cpu/cpu.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "base/whole.h"
#include "cpu/kernels.h"
#include "cpu/ops.h"

/* bytes from which it is worth checking the available memory */
#define MEMORY_ASKED ((size_t)2 << 20)

/* Touches every page, so that a lack of memory fails here instead of killing the process later; all
 * threads do, so that pages are spread over the NUMA nodes. */
static enum err memory_alloc(void *self, size_t bytes, void **out, struct why *w)
{
    size_t rounded = align_up(bytes, BACKEND_ALIGNMENT);
    size_t available = bytes >= MEMORY_ASKED ? machine_memory_available() : SIZE_MAX;
    if (rounded > available)
        return why(
            w, ERR_MEMORY,
            "%.1f MiB of memory are needed at once, and this machine (or its container, or ulimit "
            "-v) has %.1f MiB left: take a smaller train.micro_batch or model",
            (double)bytes / 0x1p20, (double)available / 0x1p20);
    *out = ops_allocate(rounded ? rounded : BACKEND_ALIGNMENT);
    if (!*out)
        return why(w, ERR_MEMORY,
                   "the system did not give %.1f MiB of memory at once: is there a limit (ulimit "
                   "-v, vm.overcommit_memory)? Else take a smaller train.micro_batch or model",
                   (double)bytes / 0x1p20);
    ops_zero(self, *out, rounded);
    return ERR_OK;
}

static void memory_free(void *self, void *memory, size_t bytes)
{
    (void)self, (void)bytes;
    free(memory);
}

static void memory_upload(void *self, void *device, const void *host, size_t bytes)
{
    (void)self;
    memcpy(device, host, bytes);
}

static enum err memory_download(void *self, void *host, const void *device, size_t bytes,
                                struct why *w)
{
    (void)self, (void)w;
    memcpy(host, device, bytes);
    return ERR_OK;
}

double cpu_peak(const struct backend *b) { return ops_peak(b->self, machine_processors()); }

const char *cpu_describe(const struct backend *b) { return ((struct cpu *)b->self)->kernels->name; }

static enum err open_with(struct backend *out, struct pool *pool, const struct kernels *k,
                          struct why *w)
{
    struct cpu *c = calloc(1, sizeof *c);
    if (!c) return why(w, ERR_MEMORY, "no memory for the CPU backend");
    c->pool = pool;
    c->kernels = k;
    *out = (struct backend){
        .name = "cpu",
        .host = true,
        .activation_bytes = kernels_bytes(k),
        .self = c,
        .prepare = ops_prepare,
        .alloc = memory_alloc,
        .free = memory_free,
        .upload = memory_upload,
        .download = memory_download,
        .zero = ops_zero,
        .embed = ops_embed,
        .embed_backward = ops_embed_backward,
        .norm = ops_norm,
        .norm_backward = ops_norm_backward,
        .rotary = ops_rotary,
        .attention = ops_attention,
        .attention_backward = ops_attention_backward,
        .attention_cached = ops_attention_cached,
        .swiglu = ops_swiglu,
        .swiglu_backward = ops_swiglu_backward,
        .linear = ops_linear,
        .linear_input = ops_linear_input,
        .linear_weight = ops_linear_weight,
        .cross_entropy = ops_cross_entropy,
        .adamw = ops_adamw,
        .sum = ops_sum,
        .norm2 = ops_norm2,
        .outer_quantize = ops_outer_quantize,
        .outer_step = ops_outer_step,
    };
    return ERR_OK;
}

enum err cpu_open(struct backend *out, struct pool *pool, bool bf16, struct why *w)
{
    const struct kernels *k = kernels_here(bf16);
    return k ? open_with(out, pool, k, w)
             : why(w, ERR_DEVICE,
                   "this processor lacks AVX2 and FMA, which shoal needs (x86-64-v3)");
}

enum err cpu_open_as(struct backend *out, struct pool *pool, const char *kernels, bool bf16,
                     struct why *w)
{
    const struct kernels *k = kernels_named(kernels, bf16);
    return k ? open_with(out, pool, k, w) : why(w, ERR_DEVICE, "this processor lacks %s", kernels);
}

const char *cpu_choice(const struct backend *b) { return ((struct cpu *)b->self)->choice; }

void cpu_chosen(struct backend *b, const char *how)
{
    struct cpu *c = b->self;
    snprintf(c->choice, sizeof c->choice, "%s", how);
}

void cpu_close(struct backend *b)
{
    struct cpu *c = b->self;
    if (!c) return;
    ops_release(c);
    free(c);
    b->self = NULL;
}
