/* product_bf16.cu -- matrix products on tensor cores: c (+)= a b, operands in bf16, sums in fp32
 * (tensor.h).
 *
 * A block of four warps computes TILE x TILE of c, each warp a quarter of it. The operands are
 * loaded in slices of 32 along the sum by asynchronous copies, STAGES - 1 slices ahead of the one
 * being multiplied; a slice has the same layout in shared as in global memory, and ldmatrix
 * transposes it where the form requires it. Rows there are padded by 16 bytes, so that the eight
 * rows of an ldmatrix fall into different banks. Each sum runs in ascending order: the bits depend
 * on neither tile nor grid.
 *
 * Roofline, with 128 x 128 per block: 64 flops per byte from global memory, mostly L2: blocks cover
 * c in groups of eight rows of tiles, which share what they read. Not tried: wgmma (sm_90),
 * splitting the sum where c is small. */
#include "ops.h"
#include "ptx.h"

#include <assert.h>

#define THREADS    128
#define DEEP       32 /* length of a slice along the sum */
#define STAGES     3
#define PAD        8                 /* elements */
#define SIZE_LIMIT ((size_t)1 << 30) /* positions along a side are int; offsets are not */
#define GROUP      8                 /* rows of tiles that neighbouring blocks share */

/* An operand's slice in shared memory: rows of DEEP along the sum, or ACROSS: DEEP rows along c. */
template <int TILE, bool ACROSS> struct slice {
    static constexpr bool across = ACROSS;
    static constexpr int rows = ACROSS ? DEEP : TILE, width = ACROSS ? TILE : DEEP;
    alignas(16) struct bf16 at[rows][width + PAD];
};

template <int TILE, bool A_ACROSS, bool B_ACROSS> struct stage {
    slice<TILE, A_ACROSS> a;
    slice<TILE, B_ACROSS> b;
};

struct operand {
    const struct bf16 *data;
    size_t stride;
    int rows, width; /* as stored */
};

/* A thread's part in copying slices: chunks of eight elements, `hop` apart. Besides the copies a
 * slice costs only a few additions: in SASS, recomputing addresses took twice the instructions of
 * everything else. */
template <class SLICE> struct reader {
    static constexpr int chunks = SLICE::width / 8, rows_between = THREADS / chunks;
    const struct bf16 *at; /* the first chunk */
    size_t hop, step;      /* step: to the next slice */
    int rows, width;       /* stored from there on; may be negative */
    int down, along;       /* its place in the slice */
};

/* `first`: the tile's first row or column of c. */
template <class SLICE>
__device__ __forceinline__ reader<SLICE> reader_at(const struct operand &m, int first)
{
    reader<SLICE> r;
    r.down = threadIdx.x / r.chunks, r.along = threadIdx.x % r.chunks * 8;
    const int row = r.down + (SLICE::across ? 0 : first);
    const int column = r.along + (SLICE::across ? first : 0);
    r.at = m.data + row * m.stride + column;
    r.hop = r.rows_between * m.stride;
    r.step = SLICE::across ? DEEP * m.stride : DEEP;
    r.rows = m.rows - row;
    r.width = m.width - column;
    return r;
}

/* Starts copying the next slice, with zeros beyond the stored elements, which are not read.
 * ALIGNED: chunks are aligned to 16 bytes in global memory, too. */
template <bool ALIGNED, class SLICE>
__device__ __forceinline__ void read_slice(SLICE *to, reader<SLICE> *r)
{
    const int within = r->width < 0 ? 0 : r->width < 8 ? r->width : 8;
#pragma unroll
    for (int i = 0; i < SLICE::rows / r->rows_between; i++) {
        const int count = i * r->rows_between < r->rows ? within : 0;
        const struct bf16 *from = r->at + i * r->hop;
        struct bf16 *place = &to->at[r->down + i * r->rows_between][r->along];
        if constexpr (ALIGNED) {
            copy_async(place, from, count * (int)sizeof *from);
        } else {
            struct bf16_eight chunk;
            for (int e = 0; e < 8; e++) chunk.at[e] = e < count ? from[e] : bf16{0};
            *(struct bf16_eight *)place = chunk;
        }
    }
    r->at += r->step;
    if (SLICE::across) r->rows -= DEEP;
    else r->width -= DEEP;
}

/* Rows [i, i + 16) of a, at position k of the slice. */
template <int TILE, bool ACROSS>
__device__ __forceinline__ void a_fragment(uint32_t r[4], const slice<TILE, ACROSS> &s, int i,
                                           int k)
{
    const int lane = threadIdx.x % WARP;
    if (ACROSS) ldmatrix_transposed(r, &s.at[k + lane / 16 * 8 + lane % 8][i + lane / 8 % 2 * 8]);
    else ldmatrix(r, &s.at[i + lane % 16][k + lane / 16 * 8]);
}

/* Columns [j, j + 16) of b: two fragments. */
template <int TILE, bool ACROSS>
__device__ __forceinline__ void b_fragments(uint32_t r[4], const slice<TILE, ACROSS> &s, int j,
                                            int k)
{
    const int lane = threadIdx.x % WARP;
    if (ACROSS) ldmatrix_transposed(r, &s.at[k + lane % 16][j + lane / 16 * 8]);
    else ldmatrix(r, &s.at[j + lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 8]);
}

/* Two neighbouring elements of c, of which the second may be beyond the end. */
__device__ __forceinline__ void store_two(const struct op_product &o, size_t row, size_t column,
                                          float first, float second)
{
    if (row >= o.rows || column >= o.columns) return;
    const size_t at = row * o.c_stride + column;
    const bool both = column + 1 < o.columns;
    if (o.c_bf16) {
        struct bf16 *to = (struct bf16 *)o.c + at;
        if (both && (uintptr_t)to % 4 == 0) {
            *(uint32_t *)to = bf16_pair(first, second);
            return;
        }
        to[0] = bf16_of(first);
        if (both) to[1] = bf16_of(second);
        return;
    }
    float *to = (float *)o.c + at;
    to[0] = o.add ? to[0] + first : first;
    if (both) to[1] = o.add ? to[1] + second : second;
}

/* The tile of this block: (row, column) in tiles. */
__device__ __forceinline__ void tile_of(size_t *row, size_t *column, size_t rows, size_t columns)
{
    const size_t n = blockIdx.x, first = n / (GROUP * columns) * GROUP;
    const size_t high = rows - first < GROUP ? rows - first : GROUP;
    *row = first + n % (GROUP * columns) % high;
    *column = n % (GROUP * columns) / high;
}

template <int TILE, bool A_ACROSS, bool B_ACROSS, bool ALIGNED>
__global__ void __launch_bounds__(THREADS, 2)
    product_tiles(struct op_product o, struct operand a, struct operand b)
{
    constexpr int part = TILE / 2, highs = part / 16, wides = part / 16;
    typedef stage<TILE, A_ACROSS, B_ACROSS> stage_t;
    SHARED_BYTES(room);
    stage_t *const stages = (stage_t *)room;
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int high = warp / 2 * part, wide = warp % 2 * part;
    size_t row, column;
    tile_of(&row, &column, (o.rows + TILE - 1) / TILE, (o.columns + TILE - 1) / TILE);
    row *= TILE, column *= TILE;
    const int slices = ((int)o.depth + DEEP - 1) / DEEP;
    auto a_reader = reader_at<slice<TILE, A_ACROSS>>(a, (int)row);
    auto b_reader = reader_at<slice<TILE, B_ACROSS>>(b, (int)column);
    float sum[highs][2 * wides][4] = {};
    /* ahead, place: next slice to read and its stage; now: present stage */
    int ahead = 0, place = 0, now = 0;

    auto read = [&] {
        if (ahead < slices) {
            read_slice<ALIGNED>(&stages[place].a, &a_reader);
            read_slice<ALIGNED>(&stages[place].b, &b_reader);
        }
        copy_commit();
        ahead++;
        place = place + 1 < STAGES ? place + 1 : 0;
    };
    for (int n = 0; n < STAGES - 1; n++) read();
    for (int n = 0; n < slices; n++) {
        copy_wait<STAGES - 2>();
        __syncthreads(); /* slice n has arrived, and the stage of slice n - 1 is no longer read */
        read();
        const stage_t &s = stages[now];
        now = now + 1 < STAGES ? now + 1 : 0;
#pragma unroll
        for (int k = 0; k < DEEP; k += 16) {
            uint32_t af[highs][4], bf[wides][4];
#pragma unroll
            for (int i = 0; i < highs; i++) a_fragment(af[i], s.a, high + i * 16, k);
#pragma unroll
            for (int j = 0; j < wides; j++) b_fragments(bf[j], s.b, wide + j * 16, k);
#pragma unroll
            for (int i = 0; i < highs; i++)
#pragma unroll
                for (int j = 0; j < 2 * wides; j++) mma(sum[i][j], af[i], bf[j / 2] + j % 2 * 2);
        }
    }
#pragma unroll
    for (int i = 0; i < highs; i++)
#pragma unroll
        for (int j = 0; j < 2 * wides; j++) {
            const size_t to_row = row + high + i * 16 + lane / 4;
            const size_t to_column = column + wide + j * 8 + lane % 4 * 2;
            store_two(o, to_row, to_column, sum[i][j][0], sum[i][j][1]);
            store_two(o, to_row + 8, to_column, sum[i][j][2], sum[i][j][3]);
        }
}

template <int TILE, bool A_ACROSS, bool B_ACROSS>
static void launch(struct cuda *c, const struct op_product *o)
{
    const int rows = (int)o->rows, columns = (int)o->columns, depth = (int)o->depth;
    const struct operand a = {(const struct bf16 *)o->a, o->a_stride, A_ACROSS ? depth : rows,
                              A_ACROSS ? rows : depth};
    const struct operand b = {(const struct bf16 *)o->b, o->b_stride, B_ACROSS ? depth : columns,
                              B_ACROSS ? columns : depth};
    const bool aligned =
        ((uintptr_t)o->a | (uintptr_t)o->b) % 16 == 0 && (o->a_stride | o->b_stride) % 8 == 0;
    const size_t blocks = (o->rows + TILE - 1) / TILE * ((o->columns + TILE - 1) / TILE);
    const size_t bytes = STAGES * sizeof(stage<TILE, A_ACROSS, B_ACROSS>);
    auto *const product = aligned ? product_tiles<TILE, A_ACROSS, B_ACROSS, true>
                                  : product_tiles<TILE, A_ACROSS, B_ACROSS, false>;
    ALLOW_SHARED(product, bytes);
    LAUNCH(product, dim3(blocks), dim3(THREADS), bytes, c->stream, *o, a, b);
}

/* With fewer than about 256 blocks of 128 x 128 a large GPU has idle multiprocessors. */
static bool small(const struct op_product *o)
{
    if (o->tile) return o->tile == 64;
    return ((o->rows + 127) / 128) * ((o->columns + 127) / 128) < 256;
}

void cuda_product_bf16(void *self, const struct op_product *o)
{
    struct cuda *c = cuda_of(self);
    assert(o->tile == 0 || o->tile == 64 || o->tile == 128);
    assert(!(o->add && o->c_bf16));
    assert(o->rows < SIZE_LIMIT && o->columns < SIZE_LIMIT && o->depth < SIZE_LIMIT);
    if (!o->rows || !o->columns) return;
    switch (o->form) {
    case PRODUCT_FORWARD:
        small(o) ? launch<64, false, false>(c, o) : launch<128, false, false>(c, o);
        break;
    case PRODUCT_INPUT:
        small(o) ? launch<64, false, true>(c, o) : launch<128, false, true>(c, o);
        break;
    case PRODUCT_WEIGHT:
        small(o) ? launch<64, true, true>(c, o) : launch<128, true, true>(c, o);
        break;
    }
    cuda_launched(c, "product_bf16");
}
