/* outer_step.cu -- the outer step on whole vectors: anchor, momentum and wire bytes are in host
 * memory and pass through the device chunk by chunk.
 *
 * Three streams and SLOTS chunks in flight: while one is computed the next is uploaded and the
 * previous one downloaded. The bus is the limit: each element uploads 8 to 9 bytes and downloads 8
 * (quantizing: 4 and 1), with little computation. Copies overlap if the host's memory is pinned;
 * otherwise the driver does them one by one. */
#include "ops.h"
#include "outer.h"

extern "C" {
#include "outer/outer.h"
}

#include <stdio.h>
#include <string.h>

#define SLOTS CUDA_OUTER_SLOTS

/* The device memory of one chunk in flight. */
struct slot {
    float *anchor, *momentum;
    uint8_t *wire;
};

static struct slot slot_at(const struct cuda *c, const struct outer_layout *l, uint32_t chunk)
{
    const size_t vector = l->chunk_elements * sizeof(float);
    uint8_t *at = (uint8_t *)c->outer.memory + chunk % SLOTS * (c->outer.bytes / (SLOTS + 1));
    return slot{(float *)at, (float *)(at + vector), at + 2 * vector};
}

/* The flag that something was not finite; stored after the slots. */
static uint32_t *flag_of(const struct cuda *c)
{
    return (uint32_t *)((uint8_t *)c->outer.memory + SLOTS * (c->outer.bytes / (SLOTS + 1)));
}

static enum err ready(struct cuda *c, const struct outer_layout *l, struct why *w)
{
    const size_t wire = align_up(outer_wire_bytes(l->chunk_elements), BACKEND_ALIGNMENT);
    const size_t bytes = (SLOTS + 1) * (2 * l->chunk_elements * sizeof(float) + wire);
    if (c->outer.bytes >= bytes) return ERR_OK;
    cudaFree(c->outer.memory);
    c->outer.memory = NULL;
    c->outer.bytes = 0;
    enum err e = cuda_take(c, bytes, &c->outer.memory, w);
    if (e) return why_while(w, e, "taking the memory of %d chunks for the outer step", SLOTS);
    c->outer.bytes = bytes;
    return cuda_wait(c, w); /* zeroing is done: the other streams may write */
}

static void up(struct cuda *c, void *to, const void *from, size_t bytes)
{
    cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, c->outer.in);
    cuda_launched(c, "outer upload");
}

static void down(struct cuda *c, void *to, const void *from, size_t bytes)
{
    cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, c->outer.out);
    cuda_launched(c, "outer download");
}

/* The stages of a chunk: upload once its slot is free, compute once it is uploaded, download once
 * it is computed. */
static void comes(struct cuda *c, uint32_t chunk)
{
    cudaStreamWaitEvent(c->outer.in, c->outer.gone[chunk % SLOTS], 0);
}
static void has_come(struct cuda *c, uint32_t chunk)
{
    cudaEventRecord(c->outer.come[chunk % SLOTS], c->outer.in);
    cudaStreamWaitEvent(c->stream, c->outer.come[chunk % SLOTS], 0);
}
static void is_computed(struct cuda *c, uint32_t chunk)
{
    cudaEventRecord(c->outer.computed[chunk % SLOTS], c->stream);
    cudaStreamWaitEvent(c->outer.out, c->outer.computed[chunk % SLOTS], 0);
}
static void goes(struct cuda *c, uint32_t chunk)
{
    cudaEventRecord(c->outer.gone[chunk % SLOTS], c->outer.out);
}

/* Waits for all three streams. */
static enum err finish(struct cuda *c, struct why *w)
{
    cuda_note(c, cudaStreamSynchronize(c->outer.out), "the outer step");
    return cuda_wait(c, w);
}

enum err cuda_outer_quantize(void *self, const struct op_outer_quantize *o, bool *finite,
                             struct why *w)
{
    struct cuda *c = cuda_of(self);
    const struct outer_layout *l = o->layout;
    uint32_t bad = 0;
    enum err e = ready(c, l, w);
    if (e) return e;
    cudaMemsetAsync(flag_of(c), 0, sizeof bad, c->stream);
    for (uint32_t i = 0; i < l->chunks; i++) {
        const size_t at = (size_t)i * l->chunk_elements, n = outer_chunk_count(l, i);
        const struct slot s = slot_at(c, l, i);
        comes(c, i);
        up(c, s.anchor, o->anchor + at, n * sizeof(float));
        has_come(c, i);
        cuda_outer_quantize_delta(c, s.anchor, o->parameters + at, n, s.wire, flag_of(c));
        is_computed(c, i);
        down(c, o->wire + outer_wire_offset(l, i), s.wire, outer_wire_bytes(n));
        goes(c, i);
    }
    down(c, &bad, flag_of(c), sizeof bad);
    e = finish(c, w);
    *finite = !bad;
    return e;
}

enum err cuda_outer_step(void *self, const struct op_outer_step *o, struct why *w)
{
    struct cuda *c = cuda_of(self);
    const struct outer_layout *l = o->layout;
    enum err e = ready(c, l, w);
    for (uint32_t i = 0; !e && i < l->chunks; i++) {
        const size_t at = (size_t)i * l->chunk_elements, n = outer_chunk_count(l, i);
        const struct slot s = slot_at(c, l, i);
        if (o->null[i]) {
            memcpy(o->anchor_out + at, o->anchor + at, n * sizeof(float));
            memcpy(o->momentum_out + at, o->momentum + at, n * sizeof(float));
            continue;
        }
        comes(c, i);
        up(c, s.anchor, o->anchor + at, n * sizeof(float));
        up(c, s.momentum, o->momentum + at, n * sizeof(float));
        up(c, s.wire, o->means + outer_wire_offset(l, i), outer_wire_bytes(n));
        has_come(c, i);
        cuda_outer_step_range(c, o->rule, s.anchor, s.momentum, s.wire, n, o->parameters + at,
                              o->mine[i]);
        is_computed(c, i);
        down(c, o->anchor_out + at, s.anchor, n * sizeof(float));
        down(c, o->momentum_out + at, s.momentum, n * sizeof(float));
        goes(c, i);
    }
    return e ? e : finish(c, w);
}

cudaError_t cuda_outer_open(struct cuda *c)
{
    cudaError_t e = cudaStreamCreateWithFlags(&c->outer.in, cudaStreamNonBlocking);
    if (e == cudaSuccess) e = cudaStreamCreateWithFlags(&c->outer.out, cudaStreamNonBlocking);
    cudaEvent_t *const all[] = {c->outer.come, c->outer.computed, c->outer.gone};
    for (int i = 0; e == cudaSuccess && i < 3 * SLOTS; i++)
        e = cudaEventCreateWithFlags(&all[i / SLOTS][i % SLOTS], cudaEventDisableTiming);
    return e;
}

void cuda_outer_close(struct cuda *c)
{
    cudaEvent_t *const all[] = {c->outer.come, c->outer.computed, c->outer.gone};
    for (int i = 0; i < 3 * SLOTS; i++)
        if (all[i / SLOTS][i % SLOTS]) cudaEventDestroy(all[i / SLOTS][i % SLOTS]);
    if (c->outer.in) cudaStreamDestroy(c->outer.in);
    if (c->outer.out) cudaStreamDestroy(c->outer.out);
    if (c->outer.pinned) cudaHostUnregister(c->outer.pinned);
    cudaFree(c->outer.memory);
}

void cuda_pin(void *self, void *host, size_t bytes)
{
    struct cuda *c = cuda_of(self);
    cudaError_t e = cudaHostRegister(host, bytes, cudaHostRegisterDefault);
    if (e == cudaSuccess) {
        c->outer.pinned = host;
        return;
    }
    (void)cudaGetLastError(); /* reported; the next launch must not report it again */
    fprintf(stderr,
            "shoal: %.1f MiB of the outer step's memory could not be pinned (%s): its copies to "
            "and from the GPU are slower\n",
            (double)bytes / 0x1p20, cudaGetErrorString(e));
}
