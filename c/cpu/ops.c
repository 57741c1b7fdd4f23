#include "cpu/ops.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/whole.h"
#include "cpu/attention.h"
#include "cpu/product.h"

#define ROWS_BLOCK     64                /* rows of one piece of an elementwise op */
#define ENTROPY_BLOCK  8                 /* for cross-entropy, whose rows are long */
#define COLUMNS_BLOCK  64                /* columns of one piece of a reduction over rows */
#define FEW_ROWS       4                 /* up to this many rows packing does not pay */
#define ELEMENTS_BLOCK ((size_t)1 << 16) /* of one piece of an op on a flat vector */

/* A range of rows, columns or elements that is one piece of an op. */
struct range {
    size_t first, last;
};
static struct range range_at(size_t index, size_t block, size_t n)
{
    return (struct range){index * block, min_u64((index + 1) * block, n)};
}

/* Argument of a piece: the backend and the op. */
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
    free(c->product.a);
    c->scratch = NULL;
    c->gain_partials = NULL;
    c->product = (struct product_room){0};
    c->sizes = (struct op_sizes){0};
}

#define HUGE_PAGE ((size_t)2 << 20)

void *ops_allocate(size_t bytes)
{
    void *memory;
    const bool huge = bytes >= 2 * HUGE_PAGE;
    if (posix_memalign(&memory, huge ? HUGE_PAGE : BACKEND_ALIGNMENT, bytes)) return NULL;
    if (huge) madvise(memory, bytes, MADV_HUGEPAGE); /* optional; fewer page faults */
    return memory;
}

static bool room_for_products(struct product_room *r)
{
    r->a = ops_allocate(PRODUCT_ROOM * sizeof *r->a);
    if (!r->a) return false;
    r->b = r->a + PRODUCT_WORDS;
    r->sums = (float *)(r->b + PRODUCT_WORDS);
    return true;
}

enum err ops_prepare(void *self, const struct op_sizes *sizes, struct why *w)
{
    struct cpu *c = self;
    struct op_sizes s = *sizes;
    s.rows = max_u64(s.rows, c->sizes.rows);
    s.dim = max_u64(s.dim, c->sizes.dim);
    s.length = max_u64(s.length, c->sizes.length);
    s.head_dim = max_u64(s.head_dim, c->sizes.head_dim);
    const size_t threads = pool_threads(c->pool);
    ops_release(c);
    c->scratch_bytes = attention_scratch(c->kernels, s.length, s.head_dim);
    c->gain_partials = malloc(ceil_div(s.rows, ROWS_BLOCK) * s.dim * sizeof(float));
    c->scratch = calloc(threads, sizeof *c->scratch);
    bool enough = c->gain_partials && c->scratch && room_for_products(&c->product);
    for (size_t t = 0; enough && t < threads; t++)
        enough = (c->scratch[t] = ops_allocate(c->scratch_bytes)) != NULL;
    if (enough) {
        c->sizes = s;
        return ERR_OK;
    }
    ops_release(c);
    return why(w, ERR_MEMORY,
               "no memory for the scratch space of %zu threads: set machine.threads lower",
               threads);
}

static void *at(const struct cpu *c, const void *x, size_t n)
{
    return kernels_at(c->kernels, x, n);
}

/* Embedding. */

static void embed_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    const struct job *j = ctx;
    const struct cpu *c = j->cpu;
    const struct op_embed *o = j->op;
    struct range r = range_at(index, ROWS_BLOCK, o->rows);
    for (size_t i = r.first; i < r.last; i++)
        c->kernels->round(at(c, o->out, i * o->dim),
                          (const float *)o->table + o->tokens[i] * o->dim, o->dim);
}
void ops_embed(void *self, const struct op_embed *o)
{
    share_out(self, o, embed_piece, ceil_div(o->rows, ROWS_BLOCK));
}

/* A piece is a band of columns, so that rows of one token are added in order. */
static void embed_backward_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_embed_backward *o = j->op;
    struct range r = range_at(index, COLUMNS_BLOCK, o->dim);
    for (size_t i = 0; i < o->rows; i++)
        j->cpu->kernels->add(o->table_grad + o->tokens[i] * o->dim + r.first,
                             at(j->cpu, o->out_grad, i * o->dim + r.first), r.last - r.first);
}
void ops_embed_backward(void *self, const struct op_embed_backward *o)
{
    share_out(self, o, embed_backward_piece, ceil_div(o->dim, COLUMNS_BLOCK));
}

/* Ops on independent rows: a piece is a block of rows. */
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
        share_out(self, o, name##_piece, ceil_div(o->rows, (block)));                              \
    }

ROWS_OP(norm, ROWS_BLOCK)
ROWS_OP(rotary, ROWS_BLOCK)
ROWS_OP(swiglu, ROWS_BLOCK)
ROWS_OP(swiglu_backward, ROWS_BLOCK)
ROWS_OP(cross_entropy, ENTROPY_BLOCK)

/* Norm's gradients: that of the gain is summed over all rows, block by block. */

static void norm_backward_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_norm_backward *o = j->op;
    struct range r = range_at(index, ROWS_BLOCK, o->rows);
    j->cpu->kernels->norm_backward(o, r.first, r.last, j->cpu->gain_partials + index * o->dim);
}
/* Adds the blocks' parts of the gain's gradient, in the order of blocks. */
static void norm_gain_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_norm_backward *o = j->op;
    struct range r = range_at(index, COLUMNS_BLOCK, o->dim);
    for (size_t b = 0; b < ceil_div(o->rows, ROWS_BLOCK); b++)
        j->cpu->kernels->add_floats(o->gain_grad + r.first,
                                    j->cpu->gain_partials + b * o->dim + r.first, r.last - r.first);
}
void ops_norm_backward(void *self, const struct op_norm_backward *o)
{
    struct cpu *c = self;
    assert(o->rows <= c->sizes.rows && o->dim <= c->sizes.dim);
    share_out(self, o, norm_backward_piece, ceil_div(o->rows, ROWS_BLOCK));
    share_out(self, o, norm_gain_piece, ceil_div(o->dim, COLUMNS_BLOCK));
}

/* Attention: a piece is a head of a sequence; backward, the heads that share keys and values. */

static void attention_piece(void *ctx, size_t index, size_t thread)
{
    struct job *j = ctx;
    const struct cpu *c = j->cpu;
    const struct op_attention *o = j->op;
    const size_t sequence = index / o->heads, head = index % o->heads, dim = o->head_dim;
    const size_t stride = (o->heads + 2 * o->kv_heads) * dim,
                 shared = head / (o->heads / o->kv_heads);
    const void *row = at(c, o->qkv, sequence * o->length * stride);
    attention_forward(c->kernels,
                      &(struct attention_head){
                          .queries = at(c, row, head * dim),
                          .keys = at(c, row, (o->heads + shared) * dim),
                          .values = at(c, row, (o->heads + o->kv_heads + shared) * dim),
                          .out = at(c, o->out, sequence * o->length * o->heads * dim + head * dim),
                          .rows = o->length,
                          .head_dim = dim,
                          .queries_stride = stride,
                          .keys_stride = stride,
                          .out_stride = o->heads * dim,
                          .logsum = o->logsum + index * o->length,
                      },
                      c->scratch[thread]);
}
void ops_attention(void *self, const struct op_attention *o)
{
    const struct cpu *c = self;
    assert(attention_scratch(c->kernels, o->length, o->head_dim) <= c->scratch_bytes);
    share_out(self, o, attention_piece, o->sequences * o->heads);
}

static void attention_backward_piece(void *ctx, size_t index, size_t thread)
{
    struct job *j = ctx;
    const struct cpu *c = j->cpu;
    const struct op_attention_backward *o = j->op;
    const size_t sequence = index / o->kv_heads, shared = index % o->kv_heads, dim = o->head_dim;
    const size_t stride = (o->heads + 2 * o->kv_heads) * dim, group = o->heads / o->kv_heads;
    const size_t head = shared * group, out_stride = o->heads * dim;
    const size_t queries = sequence * o->length * stride + head * dim;
    const size_t keys = sequence * o->length * stride + (o->heads + shared) * dim;
    const size_t values = keys + o->kv_heads * dim;
    const size_t out = sequence * o->length * out_stride + head * dim;
    attention_backward(
        c->kernels,
        &(struct attention_gradient){
            .forward = {.queries = at(c, o->qkv, queries),
                        .keys = at(c, o->qkv, keys),
                        .values = at(c, o->qkv, values),
                        .out = at(c, o->out, out),
                        .rows = o->length,
                        .head_dim = dim,
                        .queries_stride = stride,
                        .keys_stride = stride,
                        .out_stride = out_stride,
                        .logsum = (float *)o->logsum + (sequence * o->heads + head) * o->length},
            .group = group,
            .out_grad = at(c, o->out_grad, out),
            .queries_grad = at(c, o->qkv_grad, queries),
            .keys_grad = at(c, o->qkv_grad, keys),
            .values_grad = at(c, o->qkv_grad, values),
        },
        c->scratch[thread]);
}
void ops_attention_backward(void *self, const struct op_attention_backward *o)
{
    const struct cpu *c = self;
    assert(attention_scratch(c->kernels, o->length, o->head_dim) <= c->scratch_bytes);
    share_out(self, o, attention_backward_piece, o->sequences * o->kv_heads);
}

/* Few new tokens: each attends separately, since packing all keys would cost more than it saves. */
static void attend_piece(struct cpu *c, const struct op_attention_cached *o, size_t head,
                         float *scratch)
{
    const size_t dim = o->head_dim, shared = head / (o->heads / o->kv_heads);
    for (size_t r = 0; r < o->rows; r++)
        c->kernels->attend(at(c, o->qkv, (r * (o->heads + 2 * o->kv_heads) + head) * dim),
                           at(c, o->keys, shared * dim), at(c, o->values, shared * dim),
                           o->kv_heads * dim, o->past + r + 1, dim, scratch + dim, scratch,
                           at(c, o->out, (r * o->heads + head) * dim));
}

static void attention_cached_piece(void *ctx, size_t index, size_t thread)
{
    struct job *j = ctx;
    struct cpu *c = j->cpu;
    const struct op_attention_cached *o = j->op;
    const size_t dim = o->head_dim, shared = index / (o->heads / o->kv_heads);
    if (o->rows <= FEW_ROWS) {
        attend_piece(c, o, index, c->scratch[thread]);
        return;
    }
    attention_forward(c->kernels,
                      &(struct attention_head){
                          .queries = at(c, o->qkv, index * dim),
                          .keys = at(c, o->keys, shared * dim),
                          .values = at(c, o->values, shared * dim),
                          .out = at(c, o->out, index * dim),
                          .rows = o->rows,
                          .past = o->past,
                          .head_dim = dim,
                          .queries_stride = (o->heads + 2 * o->kv_heads) * dim,
                          .keys_stride = o->kv_heads * dim,
                          .out_stride = o->heads * dim,
                      },
                      c->scratch[thread]);
}
void ops_attention_cached(void *self, const struct op_attention_cached *o)
{
    struct cpu *c = self;
    const size_t width = o->kv_heads * o->head_dim, queries = o->heads * o->head_dim;
    assert(attention_scratch(c->kernels, o->past + o->rows, o->head_dim) <= c->scratch_bytes);
    for (size_t r = 0; r < o->rows; r++) {
        const void *keys = at(c, o->qkv, r * (queries + 2 * width) + queries);
        memcpy(at(c, o->keys, (o->past + r) * width), keys, width * kernels_bytes(c->kernels));
        memcpy(at(c, o->values, (o->past + r) * width), at(c, keys, width),
               width * kernels_bytes(c->kernels));
    }
    share_out(self, o, attention_cached_piece, o->heads);
}

/* Matrix products. */

static void multiply(struct cpu *c, struct product p)
{
    product_run(c->pool, c->kernels, &c->product, &p);
}

static void linear_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    const struct job *j = ctx;
    const struct op_linear *o = j->op;
    struct range r = range_at(index, COLUMNS_BLOCK, o->n_out);
    j->cpu->kernels->linear(o, r.first, r.last);
}

void ops_linear(void *self, const struct op_linear *o)
{
    if (o->rows <= FEW_ROWS) share_out(self, o, linear_piece, ceil_div(o->n_out, COLUMNS_BLOCK));
    else
        multiply(self, (struct product){.a = o->x,
                                        .a_stride = o->n_in,
                                        .a_along = true,
                                        .b = o->w,
                                        .b_stride = o->n_in,
                                        .b_along = true,
                                        .b_floats = true,
                                        .m = o->rows,
                                        .n = o->n_out,
                                        .k = o->n_in,
                                        .out = o->y});
}
void ops_linear_input(void *self, const struct op_linear_input *o)
{
    multiply(self, (struct product){.a = o->y_grad,
                                    .a_stride = o->n_out,
                                    .a_along = true,
                                    .b = o->w,
                                    .b_stride = o->n_in,
                                    .b_floats = true,
                                    .m = o->rows,
                                    .n = o->n_in,
                                    .k = o->n_out,
                                    .out = o->x_grad});
}
void ops_linear_weight(void *self, const struct op_linear_weight *o)
{
    multiply(self, (struct product){.a = o->y_grad,
                                    .a_stride = o->n_out,
                                    .b = o->x,
                                    .b_stride = o->n_in,
                                    .m = o->n_out,
                                    .n = o->n_in,
                                    .k = o->rows,
                                    .sums = o->w_grad,
                                    .add = o->add});
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
    assert(!o->bf16_weights);
    share_out(self, o, adamw_piece, ceil_div(o->count, ELEMENTS_BLOCK));
}

struct zero {
    uint8_t *memory;
    size_t bytes;
};
static void zero_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    const struct zero *o = ((struct job *)ctx)->op;
    struct range r = range_at(index, ELEMENTS_BLOCK, o->bytes);
    memset(o->memory + r.first, 0, r.last - r.first);
}
void ops_zero(void *self, void *memory, size_t bytes)
{
    share_out(self, &(struct zero){memory, bytes}, zero_piece, ceil_div(bytes, ELEMENTS_BLOCK));
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
    struct reduction o = {x, count, max_u64(ELEMENTS_BLOCK, ceil_div(count, OPS_PARTIALS)), of};
    size_t blocks = ceil_div(count, o.block);
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

#define PEAK_ROUNDS ((size_t)1 << 22) /* of multiply_add: about 10 ms */
#define PEAK_PIECES 8                 /* per thread */

static void peak_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    j->cpu->partials[index] = j->cpu->kernels->multiply_add(PEAK_ROUNDS);
}

double ops_peak(struct cpu *c, size_t at_once)
{
    const size_t threads = pool_threads(c->pool),
                 pieces = min_u64(PEAK_PIECES * threads, OPS_PARTIALS);
    const uint64_t began = clock_cpu().ns;
    share_out(c, NULL, peak_piece, pieces);
    const double seconds = (double)(clock_cpu().ns - began) * 1e-9;
    double operations = 0;
    for (size_t i = 0; i < pieces; i++) operations += c->partials[i];
    return operations / seconds * (double)min_u64(threads, at_once);
}
