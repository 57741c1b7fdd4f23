/* attention.cu -- causal attention with grouped query heads, forward and backward without atomics;
 * sums in fp32.
 *
 *     s = q k / sqrt(d)     p = exp(s - L), L = log(sum exp(s))     out = sum p v
 *     with D = dot(out_grad, out):  ds = p (dot(out_grad, v) - D) / sqrt(d)
 *     q_grad = sum over keys of ds k     k_grad = sum over queries of ds q
 *     v_grad = sum over queries of p out_grad
 *
 * One warp per query, in backward also one per key: 32 scores at a time, one per lane, with an
 * online softmax (FlashAttention-2, arXiv 2307.08691); then each lane accumulates its part of the
 * 32 vectors. Memory is linear in the length. The plain version, for fp32 and for values of
 * head_dim that attention_bf16.cu does not support; and the tests' reference. */
#include <assert.h>

#include "ops.h"
#include "ptx.h"
#include "tensor.h"

#define WARPS        4
#define THREADS      (WARPS * WARP)
#define HEAD_DIM_MAX 256
#define PARTS        (HEAD_DIM_MAX / WARP) /* elements of a head per lane */

/* Rows of one kind: that of (sequence, row, head) starts at data[(sequence * rows + row) * stride +
 * head * d]. */
template <class T> struct heads {
    const T *data;
    size_t stride;
};

struct shape {
    size_t sequences, rows, heads, kv_heads, head_dim;
    size_t past; /* keys before that of the first row */
    float scale;
};

template <class T>
__device__ __forceinline__ const T *head_at(struct heads<T> h, const struct shape &s,
                                            size_t sequence, size_t row, size_t head)
{
    return h.data + (sequence * (s.past + s.rows) + row) * h.stride + head * s.head_dim;
}

template <class T> __device__ __forceinline__ float dot(const float *a, const T *b, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * float_of(b[i]);
    return sum;
}

/* Copies a vector to shared memory of this warp. */
template <class T> __device__ __forceinline__ void keep(float *to, const T *from, size_t n)
{
    for (size_t i = threadIdx.x % WARP; i < n; i += WARP) to[i] = float_of(from[i]);
    __syncwarp();
}

/* parts += factor of lane j * row j, for the first `count` of 32 lanes. */
template <class T>
__device__ __forceinline__ void add_rows(float parts[PARTS], float factor, const T *row,
                                         size_t stride, size_t count, size_t n)
{
    for (size_t j = 0; j < WARP; j++) {
        const float f = __shfl_sync(LANES, factor, (int)j);
        if (j >= count) continue;
        for (size_t i = 0; i < PARTS; i++) {
            const size_t d = i * WARP + threadIdx.x % WARP;
            if (d < n) parts[i] += f * float_of(row[j * stride + d]);
        }
    }
}

template <class T>
__device__ __forceinline__ void store_parts(T *to, const float parts[PARTS], float factor, size_t n)
{
    for (size_t i = 0; i < PARTS; i++) {
        const size_t d = i * WARP + threadIdx.x % WARP;
        if (d < n) to[d] = number_of<T>(parts[i] * factor);
    }
}

/* The (sequence, head, row) of warp `n` of the grid. */
struct place {
    size_t sequence, head, row;
};
__device__ __forceinline__ struct place place_of(size_t n, size_t heads, size_t rows)
{
    return {n / rows / heads, n / rows % heads, n % rows};
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    attention_queries(T *out, float *logsum, struct heads<T> queries, struct heads<T> keys,
                      struct heads<T> values, struct shape s)
{
    __shared__ float kept[WARPS][HEAD_DIM_MAX];
    const size_t n = (size_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (n >= s.sequences * s.heads * s.rows) return; /* whole warps */
    const struct place at = place_of(n, s.heads, s.rows);
    const size_t lane = threadIdx.x % WARP, shared_head = at.head / (s.heads / s.kv_heads);
    const size_t seen = s.past + at.row + 1, query_row = at.sequence * s.rows + at.row;
    float *query = kept[threadIdx.x / WARP], parts[PARTS] = {}, top = -INFINITY, total = 0;
    keep(query, queries.data + query_row * queries.stride + at.head * s.head_dim, s.head_dim);
    for (size_t first = 0; first < seen; first += WARP) {
        const bool valid = first + lane < seen;
        const T *key = head_at(keys, s, at.sequence, first + lane, shared_head);
        const float score = valid ? dot(query, key, s.head_dim) * s.scale : -INFINITY;
        const float higher = fmaxf(top, warp_max(score)), shrink = expf(top - higher);
        const float p = valid ? expf(score - higher) : 0.0f;
        total = total * shrink + warp_sum(p);
        for (size_t i = 0; i < PARTS; i++) parts[i] *= shrink;
        add_rows(parts, p, head_at(values, s, at.sequence, first, shared_head), values.stride,
                 seen - first, s.head_dim);
        top = higher;
    }
    store_parts(out + (query_row * s.heads + at.head) * s.head_dim, parts, 1.0f / total,
                s.head_dim);
    if (logsum && lane == 0) logsum[n] = top + logf(total);
}

/* delta[sequence, head, row] = dot(out_grad, out) */
template <class T>
__global__ void __launch_bounds__(THREADS)
    attention_delta(float *delta, const T *out_grad, const T *out, struct shape s)
{
    const size_t n = (size_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (n >= s.sequences * s.heads * s.rows) return;
    const struct place at = place_of(n, s.heads, s.rows);
    const size_t from = ((at.sequence * s.rows + at.row) * s.heads + at.head) * s.head_dim;
    float sum = 0;
    for (size_t i = threadIdx.x % WARP; i < s.head_dim; i += WARP)
        sum += float_of(out_grad[from + i]) * float_of(out[from + i]);
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) delta[n] = sum;
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    attention_queries_backward(T *queries_grad, const T *out_grad, const float *logsum,
                               const float *delta, struct heads<T> queries, struct heads<T> keys,
                               struct heads<T> values, struct shape s)
{
    __shared__ float kept[WARPS][2][HEAD_DIM_MAX];
    const size_t n = (size_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (n >= s.sequences * s.heads * s.rows) return;
    const struct place at = place_of(n, s.heads, s.rows);
    const size_t lane = threadIdx.x % WARP, shared_head = at.head / (s.heads / s.kv_heads);
    const size_t seen = at.row + 1, row = at.sequence * s.rows + at.row;
    float *query = kept[threadIdx.x / WARP][0], *grad = kept[threadIdx.x / WARP][1];
    float parts[PARTS] = {};
    keep(query, head_at(queries, s, at.sequence, at.row, at.head), s.head_dim);
    keep(grad, out_grad + (row * s.heads + at.head) * s.head_dim, s.head_dim);
    for (size_t first = 0; first < seen; first += WARP) {
        float ds = 0;
        if (first + lane < seen) {
            const T *key = head_at(keys, s, at.sequence, first + lane, shared_head);
            const T *value = head_at(values, s, at.sequence, first + lane, shared_head);
            const float p = expf(dot(query, key, s.head_dim) * s.scale - logsum[n]);
            ds = p * (dot(grad, value, s.head_dim) - delta[n]);
        }
        add_rows(parts, ds, head_at(keys, s, at.sequence, first, shared_head), keys.stride,
                 seen - first, s.head_dim);
    }
    store_parts(queries_grad + row * queries.stride + at.head * s.head_dim, parts, s.scale,
                s.head_dim);
}

/* One warp per key: sums over the queries of all heads that share it, head by head. Without the
 * hint of 4 blocks per SM the compiler limits itself to 64 registers and spills
 * (test/cuda/gate.py). */
template <class T>
__global__ void __launch_bounds__(THREADS, 4)
    attention_keys_backward(T *keys_grad, T *values_grad, const T *out_grad, const float *logsum,
                            const float *delta, struct heads<T> queries, struct heads<T> keys,
                            struct heads<T> values, struct shape s)
{
    __shared__ float kept[WARPS][2][HEAD_DIM_MAX];
    const size_t n = (size_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (n >= s.sequences * s.kv_heads * s.rows) return;
    const struct place at = place_of(n, s.kv_heads, s.rows);
    const size_t lane = threadIdx.x % WARP, group = s.heads / s.kv_heads;
    float *key = kept[threadIdx.x / WARP][0], *value = kept[threadIdx.x / WARP][1];
    float key_parts[PARTS] = {}, value_parts[PARTS] = {};
    keep(key, head_at(keys, s, at.sequence, at.row, at.head), s.head_dim);
    keep(value, head_at(values, s, at.sequence, at.row, at.head), s.head_dim);
    for (size_t head = at.head * group; head < (at.head + 1) * group; head++) {
        const size_t sums = (at.sequence * s.heads + head) * s.rows;
        for (size_t first = at.row; first < s.rows; first += WARP) {
            const T *query = head_at(queries, s, at.sequence, first, head);
            const T *grad =
                out_grad + ((at.sequence * s.rows + first) * s.heads + head) * s.head_dim;
            float p = 0, ds = 0;
            if (first + lane < s.rows) {
                const float score = dot(key, query + lane * queries.stride, s.head_dim) * s.scale;
                p = expf(score - logsum[sums + first + lane]);
                ds = p * (dot(value, grad + lane * s.heads * s.head_dim, s.head_dim) -
                          delta[sums + first + lane]);
            }
            add_rows(key_parts, ds, query, queries.stride, s.rows - first, s.head_dim);
            add_rows(value_parts, p, grad, s.heads * s.head_dim, s.rows - first, s.head_dim);
        }
    }
    const size_t to = (at.sequence * s.rows + at.row) * keys.stride + at.head * s.head_dim;
    store_parts(keys_grad + to, key_parts, s.scale, s.head_dim);
    store_parts(values_grad + to, value_parts, 1.0f, s.head_dim);
}

/* Appends the keys and values of new rows to the cache. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    attention_append(T *keys, T *values, const T *qkv, size_t count, size_t width,
                     size_t queries_width)
{
    const size_t n = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (n >= count) return;
    const T *row = qkv + n / width * (queries_width + 2 * width) + queries_width;
    keys[n] = row[n % width];
    values[n] = row[width + n % width];
}

static dim3 grid_of(size_t warps) { return dim3((warps + WARPS - 1) / WARPS); }

static float scale_of(size_t head_dim) { return 1.0f / sqrtf((float)head_dim); }

template <class T> static void attention(struct cuda *c, const struct op_attention *o)
{
    const size_t d = o->head_dim, stride = (o->heads + 2 * o->kv_heads) * d;
    const T *qkv = (const T *)o->qkv;
    const struct shape s = {o->sequences, o->length, o->heads, o->kv_heads, d, 0, scale_of(d)};
    LAUNCH(attention_queries<T>, grid_of(o->sequences * o->heads * o->length), dim3(THREADS), 0,
           c->stream, (T *)o->out, o->logsum, heads<T>{qkv, stride},
           heads<T>{qkv + o->heads * d, stride},
           heads<T>{qkv + (o->heads + o->kv_heads) * d, stride}, s);
}

template <class T>
static void attention_backward(struct cuda *c, const struct op_attention_backward *o)
{
    const size_t d = o->head_dim, stride = (o->heads + 2 * o->kv_heads) * d;
    const size_t queries = o->sequences * o->heads * o->length;
    const size_t keys_at = o->heads * d, values_at = keys_at + o->kv_heads * d;
    const T *qkv = (const T *)o->qkv, *out_grad = (const T *)o->out_grad;
    const heads<T> q = {qkv, stride}, k = {qkv + keys_at, stride}, v = {qkv + values_at, stride};
    T *grad = (T *)o->qkv_grad;
    const struct shape s = {o->sequences, o->length, o->heads, o->kv_heads, d, 0, scale_of(d)};
    LAUNCH(attention_delta<T>, grid_of(queries), dim3(THREADS), 0, c->stream, c->delta, out_grad,
           (const T *)o->out, s);
    LAUNCH(attention_queries_backward<T>, grid_of(queries), dim3(THREADS), 0, c->stream, grad,
           out_grad, o->logsum, c->delta, q, k, v, s);
    LAUNCH(attention_keys_backward<T>, grid_of(o->sequences * o->kv_heads * o->length),
           dim3(THREADS), 0, c->stream, grad + keys_at, grad + values_at, out_grad, o->logsum,
           c->delta, q, k, v, s);
}

template <class T> static void attention_cached(struct cuda *c, const struct op_attention_cached *o)
{
    const size_t d = o->head_dim, width = o->kv_heads * d, count = o->rows * width;
    T *keys = (T *)o->keys, *values = (T *)o->values;
    const T *qkv = (const T *)o->qkv;
    const struct shape s = {1, o->rows, o->heads, o->kv_heads, d, o->past, scale_of(d)};
    LAUNCH(attention_append<T>, dim3((count + THREADS - 1) / THREADS), dim3(THREADS), 0, c->stream,
           keys + o->past * width, values + o->past * width, qkv, count, width, o->heads * d);
    LAUNCH(attention_queries<T>, grid_of(o->heads * o->rows), dim3(THREADS), 0, c->stream,
           (T *)o->out, (float *)nullptr, heads<T>{qkv, o->heads * d + 2 * width},
           heads<T>{keys, width}, heads<T>{values, width}, s);
}

/* Do the kernels for tensor cores support this? */
static bool has_tensor_version(const struct cuda *c, size_t head_dim)
{
    return c->bf16 && (head_dim == 32 || head_dim == 64 || head_dim == 128);
}

void cuda_attention(void *self, const struct op_attention *o)
{
    struct cuda *c = cuda_of(self);
    assert(o->head_dim <= HEAD_DIM_MAX);
    if (has_tensor_version(c, o->head_dim)) cuda_attention_bf16(c, o);
    else c->bf16 ? attention<struct bf16>(c, o) : attention<float>(c, o);
    cuda_launched(c, "attention");
}

void cuda_attention_backward(void *self, const struct op_attention_backward *o)
{
    struct cuda *c = cuda_of(self);
    assert(o->head_dim <= HEAD_DIM_MAX);
    if (has_tensor_version(c, o->head_dim)) cuda_attention_bf16_backward(c, o);
    else c->bf16 ? attention_backward<struct bf16>(c, o) : attention_backward<float>(c, o);
    cuda_launched(c, "attention_backward");
}

void cuda_attention_cached(void *self, const struct op_attention_cached *o)
{
    struct cuda *c = cuda_of(self);
    assert(o->head_dim <= HEAD_DIM_MAX);
    c->bf16 ? attention_cached<struct bf16>(c, o) : attention_cached<float>(c, o);
    cuda_launched(c, "attention_cached");
}
