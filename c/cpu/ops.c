#include "cpu/ops.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cpu/attention.h"
#include "cpu/blas.h"

#define ALIGNMENT      256
#define ROWS_BLOCK     64                /* rows of one piece of an elementwise op */
#define ENTROPY_BLOCK  8                 /* of cross-entropy, whose rows are long */
#define COLUMNS_BLOCK  64                /* columns of one piece of a reduction over rows */
#define ELEMENTS_BLOCK ((size_t)1 << 16) /* of one piece of an op on a flat vector */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t blocks_of(size_t n, size_t block) { return (n + block - 1) / block; }

/* A range of rows, columns or elements that is one piece of an op. */
struct range {
    size_t first, last;
};
static struct range range_at(size_t index, size_t block, size_t n)
{
    return (struct range){index * block, least((index + 1) * block, n)};
}

/* What a piece gets: the backend and the op. */
struct job {
    struct cpu *cpu;
    const void *op;
};

static void share_out(void *self, const void *op, void (*piece)(void *, size_t, size_t),
                      size_t count)
{
    struct cpu *c = self;
    struct job job = {c, op};
    pool_run(c->pool, piece, &job, count);
}

void ops_release(struct cpu *c)
{
    for (size_t t = 0; c->scratch && t < pool_threads(c->pool); t++) free(c->scratch[t]);
    free(c->scratch);
    free(c->gain_partials);
    c->scratch = NULL;
    c->gain_partials = NULL;
    c->sizes = (struct op_sizes){0};
}

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

enum err ops_prepare(void *self, const struct op_sizes *sizes, struct why *w)
{
    struct cpu *c = self;
    struct op_sizes s = *sizes;
    s.rows = most(s.rows, c->sizes.rows);
    s.dim = most(s.dim, c->sizes.dim);
    s.length = most(s.length, c->sizes.length);
    size_t threads = pool_threads(c->pool), scratch = attention_scratch(s.length);
    ops_release(c);
    c->gain_partials = malloc(blocks_of(s.rows, ROWS_BLOCK) * s.dim * sizeof(float));
    c->scratch = calloc(threads, sizeof *c->scratch);
    bool enough = c->gain_partials && c->scratch;
    for (size_t t = 0; enough && t < threads; t++)
        enough = !posix_memalign((void **)&c->scratch[t], ALIGNMENT, scratch * sizeof(float));
    if (enough) {
        c->sizes = s;
        return ERR_OK;
    }
    ops_release(c);
    return why(w, ERR_MEMORY,
               "no memory for the scratch space of %zu threads: set machine.threads lower",
               threads);
}

/* Embedding. */

static void embed_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    const struct op_embed *o = ((struct job *)ctx)->op;
    struct range r = range_at(index, ROWS_BLOCK, o->rows);
    for (size_t i = r.first; i < r.last; i++)
        memcpy((float *)o->out + i * o->dim, (const float *)o->table + o->tokens[i] * o->dim,
               o->dim * sizeof(float));
}
void ops_embed(void *self, const struct op_embed *o)
{
    share_out(self, o, embed_piece, blocks_of(o->rows, ROWS_BLOCK));
}

/* A piece is a band of columns, so that rows of one token add up in order. */
static void embed_backward_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_embed_backward *o = j->op;
    struct range r = range_at(index, COLUMNS_BLOCK, o->dim);
    for (size_t i = 0; i < o->rows; i++)
        j->cpu->kernels->add(o->table_grad + o->tokens[i] * o->dim + r.first,
                             (const float *)o->out_grad + i * o->dim + r.first, r.last - r.first);
}
void ops_embed_backward(void *self, const struct op_embed_backward *o)
{
    share_out(self, o, embed_backward_piece, blocks_of(o->dim, COLUMNS_BLOCK));
}

/* Rows on their own: a piece is a block of them. */
#define ROWS_OP(name, block)                                                                       \
    static void name##_piece(void *ctx, size_t index, size_t thread)                               \
    {                                                                                              \
        (void)thread;                                                                              \
        struct job *j = ctx;                                                                       \
        const struct op_##name *o = j->op;                                                         \
        struct range r = range_at(index, (block), o->rows);                                        \
        j->cpu->kernels->name(o, r.first, r.last);                                                 \
    }                                                                                              \
    void ops_##name(void *self, const struct op_##name *o)                                         \
    {                                                                                              \
        share_out(self, o, name##_piece, blocks_of(o->rows, (block)));                             \
    }

ROWS_OP(norm, ROWS_BLOCK)
ROWS_OP(rotary, ROWS_BLOCK)
ROWS_OP(swiglu, ROWS_BLOCK)
ROWS_OP(swiglu_backward, ROWS_BLOCK)
ROWS_OP(cross_entropy, ENTROPY_BLOCK)

/* Norm's gradients: the gain's is summed over all rows, block after block. */

static void norm_backward_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_norm_backward *o = j->op;
    struct range r = range_at(index, ROWS_BLOCK, o->rows);
    j->cpu->kernels->norm_backward(o, r.first, r.last, j->cpu->gain_partials + index * o->dim);
}
/* The blocks' parts of the gain's gradient, in the order of blocks. */
static void norm_gain_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_norm_backward *o = j->op;
    struct range r = range_at(index, COLUMNS_BLOCK, o->dim);
    for (size_t b = 0; b < blocks_of(o->rows, ROWS_BLOCK); b++)
        j->cpu->kernels->add(o->gain_grad + r.first, j->cpu->gain_partials + b * o->dim + r.first,
                             r.last - r.first);
}
void ops_norm_backward(void *self, const struct op_norm_backward *o)
{
    struct cpu *c = self;
    assert(o->rows <= c->sizes.rows && o->dim <= c->sizes.dim);
    share_out(self, o, norm_backward_piece, blocks_of(o->rows, ROWS_BLOCK));
    share_out(self, o, norm_gain_piece, blocks_of(o->dim, COLUMNS_BLOCK));
}

/* Attention: a piece is a head of a sequence; backward, the heads that share keys and values. */

static void attention_piece(void *ctx, size_t index, size_t thread)
{
    struct job *j = ctx;
    const struct op_attention *o = j->op;
    const size_t sequence = index / o->heads, head = index % o->heads, dim = o->head_dim;
    const size_t stride = (o->heads + 2 * o->kv_heads) * dim,
                 shared = head / (o->heads / o->kv_heads);
    const float *row = (const float *)o->qkv + sequence * o->length * stride;
    attention_forward(
        j->cpu->kernels,
        &(struct attention_head){
            .queries = row + head * dim,
            .keys = row + (o->heads + shared) * dim,
            .values = row + (o->heads + o->kv_heads + shared) * dim,
            .out = (float *)o->out + sequence * o->length * o->heads * dim + head * dim,
            .rows = o->length,
            .head_dim = dim,
            .queries_stride = stride,
            .keys_stride = stride,
            .out_stride = o->heads * dim,
            .logsum = o->logsum + index * o->length,
        },
        j->cpu->scratch[thread]);
}
void ops_attention(void *self, const struct op_attention *o)
{
    assert(o->length <= ((struct cpu *)self)->sizes.length);
    share_out(self, o, attention_piece, o->sequences * o->heads);
}

static void zero_columns(float *x, size_t rows, size_t columns, size_t stride)
{
    for (size_t r = 0; r < rows; r++) memset(x + r * stride, 0, columns * sizeof(float));
}

static void attention_backward_piece(void *ctx, size_t index, size_t thread)
{
    struct job *j = ctx;
    const struct op_attention_backward *o = j->op;
    const size_t sequence = index / o->kv_heads, shared = index % o->kv_heads, dim = o->head_dim;
    const size_t stride = (o->heads + 2 * o->kv_heads) * dim, group = o->heads / o->kv_heads;
    const size_t qkv_at = sequence * o->length * stride, out_stride = o->heads * dim;
    const size_t keys = qkv_at + (o->heads + shared) * dim, values = keys + o->kv_heads * dim;
    const float *qkv = o->qkv;
    float *grad = o->qkv_grad;
    zero_columns(grad + keys, o->length, dim, stride);
    zero_columns(grad + values, o->length, dim, stride);
    for (size_t head = shared * group; head < (shared + 1) * group; head++) {
        const size_t out_at = sequence * o->length * out_stride + head * dim;
        struct attention_head_gradient g = {
            .forward = {.queries = qkv + qkv_at + head * dim,
                        .keys = qkv + keys,
                        .values = qkv + values,
                        .out = (float *)o->out + out_at,
                        .rows = o->length,
                        .head_dim = dim,
                        .queries_stride = stride,
                        .keys_stride = stride,
                        .out_stride = out_stride,
                        .logsum = (float *)o->logsum + (sequence * o->heads + head) * o->length},
            .out_grad = (const float *)o->out_grad + out_at,
            .queries_grad = grad + qkv_at + head * dim,
            .keys_grad = grad + keys,
            .values_grad = grad + values,
        };
        attention_backward(j->cpu->kernels, &g, j->cpu->scratch[thread]);
    }
}
void ops_attention_backward(void *self, const struct op_attention_backward *o)
{
    assert(o->length <= ((struct cpu *)self)->sizes.length);
    share_out(self, o, attention_backward_piece, o->sequences * o->kv_heads);
}

static void attention_cached_piece(void *ctx, size_t index, size_t thread)
{
    struct job *j = ctx;
    const struct op_attention_cached *o = j->op;
    const size_t dim = o->head_dim, shared = index / (o->heads / o->kv_heads);
    attention_forward(j->cpu->kernels,
                      &(struct attention_head){
                          .queries = (const float *)o->qkv + index * dim,
                          .keys = (const float *)o->keys + shared * dim,
                          .values = (const float *)o->values + shared * dim,
                          .out = (float *)o->out + index * dim,
                          .rows = o->rows,
                          .past = o->past,
                          .head_dim = dim,
                          .queries_stride = (o->heads + 2 * o->kv_heads) * dim,
                          .keys_stride = o->kv_heads * dim,
                          .out_stride = o->heads * dim,
                      },
                      j->cpu->scratch[thread]);
}
void ops_attention_cached(void *self, const struct op_attention_cached *o)
{
    assert(o->past + o->rows <= ((struct cpu *)self)->sizes.length);
    const size_t width = o->kv_heads * o->head_dim, queries = o->heads * o->head_dim;
    for (size_t r = 0; r < o->rows; r++) {
        const float *row = (const float *)o->qkv + r * (queries + 2 * width) + queries;
        memcpy((float *)o->keys + (o->past + r) * width, row, width * sizeof(float));
        memcpy((float *)o->values + (o->past + r) * width, row + width, width * sizeof(float));
    }
    share_out(self, o, attention_cached_piece, o->heads);
}

/* Matrix products: a piece is a tile of the result, cut by its shape alone. */

struct tiles {
    struct blas_product whole;
    size_t rows, columns; /* of a tile */
};

static void tile_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    const struct tiles *t = ((struct job *)ctx)->op;
    const size_t across = blocks_of(t->whole.n, t->columns);
    struct range r = range_at(index / across, t->rows, t->whole.m);
    struct range c = range_at(index % across, t->columns, t->whole.n);
    struct blas_product p = t->whole;
    p.m = r.last - r.first;
    p.n = c.last - c.first;
    p.a += p.a_transposed ? r.first : r.first * p.lda;
    p.b += p.b_transposed ? c.first * p.ldb : c.first;
    p.c += r.first * p.ldc + c.first;
    blas_product(&p);
}

static void in_tiles(void *self, const struct blas_product *p)
{
    struct tiles t = {.whole = *p, .rows = 256, .columns = 512};
    t.whole.alpha = 1;
    share_out(self, &t, tile_piece, blocks_of(p->m, t.rows) * blocks_of(p->n, t.columns));
}

void ops_linear(void *self, const struct op_linear *o)
{
    in_tiles(self, &(struct blas_product){.b_transposed = true,
                                          .m = o->rows,
                                          .n = o->n_out,
                                          .k = o->n_in,
                                          .a = o->x,
                                          .lda = o->n_in,
                                          .b = o->w,
                                          .ldb = o->n_in,
                                          .c = o->y,
                                          .ldc = o->n_out});
}
void ops_linear_input(void *self, const struct op_linear_input *o)
{
    in_tiles(self, &(struct blas_product){.m = o->rows,
                                          .n = o->n_in,
                                          .k = o->n_out,
                                          .a = o->y_grad,
                                          .lda = o->n_out,
                                          .b = o->w,
                                          .ldb = o->n_in,
                                          .c = o->x_grad,
                                          .ldc = o->n_in});
}
void ops_linear_weight(void *self, const struct op_linear_weight *o)
{
    in_tiles(self, &(struct blas_product){.a_transposed = true,
                                          .m = o->n_out,
                                          .n = o->n_in,
                                          .k = o->rows,
                                          .beta = 1,
                                          .a = o->y_grad,
                                          .lda = o->n_out,
                                          .b = o->x,
                                          .ldb = o->n_in,
                                          .c = o->w_grad,
                                          .ldc = o->n_in});
}

/* Flat vectors. */

static void adamw_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_adamw *o = j->op;
    struct range r = range_at(index, ELEMENTS_BLOCK, o->count);
    j->cpu->kernels->adamw(o, r.first, r.last);
}
void ops_adamw(void *self, const struct op_adamw *o)
{
    share_out(self, o, adamw_piece, blocks_of(o->count, ELEMENTS_BLOCK));
}

struct reduction {
    const float *x;
    size_t count, block;
    double (*of)(const float *, size_t);
};

static void reduction_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct reduction *o = j->op;
    struct range r = range_at(index, o->block, o->count);
    j->cpu->partials[index] = o->of(o->x + r.first, r.last - r.first);
}
static double reduce(struct cpu *c, const float *x, size_t count,
                     double (*of)(const float *, size_t))
{
    struct reduction o = {x, count, most(ELEMENTS_BLOCK, blocks_of(count, OPS_PARTIALS)), of};
    size_t blocks = blocks_of(count, o.block);
    share_out(c, &o, reduction_piece, blocks);
    double total = 0;
    for (size_t i = 0; i < blocks; i++) total += c->partials[i];
    return total;
}

enum err ops_sum(void *self, const float *x, size_t count, double *out, struct why *w)
{
    (void)w;
    struct cpu *c = self;
    *out = reduce(c, x, count, c->kernels->sum);
    return ERR_OK;
}
enum err ops_norm2(void *self, const float *x, size_t count, double *out, struct why *w)
{
    (void)w;
    struct cpu *c = self;
    *out = sqrt(reduce(c, x, count, c->kernels->square_sum));
    return ERR_OK;
}

#define PEAK_ROUNDS ((size_t)1 << 22) /* of multiply_add: some 10 ms */
#define PEAK_PIECES 8                 /* a thread */

static void peak_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    j->cpu->partials[index] = j->cpu->kernels->multiply_add(PEAK_ROUNDS);
}

double ops_peak(struct cpu *c, size_t at_once)
{
    const size_t threads = pool_threads(c->pool),
                 pieces = least(PEAK_PIECES * threads, OPS_PARTIALS);
    const uint64_t began = clock_cpu().ns;
    share_out(c, NULL, peak_piece, pieces);
    const double seconds = (double)(clock_cpu().ns - began) * 1e-9;
    double operations = 0;
    for (size_t i = 0; i < pieces; i++) operations += c->partials[i];
    return operations / seconds * (double)least(threads, at_once);
}
