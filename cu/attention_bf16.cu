/* attention_bf16.cu -- causal attention with grouped query heads on tensor cores, forward and
 * backward without atomics.
 *
 *     s = q k / sqrt(d)     p = exp(s - L), L = log(sum exp(s))     out = sum p v
 *     with D = dot(out_grad, out):  ds = p (dot(out_grad, v) - D)
 *     q_grad = sum over keys of ds k / sqrt(d)     k_grad = sum over queries of ds q / sqrt(d)
 *     v_grad = sum over queries of p out_grad
 *
 * FlashAttention-2 (arXiv 2307.08691): activations in bf16, sums in fp32, p and ds in bf16 for the
 * second product. A block of four warps owns 64 rows, each warp 16 of them: queries forward and for
 * q_grad, keys for k_grad and v_grad. The other rows stream through shared memory in tiles,
 * prefetched one ahead by asynchronous copies. A warp's products of its rows with a tile stay in
 * registers, where they already have the layout of the next product's left operand. Gradients of
 * keys are summed over the queries of all heads that share them, head by head: no atomics, always
 * the same bits. Memory is linear in the length.
 *
 * Tiles entirely beyond the diagonal are skipped, and blocks with the most work come first. exp is
 * computed as exp2, with log2(e) in the scale. Rows in shared memory are padded by 16 bytes, so
 * that the eight rows of an ldmatrix fall into different banks. Roofline, 64 rows per block: 64
 * flops per byte of keys and values, mostly from L2. Not tried: 32 rows per warp, which halves the
 * reads of shared memory; wgmma (sm_90). */
#include "ops.h"
#include "ptx.h"

#include <assert.h>

#define WARPS   4
#define THREADS (WARPS * WARP)
#define OWN     (WARPS * 16) /* rows of a block */
#define LOG2_E  1.44269504f

template <int D, int ROWS> struct tile {
    alignas(16) struct bf16 at[ROWS][D + 8];
};

/* The rows of one head in one sequence, D elements each. */
struct rows {
    const struct bf16 *data;
    size_t stride;
};

struct shape {
    size_t sequences, heads, kv_heads;
    int length;
    float scale; /* 1 / sqrt(d) */
};

struct pass { /* arguments of the kernels */
    const struct bf16 *qkv, *out_grad;
    const float *logsum, *delta; /* [sequences, heads, length] */
    struct bf16 *out, *qkv_grad;
    float *logsum_out;
    struct shape s;
};

/* The work of a block: `first` is the first of its OWN rows. */
struct place {
    size_t sequence, head;
    int first;
};

static size_t tiles_of(size_t length) { return (length + OWN - 1) / OWN; }

/* Elements from row to row of qkv, and to the keys and values in it. */
template <int D> __device__ __forceinline__ size_t qkv_stride(const struct shape &s)
{
    return (s.heads + 2 * s.kv_heads) * D;
}
template <int D>
__device__ __forceinline__ struct rows qkv_rows(const struct pass &p, size_t sequence, size_t head)
{
    const size_t stride = qkv_stride<D>(p.s);
    return {p.qkv + sequence * p.s.length * stride + head * D, stride};
}
template <int D>
__device__ __forceinline__ struct rows out_grad_rows(const struct pass &p, size_t sequence,
                                                     size_t head)
{
    const size_t stride = p.s.heads * D;
    return {p.out_grad + sequence * p.s.length * stride + head * D, stride};
}

/* A thread's part in copying tiles of rows: chunks of eight elements. */
template <int D> struct reader {
    static constexpr int chunks = D / 8, rows_between = THREADS / chunks;
    const struct bf16 *at; /* the first chunk */
    size_t stride;
    int rows; /* from there to the sequence's end; may be negative */
};

template <int D>
__device__ __forceinline__ reader<D> reader_at(struct rows from, int first, int length)
{
    const int row = first + threadIdx.x / reader<D>::chunks;
    return {from.data + row * from.stride + threadIdx.x % reader<D>::chunks * 8, from.stride,
            length - row};
}

/* Starts copying the next ROWS rows, with zeros beyond the end, which is not read. */
template <int D, int ROWS>
__device__ __forceinline__ void read_tile(tile<D, ROWS> *to, reader<D> *r)
{
    const int down = threadIdx.x / r->chunks, along = threadIdx.x % r->chunks * 8;
#pragma unroll
    for (int i = 0; i < ROWS; i += r->rows_between)
        copy_async(&to->at[down + i][along], r->at + i * r->stride, i < r->rows ? 16 : 0);
    r->at += ROWS * r->stride;
    r->rows -= ROWS;
}

template <int D, int ROWS>
__device__ __forceinline__ void read_own(tile<D, ROWS> *to, struct rows from, int first, int length)
{
    reader<D> r = reader_at<D>(from, first, length);
    read_tile(to, &r);
}

/* Elements [k, k + 16) of this warp's 16 rows, as a left operand. */
template <int D>
__device__ __forceinline__ void own_fragment(uint32_t r[4], const tile<D, OWN> &own, int k)
{
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    ldmatrix(r, &own.at[warp * 16 + lane % 16][k + lane / 16 * 8]);
}

/* s = own rows x the rows of a tile; `own(k, r)` gives the fragments of the former. */
template <int D, int ROWS, class OWN_FRAGMENT>
__device__ __forceinline__ void multiply(float s[ROWS / 8][4], const OWN_FRAGMENT &own,
                                         const tile<D, ROWS> &other)
{
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int j = 0; j < ROWS / 8; j++)
        for (int i = 0; i < 4; i++) s[j][i] = 0;
#pragma unroll
    for (int k = 0; k < D; k += 16) {
        uint32_t a[4], b[4];
        own(k, a);
#pragma unroll
        for (int j = 0; j < ROWS; j += 16) {
            ldmatrix(b, &other.at[j + lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 8]);
            mma(s[j / 8], a, b);
            mma(s[j / 8 + 1], a, b + 2);
        }
    }
}

/* sum += p x tile: every own row accumulates the tile's rows, weighted by p. */
template <int D, int ROWS>
__device__ __forceinline__ void add_rows(float sum[D / 8][4], const float p[ROWS / 8][4],
                                         const tile<D, ROWS> &other)
{
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int k = 0; k < ROWS; k += 16) {
        const float *low = p[k / 8], *high = p[k / 8 + 1];
        const uint32_t a[4] = {bf16_pair(low[0], low[1]), bf16_pair(low[2], low[3]),
                               bf16_pair(high[0], high[1]), bf16_pair(high[2], high[3])};
        uint32_t b[4];
#pragma unroll
        for (int j = 0; j < D; j += 16) {
            ldmatrix_transposed(b, &other.at[k + lane % 16][j + lane / 16 * 8]);
            mma(sum[j / 8], a, b);
            mma(sum[j / 8 + 1], a, b + 2);
        }
    }
}

/* Own rows are queries, the tile's are keys, the first of them `ahead` of this warp's first query:
 * masks later keys. */
template <int ROWS> __device__ __forceinline__ void hide_later_keys(float s[ROWS / 8][4], int ahead)
{
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int j = 0; j < ROWS / 8; j++)
        for (int i = 0; i < 4; i++)
            if (ahead + j * 8 + lane % 4 * 2 + i % 2 > lane / 4 + i / 2 * 8) s[j][i] = -INFINITY;
}

/* Own rows are keys, the tile's are queries. */
template <int ROWS>
__device__ __forceinline__ void hide_earlier_queries(float s[ROWS / 8][4], int ahead)
{
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int j = 0; j < ROWS / 8; j++)
        for (int i = 0; i < 4; i++)
            if (ahead + j * 8 + lane % 4 * 2 + i % 2 < lane / 4 + i / 2 * 8) s[j][i] = -INFINITY;
}

/* The maximum over the four lanes that share a row of a fragment. */
__device__ __forceinline__ float row_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(LANES, x, 1));
    return fmaxf(x, __shfl_xor_sync(LANES, x, 2));
}
__device__ __forceinline__ float row_sum(float x)
{
    x += __shfl_xor_sync(LANES, x, 1);
    return x + __shfl_xor_sync(LANES, x, 2);
}

/* Writes this warp's rows, starting at row `first` of the sequence; rows g and g + 8 have their own
 * factors. */
template <int D>
__device__ __forceinline__ void store_rows(struct bf16 *to, size_t stride, int first, int length,
                                           const float x[D / 8][4], const float factor[2])
{
    const int lane = threadIdx.x % WARP;
    for (int half = 0; half < 2; half++) {
        const int row = first + lane / 4 + half * 8;
        if (row >= length) continue;
#pragma unroll
        for (int j = 0; j < D / 8; j++)
            *(uint32_t *)(to + row * stride + j * 8 + lane % 4 * 2) =
                bf16_pair(x[j][half * 2] * factor[half], x[j][half * 2 + 1] * factor[half]);
    }
}

/* Queries: later ones see more keys and are scheduled first. */
__device__ __forceinline__ struct place queries_place(const struct shape &s)
{
    const size_t parts = s.sequences * s.heads, part = blockIdx.x % parts;
    const size_t tiles = gridDim.x / parts;
    return {part / s.heads, part % s.heads, (int)(tiles - 1 - blockIdx.x / parts) * OWN};
}

/* The keys and values that a block of queries sees, tile by tile. */
template <int D> struct keys_stream {
    reader<D> keys, values;
    int tiles; /* up to the diagonal */
};

template <int D, int ROWS>
__device__ __forceinline__ keys_stream<D> keys_seen(const struct pass &p, const struct place &at)
{
    const size_t head = p.s.heads + at.head / (p.s.heads / p.s.kv_heads);
    const int length = p.s.length, end = at.first + OWN < length ? at.first + OWN : length;
    return {reader_at<D>(qkv_rows<D>(p, at.sequence, head), 0, length),
            reader_at<D>(qkv_rows<D>(p, at.sequence, head + p.s.kv_heads), 0, length),
            (end + ROWS - 1) / ROWS};
}

/* Starts copying the next tile of each into that half of shared memory. */
template <int D, class ROOM>
__device__ __forceinline__ void read_keys(ROOM &room, int half, keys_stream<D> *from)
{
    read_tile(&room.keys[half], &from->keys);
    read_tile(&room.values[half], &from->values);
    copy_commit();
}

template <int D, int ROWS> struct forward_room {
    tile<D, OWN> queries;
    tile<D, ROWS> keys[2], values[2];
};

/* p = exp(s - top), and rescales the sums to the new top. `scale` has log2(e) in it. */
template <int D, int ROWS>
__device__ __forceinline__ void softmax(float s[ROWS / 8][4], float sum[D / 8][4], float top[2],
                                        float total[2], float scale)
{
    for (int half = 0; half < 2; half++) {
        float highest = top[half], added = 0;
#pragma unroll
        for (int j = 0; j < ROWS / 8; j++)
            highest = fmaxf(highest, fmaxf(s[j][half * 2], s[j][half * 2 + 1]));
        highest = row_max(highest);
        const float shrink = exp2_fast((top[half] - highest) * scale), at = highest * scale;
#pragma unroll
        for (int j = 0; j < ROWS / 8; j++)
            for (int i = half * 2; i < half * 2 + 2; i++)
                added += s[j][i] = exp2_fast(s[j][i] * scale - at);
#pragma unroll
        for (int j = 0; j < D / 8; j++)
            for (int i = half * 2; i < half * 2 + 2; i++) sum[j][i] *= shrink;
        total[half] = total[half] * shrink + added;
        top[half] = highest;
    }
}

template <int D, int ROWS>
__global__ void __launch_bounds__(THREADS, 2) attention_tiles(struct pass p)
{
    SHARED_BYTES(bytes);
    forward_room<D, ROWS> &room = *(forward_room<D, ROWS> *)bytes;
    const struct place at = queries_place(p.s);
    const int length = p.s.length;
    auto keys = keys_seen<D, ROWS>(p, at);
    const int first = at.first + threadIdx.x / WARP * 16; /* first row of this warp */
    const float scale = p.s.scale * LOG2_E;
    float s[ROWS / 8][4], sum[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};
    uint32_t own[D / 16][4];

    read_own(&room.queries, qkv_rows<D>(p, at.sequence, at.head), at.first, length);
    read_keys(room, 0, &keys);
    for (int n = 0; n < keys.tiles; n++) {
        copy_wait<0>();
        __syncthreads(); /* tile n has arrived, and tile n - 1 is no longer read */
        if (n + 1 < keys.tiles) read_keys(room, (n + 1) % 2, &keys);
        if (n == 0)
#pragma unroll
            for (int k = 0; k < D; k += 16) own_fragment(own[k / 16], room.queries, k);
        multiply<D, ROWS>(
            s,
            [&](int k, uint32_t r[4]) {
                for (int i = 0; i < 4; i++) r[i] = own[k / 16][i];
            },
            room.keys[n % 2]);
        if (n * ROWS + ROWS > first + 1) hide_later_keys<ROWS>(s, n * ROWS - first);
        softmax<D, ROWS>(s, sum, top, total, scale);
        add_rows<D, ROWS>(sum, s, room.values[n % 2]);
    }
    float inverse[2];
    for (int half = 0; half < 2; half++) {
        const int row = first + threadIdx.x % WARP / 4 + half * 8;
        total[half] = row_sum(total[half]);
        inverse[half] = 1.0f / total[half];
        if (p.logsum_out && row < length && threadIdx.x % 4 == 0)
            p.logsum_out[(at.sequence * p.s.heads + at.head) * length + row] =
                top[half] * p.s.scale + logf(total[half]);
    }
    store_rows<D>(p.out + (at.sequence * length * p.s.heads + at.head) * D, p.s.heads * D, first,
                  length, sum, inverse);
}

/* delta[sequence, head, row] = dot(out_grad, out), one warp each. */
template <int D>
__global__ void __launch_bounds__(THREADS)
    attention_delta_bf16(float *delta, const struct bf16 *out_grad, const struct bf16 *out,
                         struct shape s)
{
    const size_t n = (size_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (n >= s.sequences * s.length * s.heads) return; /* whole warps */
    const size_t row = n / s.heads, head = n % s.heads;
    float sum = 0;
    for (int i = threadIdx.x % WARP; i < D; i += WARP)
        sum += float_of(out_grad[n * D + i]) * float_of(out[n * D + i]);
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0)
        delta[(row / s.length * s.heads + head) * s.length + row % s.length] = sum;
}

template <int D, int ROWS> struct queries_room {
    tile<D, OWN> queries, grads;
    tile<D, ROWS> keys[2], values[2];
};

template <int D, int ROWS>
__global__ void __launch_bounds__(THREADS, 2) attention_queries_grad(struct pass p)
{
    SHARED_BYTES(bytes);
    queries_room<D, ROWS> &room = *(queries_room<D, ROWS> *)bytes;
    const struct place at = queries_place(p.s);
    const int length = p.s.length;
    auto keys = keys_seen<D, ROWS>(p, at);
    const int first = at.first + threadIdx.x / WARP * 16;
    const float scale = p.s.scale * LOG2_E, factor[2] = {p.s.scale, p.s.scale};
    float s[ROWS / 8][4], d[ROWS / 8][4], sum[D / 8][4] = {}, logsum[2], delta[2];

    read_own(&room.queries, qkv_rows<D>(p, at.sequence, at.head), at.first, length);
    read_own(&room.grads, out_grad_rows<D>(p, at.sequence, at.head), at.first, length);
    read_keys(room, 0, &keys);
    for (int half = 0; half < 2; half++) {
        const int row = first + threadIdx.x % WARP / 4 + half * 8;
        const size_t from = (at.sequence * p.s.heads + at.head) * length + row;
        logsum[half] = row < length ? p.logsum[from] * LOG2_E : INFINITY; /* then p is 0 */
        delta[half] = row < length ? p.delta[from] : 0;
    }
    for (int n = 0; n < keys.tiles; n++) {
        copy_wait<0>();
        __syncthreads(); /* tile n has arrived, and tile n - 1 is no longer read */
        if (n + 1 < keys.tiles) read_keys(room, (n + 1) % 2, &keys);
        multiply<D, ROWS>(
            s, [&](int k, uint32_t r[4]) { own_fragment(r, room.queries, k); }, room.keys[n % 2]);
        multiply<D, ROWS>(
            d, [&](int k, uint32_t r[4]) { own_fragment(r, room.grads, k); }, room.values[n % 2]);
        if (n * ROWS + ROWS > first + 1) hide_later_keys<ROWS>(s, n * ROWS - first);
#pragma unroll
        for (int j = 0; j < ROWS / 8; j++)
            for (int i = 0; i < 4; i++)
                s[j][i] = exp2_fast(s[j][i] * scale - logsum[i / 2]) * (d[j][i] - delta[i / 2]);
        add_rows<D, ROWS>(sum, s, room.keys[n % 2]);
    }
    const size_t stride = qkv_stride<D>(p.s);
    store_rows<D>(p.qkv_grad + at.sequence * length * stride + at.head * D, stride, first, length,
                  sum, factor);
}

template <int D, int ROWS> struct keys_room {
    tile<D, OWN> keys, values;
    tile<D, ROWS> queries[2], grads[2];
    float sums[2][2 * ROWS]; /* logsum, log2(e) in it; then delta */
};

/* The queries that see a block of keys, from the diagonal on, head by head, with their gradients
 * and sums. Thread t of the first 2 * ROWS reads logsum or delta of one query of a tile. */
template <int D> struct queries_stream {
    reader<D> queries, grads;
    const float *sums; /* this thread's, of the head's first tile; NULL: it reads none */
    float kept;        /* the sum read ahead, for the next tile */
    int row, each, at; /* that sum's row in the first tile; tiles of a head; the next to read */
};

template <int D, int ROWS>
__device__ __forceinline__ queries_stream<D> queries_after(const struct pass &p, size_t sequence,
                                                           size_t head, int begin)
{
    const int length = p.s.length, row = begin + threadIdx.x % ROWS;
    const float *sums = threadIdx.x < ROWS ? p.logsum : p.delta;
    return {reader_at<D>(qkv_rows<D>(p, sequence, head), begin, length),
            reader_at<D>(out_grad_rows<D>(p, sequence, head), begin, length),
            threadIdx.x < 2 * ROWS ? sums + (sequence * p.s.heads + head) * length + row : NULL,
            0,
            row,
            (length - begin + ROWS - 1) / ROWS,
            0};
}

/* Starts copying the next tile of each into that half of shared memory, and reads its sums. */
template <int D, int ROWS>
__device__ __forceinline__ void read_queries(keys_room<D, ROWS> &room, int half,
                                             const struct pass &p, queries_stream<D> *from)
{
    const bool is_logsum = threadIdx.x < ROWS;
    const int ahead = from->at * ROWS, all = from->each * ROWS;
    read_tile(&room.queries[half], &from->queries);
    read_tile(&room.grads[half], &from->grads);
    copy_commit();
    from->kept = is_logsum ? INFINITY : 0; /* beyond the end p is 0 */
    if (from->sums && from->row + ahead < p.s.length)
        from->kept = from->sums[ahead] * (is_logsum ? LOG2_E : 1.0f);
    if (++from->at < from->each) return;
    from->at = 0; /* first tile of the next head */
    from->queries.at = from->queries.at - all * from->queries.stride + D;
    from->grads.at = from->grads.at - all * from->grads.stride + D;
    from->queries.rows += all;
    from->grads.rows += all;
    if (from->sums) from->sums += p.s.length;
}

/* Own rows are keys; the queries of all heads that share them stream through, from the diagonal
 * on. */
template <int D, int ROWS>
__global__ void __launch_bounds__(THREADS, 2) attention_keys_grad(struct pass p)
{
    SHARED_BYTES(bytes);
    keys_room<D, ROWS> &room = *(keys_room<D, ROWS> *)bytes;
    const size_t parts = p.s.sequences * p.s.kv_heads, part = blockIdx.x % parts;
    const size_t sequence = part / p.s.kv_heads, kv_head = part % p.s.kv_heads;
    const size_t group = p.s.heads / p.s.kv_heads, keys_at = p.s.heads + kv_head;
    const int begin = (int)(blockIdx.x / parts) * OWN, length = p.s.length;
    const int first = begin + threadIdx.x / WARP * 16, lane = threadIdx.x % WARP;
    const float scale = p.s.scale * LOG2_E;
    float s[ROWS / 8][4], d[ROWS / 8][4], key_sum[D / 8][4] = {}, value_sum[D / 8][4] = {};
    auto queries = queries_after<D, ROWS>(p, sequence, kv_head * group, begin);
    const int tiles = (int)group * queries.each;
    int query = begin; /* first query of the present tile */

    read_own(&room.keys, qkv_rows<D>(p, sequence, keys_at), begin, length);
    read_own(&room.values, qkv_rows<D>(p, sequence, keys_at + p.s.kv_heads), begin, length);
    read_queries(room, 0, p, &queries);
    for (int n = 0; n < tiles; n++) {
        if (queries.sums) room.sums[n % 2][threadIdx.x] = queries.kept;
        copy_wait<0>();
        __syncthreads(); /* tile n has arrived, and tile n - 1 is no longer read */
        if (n + 1 < tiles) read_queries(room, (n + 1) % 2, p, &queries);
        const float *sums = room.sums[n % 2];
        multiply<D, ROWS>(
            s, [&](int k, uint32_t r[4]) { own_fragment(r, room.keys, k); }, room.queries[n % 2]);
        multiply<D, ROWS>(
            d, [&](int k, uint32_t r[4]) { own_fragment(r, room.values, k); }, room.grads[n % 2]);
        if (query < first + 15) hide_earlier_queries<ROWS>(s, query - first);
#pragma unroll
        for (int j = 0; j < ROWS / 8; j++)
            for (int i = 0; i < 4; i++) {
                const int column = j * 8 + lane % 4 * 2 + i % 2;
                s[j][i] = exp2_fast(s[j][i] * scale - sums[column]);
                d[j][i] = s[j][i] * (d[j][i] - sums[ROWS + column]);
            }
        add_rows<D, ROWS>(value_sum, s, room.grads[n % 2]);
        add_rows<D, ROWS>(key_sum, d, room.queries[n % 2]);
        query = query + ROWS < length ? query + ROWS : begin;
    }
    const size_t stride = qkv_stride<D>(p.s);
    struct bf16 *to = p.qkv_grad + sequence * length * stride + keys_at * D;
    const float factor[2] = {p.s.scale, p.s.scale}, one[2] = {1, 1};
    store_rows<D>(to, stride, first, length, key_sum, factor);
    store_rows<D>(to + p.s.kv_heads * D, stride, first, length, value_sum, one);
}

template <int D> static void forward(struct cuda *c, const struct pass &p)
{
    constexpr int rows = 64;
    const size_t bytes = sizeof(forward_room<D, rows>);
    auto *const attention = attention_tiles<D, rows>;
    ALLOW_SHARED(attention, bytes);
    LAUNCH(attention, dim3(tiles_of((size_t)p.s.length) * p.s.sequences * p.s.heads), dim3(THREADS),
           bytes, c->stream, p);
}

template <int D>
static void backward(struct cuda *c, const struct pass &p, const struct op_attention_backward *o)
{
    constexpr int rows = D > 64 ? 32 : 64; /* with more rows, registers spill */
    const size_t queries_bytes = sizeof(queries_room<D, rows>);
    const size_t keys_bytes = sizeof(keys_room<D, rows>);
    const size_t tiles = tiles_of((size_t)p.s.length) * p.s.sequences;
    const size_t warps = p.s.sequences * p.s.length * p.s.heads;
    auto *const delta = attention_delta_bf16<D>;
    auto *const queries_grad = attention_queries_grad<D, rows>;
    auto *const keys_grad = attention_keys_grad<D, rows>;
    LAUNCH(delta, dim3((warps + WARPS - 1) / WARPS), dim3(THREADS), 0, c->stream, c->delta,
           p.out_grad, (const struct bf16 *)o->out, p.s);
    ALLOW_SHARED(queries_grad, queries_bytes);
    LAUNCH(queries_grad, dim3(tiles * p.s.heads), dim3(THREADS), queries_bytes, c->stream, p);
    ALLOW_SHARED(keys_grad, keys_bytes);
    LAUNCH(keys_grad, dim3(tiles * p.s.kv_heads), dim3(THREADS), keys_bytes, c->stream, p);
}

template <class OP> static struct pass pass_of(const OP *o)
{
    struct pass p = {};
    assert(o->head_dim == 32 || o->head_dim == 64 || o->head_dim == 128);
    assert(o->heads % o->kv_heads == 0);
    assert((uintptr_t)o->qkv % 16 == 0);
    assert(o->length < (size_t)1 << 30); /* rows of a sequence are int; offsets are not */
    p.qkv = (const struct bf16 *)o->qkv;
    p.s = {o->sequences, o->heads, o->kv_heads, (int)o->length, 1.0f / sqrtf((float)o->head_dim)};
    return p;
}

void cuda_attention_bf16(void *self, const struct op_attention *o)
{
    struct cuda *c = cuda_of(self);
    struct pass p = pass_of(o);
    p.out = (struct bf16 *)o->out;
    p.logsum_out = o->logsum;
    if (o->head_dim == 32) forward<32>(c, p);
    if (o->head_dim == 64) forward<64>(c, p);
    if (o->head_dim == 128) forward<128>(c, p);
    cuda_launched(c, "attention_bf16");
}

void cuda_attention_bf16_backward(void *self, const struct op_attention_backward *o)
{
    struct cuda *c = cuda_of(self);
    struct pass p = pass_of(o);
    assert((uintptr_t)o->out_grad % 16 == 0);
    p.out_grad = (const struct bf16 *)o->out_grad;
    p.qkv_grad = (struct bf16 *)o->qkv_grad;
    p.logsum = o->logsum;
    p.delta = c->delta;
    if (o->head_dim == 32) backward<32>(c, p, o);
    if (o->head_dim == 64) backward<64>(c, p, o);
    if (o->head_dim == 128) backward<128>(c, p, o);
    cuda_launched(c, "attention_bf16_backward");
}
