/* bench_ops.c -- each operation on operands larger than any cache, called repeatedly. */
#include "bin/bench_ops.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "outer/outer.h"

#define DIM        ((size_t)2048) /* the 1b preset's */
#define FFN        ((size_t)5632)
#define VOCAB      ((size_t)32000)
#define CALLS_S    0.2 /* minimum measured time */
#define CALLS_MAX  ((size_t)1 << 20)
#define BLOCK      ((size_t)1 << 20) /* bytes of random numbers made at a time */
#define LEASES_MAX 16
/* Flops of attention's backward relative to forward: five products instead of two. */
#define BACKWARD 2.5

struct bench {
    const struct backend *b;
    size_t room; /* bytes of an operation's operands */
    size_t length;
    size_t act; /* bytes of an activation */
    struct bench_op *out;
    size_t count;
    void *leases[LEASES_MAX];
    size_t lease_bytes[LEASES_MAX], lease_count;
    enum err err; /* the first one; later operations are skipped */
    struct why *why;
};

/* Calls one operation; `op` is its struct. */
typedef void call(const struct backend *b, const void *op);

static void release(struct bench *k)
{
    while (k->lease_count) {
        k->lease_count--;
        k->b->free(k->b->self, k->leases[k->lease_count], k->lease_bytes[k->lease_count]);
    }
}

/* Zeroed memory of the device; NULL after a failure. */
static void *room(struct bench *k, size_t bytes)
{
    void *p = NULL;
    if (!k->err) k->err = k->b->alloc(k->b->self, bytes, &p, k->why);
    if (k->err) return NULL;
    assert(k->lease_count < LEASES_MAX);
    k->leases[k->lease_count] = p;
    k->lease_bytes[k->lease_count++] = bytes;
    return p;
}

static void upload_again_and_again(struct bench *k, void *p, size_t bytes, const void *block)
{
    for (size_t at = 0; at < bytes; at += BLOCK)
        k->b->upload(k->b->self, (char *)p + at, block, bytes - at < BLOCK ? bytes - at : BLOCK);
}

/* The same, filled with random numbers in [-1, 1): fp32, or the backend's activations. */
static void *numbers(struct bench *k, size_t n, size_t each)
{
    uint8_t *block = malloc(BLOCK);
    void *p = block ? room(k, n * each) : NULL;
    struct rng rng = rng_init(1);
    for (size_t i = 0; p && i < BLOCK / each; i++) {
        const float x = (float)((double)rng_next(&rng) * 0x1p-63 - 1.0);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        if (each == 2) bits >>= 16; /* bf16 is the upper half of an fp32 */
        memcpy(block + i * each, &bits, each);
    }
    if (p) upload_again_and_again(k, p, n * each, block);
    free(block);
    return p;
}
static float *floats(struct bench *k, size_t n) { return numbers(k, n, sizeof(float)); }
static void *activations(struct bench *k, size_t n) { return numbers(k, n, k->act); }
static void *matrix(struct bench *k, size_t n)
{
    return k->b->bf16_weights ? activations(k, n) : floats(k, n);
}

/* log(1 + n) is uniform. */
uint32_t bench_token(struct rng *rng, size_t vocab)
{
    const double x = exp(rng_unit(rng) * log((double)vocab + 1)) - 1;
    return x < (double)(vocab - 1) ? (uint32_t)x : (uint32_t)(vocab - 1);
}

static uint32_t *tokens(struct bench *k, size_t n)
{
    uint32_t *block = malloc(BLOCK), *p = block ? room(k, n * sizeof *block) : NULL;
    struct rng rng = rng_init(2);
    for (size_t i = 0; p && i < BLOCK / sizeof *block; i++) block[i] = bench_token(&rng, VOCAB);
    if (p) upload_again_and_again(k, p, n * sizeof *block, block);
    free(block);
    return p;
}

/* Waits until everything queued is done. */
static void wait(struct bench *k)
{
    char byte;
    if (!k->err && k->lease_count)
        k->err = k->b->download(k->b->self, &byte, k->leases[0], 1, k->why);
}

static void timed(struct bench *k, const char *name, size_t head_dim, double bytes, double flops,
                  call *one, const void *op)
{
    double took = 0;
    size_t calls = 1;
    if (k->err) return;
    one(k->b, op);
    wait(k);
    while (!k->err) {
        const instant began = clock_now();
        for (size_t i = 0; i < calls; i++) one(k->b, op);
        wait(k);
        took = span_in_s(instant_since(clock_now(), began));
        if (took >= CALLS_S || calls >= CALLS_MAX) break;
        calls *= took < CALLS_S / 16 ? 8 : 2;
    }
    if (k->err) return;
    assert(k->count < BENCH_OPS_MAX);
    k->out[k->count++] = (struct bench_op){name,  head_dim, took / (double)calls,
                                           bytes, flops,    !strncmp(name, "outer", 5)};
}

#define CALL(op)                                                                                   \
    static void op##_call(const struct backend *b, const void *o) { b->op(b->self, o); }
CALL(embed)
CALL(embed_backward)
CALL(norm)
CALL(norm_backward)
CALL(rotary)
CALL(attention)
CALL(attention_backward)
CALL(swiglu)
CALL(swiglu_backward)
CALL(linear)
CALL(linear_input)
CALL(linear_weight)
CALL(cross_entropy)
CALL(adamw)
CALL(round)

/* Number of rows whose operands fill the memory, at `width` bytes per row. */
static size_t rows_of(const struct bench *k, size_t width)
{
    return k->room / width ? k->room / width : 1;
}

static void embedding(struct bench *k)
{
    const size_t rows = rows_of(k, DIM * (sizeof(float) + k->act));
    const double bytes = (double)(rows * DIM);
    void *table = matrix(k, VOCAB * DIM);
    float *table_grad = floats(k, VOCAB * DIM);
    uint32_t *ids = tokens(k, rows);
    void *x = activations(k, rows * DIM);
    timed(k, "embed", 0, 2 * bytes * (double)k->act, 0, embed_call,
          &(struct op_embed){x, table, ids, rows, DIM});
    timed(k, "embed_backward", 0, bytes * (double)(2 * sizeof(float) + k->act), 0,
          embed_backward_call, &(struct op_embed_backward){table_grad, x, ids, rows, DIM});
    release(k);
}

static void norms(struct bench *k)
{
    const size_t rows = rows_of(k, 4 * DIM * k->act);
    const double bytes = (double)(4 * rows * DIM * k->act);
    void *x = activations(k, rows * DIM), *add = activations(k, rows * DIM);
    void *sum = activations(k, rows * DIM), *out = activations(k, rows * DIM);
    float *gain = floats(k, DIM), *gain_grad = floats(k, DIM), *inverse = floats(k, rows);
    timed(k, "norm", 0, bytes, 0, norm_call,
          &(struct op_norm){sum, out, inverse, x, add, gain, rows, DIM, 1e-5f});
    timed(k, "norm_backward", 0, bytes * 5 / 4, 0, norm_backward_call,
          &(struct op_norm_backward){x, add, true, gain_grad, out, sum, inverse, gain, rows, DIM});
    release(k);
}

/* Queries and keys are rotated; values lie between them. */
static void rotary(struct bench *k)
{
    const size_t d = 64, heads = DIM / d, rows = rows_of(k, 3 * DIM * k->act);
    void *qkv = activations(k, rows * 3 * DIM);
    float *cosine = floats(k, k->length * d / 2), *sine = floats(k, k->length * d / 2);
    timed(k, "rotary", 0, (double)(2 * rows * 2 * DIM * k->act), 0, rotary_call,
          &(struct op_rotary){qkv, rows, k->length, 0, 2 * heads, d, 3 * DIM, cosine, sine, false});
    release(k);
}

static void attention(struct bench *k, size_t d)
{
    const size_t heads = DIM / d, sequences = rows_of(k, 3 * DIM * k->act * k->length);
    const size_t rows = sequences * k->length;
    const double flops =
        4.0 * (double)k->length * (double)k->length / 2 * (double)(sequences * DIM);
    if (!k->err)
        k->err = k->b->prepare(
            k->b->self, &(struct op_sizes){rows, DIM, heads, heads, d, 0, 0, k->length}, k->why);
    void *qkv = activations(k, rows * 3 * DIM), *qkv_grad = activations(k, rows * 3 * DIM);
    void *out = activations(k, rows * DIM), *out_grad = activations(k, rows * DIM);
    float *logsum = floats(k, rows * heads);
    timed(k, "attention", d, 0, flops, attention_call,
          &(struct op_attention){out, logsum, qkv, sequences, k->length, heads, heads, d});
    timed(k, "attention_backward", d, 0, BACKWARD * flops, attention_backward_call,
          &(struct op_attention_backward){qkv_grad, out_grad, out, qkv, logsum, sequences,
                                          k->length, heads, heads, d});
    release(k);
}

static void swiglu(struct bench *k)
{
    const size_t rows = rows_of(k, 6 * FFN * k->act);
    void *gate_up = activations(k, rows * 2 * FFN), *gate_up_grad = activations(k, rows * 2 * FFN);
    void *out = activations(k, rows * FFN), *out_grad = activations(k, rows * FFN);
    timed(k, "swiglu", 0, (double)(3 * rows * FFN * k->act), 0, swiglu_call,
          &(struct op_swiglu){out, gate_up, rows, FFN});
    timed(k, "swiglu_backward", 0, (double)(6 * rows * FFN * k->act), 0, swiglu_backward_call,
          &(struct op_swiglu_backward){out, gate_up_grad, out_grad, gate_up, rows, FFN});
    release(k);
}

/* The products of the ffn's first layer, narrower where the weights would fill more than half of
 * the memory: 1 MiB, the least that --ops takes, has room for 64 columns. */
static void linear(struct bench *k)
{
    const size_t widest = k->room / (2 * sizeof(float) * DIM);
    const size_t width = widest < 2 * FFN ? widest : 2 * FFN;
    const size_t rows = rows_of(k, (DIM + width) * k->act);
    const double flops = 2.0 * (double)rows * (double)(DIM * width);
    void *w = matrix(k, width * DIM);
    float *w_grad = floats(k, width * DIM);
    void *x = activations(k, rows * DIM), *y = activations(k, rows * width);
    timed(k, "linear", 0, 0, flops, linear_call, &(struct op_linear){y, x, w, rows, DIM, width});
    timed(k, "linear_input", 0, 0, flops, linear_input_call,
          &(struct op_linear_input){x, y, w, rows, DIM, width});
    timed(k, "linear_weight", 0, 0, flops, linear_weight_call,
          &(struct op_linear_weight){w_grad, true, y, x, rows, DIM, width});
    release(k);
}

static void cross_entropy(struct bench *k)
{
    const size_t rows = rows_of(k, VOCAB * k->act);
    float *loss = floats(k, rows);
    void *logits = activations(k, rows * VOCAB);
    uint32_t *targets = tokens(k, rows);
    timed(k, "cross_entropy", 0, (double)(2 * rows * VOCAB * k->act), 0, cross_entropy_call,
          &(struct op_cross_entropy){loss, logits, targets, rows, VOCAB, true, 1.0f});
    release(k);
}

struct sum {
    struct bench *k;
    const float *x;
    size_t count;
};
static void sum_call(const struct backend *b, const void *o)
{
    const struct sum *s = o;
    double out;
    enum err e = b->sum(b->self, s->x, s->count, &out, s->k->why);
    if (!s->k->err) s->k->err = e;
}
static void norm2_call(const struct backend *b, const void *o)
{
    const struct sum *s = o;
    double out;
    enum err e = b->norm2(b->self, s->x, s->count, &out, s->k->why);
    if (!s->k->err) s->k->err = e;
}

/* Operations on a model's vectors, and the bf16 copies of its matrices. */
static void vectors(struct bench *k)
{
    const size_t n = rows_of(k, 4 * sizeof(float));
    const bool copied = k->b->bf16_weights;
    float *p = floats(k, n), *m = floats(k, n), *v = room(k, n * sizeof(float)), *g = floats(k, n);
    void *weights = copied ? activations(k, n) : NULL;
    const struct op_adamw adamw = {.parameters = p,
                                   .moment1 = m,
                                   .moment2 = v,
                                   .gradient = g,
                                   .bf16_weights = weights,
                                   .count = n,
                                   .decayed_count = n,
                                   .lr = 1e-4f,
                                   .beta1 = 0.9f,
                                   .beta2 = 0.95f,
                                   .eps = 1e-8f,
                                   .decay = 0.1f,
                                   .gradient_scale = 1,
                                   .correction1 = 0.1f,
                                   .correction2 = 0.05f};
    timed(k, "adamw", 0, (28.0 + (copied ? 2.0 : 0.0)) * (double)n, 0, adamw_call, &adamw);
    if (copied)
        timed(k, "round", 0, 6.0 * (double)n, 0, round_call, &(struct op_round){weights, p, n});
    timed(k, "sum", 0, 4.0 * (double)n, 0, sum_call, &(struct sum){k, g, n});
    timed(k, "norm2", 0, 4.0 * (double)n, 0, norm2_call, &(struct sum){k, g, n});
    release(k);
}

struct outer {
    struct bench *k;
    struct op_outer_quantize quantize;
    struct op_outer_step step;
};
static void outer_quantize_call(const struct backend *b, const void *o)
{
    const struct outer *u = o;
    bool finite;
    enum err e = b->outer_quantize(b->self, &u->quantize, &finite, u->k->why);
    if (!u->k->err) u->k->err = e;
}
static void outer_step_call(const struct backend *b, const void *o)
{
    const struct outer *u = o;
    enum err e = b->outer_step(b->self, &u->step, u->k->why);
    if (!u->k->err) u->k->err = e;
}

/* Anchor, momentum and wire bytes lie in host memory: on a GPU they are transferred between host
 * and device. */
static void outer(struct bench *k)
{
    const size_t n = rows_of(k, 4 * sizeof(float));
    const struct outer_layout l = outer_layout_of(n);
    const struct outer_rule rule = {0.7f, 0.9f, true};
    const size_t wire_bytes =
        outer_wire_offset(&l, l.chunks - 1) + outer_wire_bytes(outer_chunk_count(&l, l.chunks - 1));
    static float *host; /* kept until the program ends: a device keeps pinned memory */
    const size_t host_bytes = 4 * n * sizeof(float) + wire_bytes;
    uint8_t *flags = calloc(2, l.chunks);
    float *parameters = floats(k, n);
    host = calloc(1, host_bytes);
    if (!k->err && (!host || !flags))
        k->err = why(k->why, ERR_MEMORY, "no memory for an outer step");
    if (!k->err) {
        uint8_t *wire = (uint8_t *)(host + 4 * n), *null = flags, *mine = flags + l.chunks;
        if (k->b->pin) k->b->pin(k->b->self, host, host_bytes);
        memset(mine, 1, l.chunks);
        struct outer u = {k,
                          {&l, wire, host, parameters},
                          {.layout = &l,
                           .rule = &rule,
                           .anchor = host,
                           .momentum = host + n,
                           .anchor_out = host + 2 * n,
                           .momentum_out = host + 3 * n,
                           .means = wire,
                           .null = null,
                           .mine = mine,
                           .parameters = parameters}};
        timed(k, "outer_quantize", 0, 5.0 * (double)n, 0, outer_quantize_call, &u);
        timed(k, "outer_step", 0, 17.0 * (double)n, 0, outer_step_call, &u);
    }
    release(k);
    free(flags);
}

enum err bench_ops(const struct backend *b, size_t mebibytes, size_t length,
                   struct bench_op out[BENCH_OPS_MAX], size_t *count, struct why *w)
{
    struct bench k = {.b = b,
                      .room = mebibytes << 20,
                      .length = length,
                      .act = b->activation_bytes,
                      .out = out,
                      .why = w};
    const size_t rows_most = rows_of(&k, DIM * k.act);
    k.err = b->prepare(
        b->self, &(struct op_sizes){rows_most, DIM, DIM / 64, DIM / 64, 64, FFN, VOCAB, length}, w);
    embedding(&k);
    norms(&k);
    rotary(&k);
    attention(&k, 64);
    attention(&k, 128);
    swiglu(&k);
    linear(&k);
    cross_entropy(&k);
    vectors(&k);
    outer(&k);
    *count = k.count;
    return k.err ? why_while(w, k.err, "timing operations") : ERR_OK;
}
