#include "cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "cpu/attention.h"
#include "cpu/blas.h"
#include "cpu/kernels.h"

#define ALIGNMENT      256
#define HUGE_PAGE      ((size_t)2 << 20)
#define ROWS_BLOCK     64                /* rows of one piece of an elementwise op */
#define ENTROPY_BLOCK  8                 /* of cross-entropy, whose rows are long */
#define COLUMNS_BLOCK  64                /* columns of one piece of a reduction over rows */
#define ELEMENTS_BLOCK ((size_t)1 << 16) /* of one piece of an op on a flat vector */
#define PARTIALS       1024              /* of a sum over a flat vector, at most */

struct cpu {
    struct pool *pool;
    const struct kernels *kernels;
    float *gain_partials;  /* [blocks of rows, dim] */
    float **scratch;       /* of each thread: for attention */
    struct op_sizes sizes; /* that the two above suffice for */
    double partials[PARTIALS];
    char text[64];
};

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

/* Memory. */

/* Bytes that the system could still give without swapping; all there are where it does not say. */
static size_t memory_available(void)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) break;
    if (f) fclose(f);
    return kib ? (size_t)kib << 10 : SIZE_MAX;
}

/* Touches every page, so that what does not fit is refused here and not killed later. */
static enum err memory_take(void *self, size_t bytes, void **out, struct why *w)
{
    (void)self;
    size_t rounded = blocks_of(bytes, ALIGNMENT) * ALIGNMENT;
    size_t align = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    size_t available = bytes >= HUGE_PAGE ? memory_available() : SIZE_MAX;
    if (rounded > available || posix_memalign(out, align, rounded ? rounded : ALIGNMENT))
        return why(w, ERR_MEMORY,
                   "%.1f MiB of memory are needed at once, and this machine has %.1f left",
                   (double)bytes / 0x1p20, (double)memory_available() / 0x1p20);
    if (align == HUGE_PAGE) madvise(*out, rounded, MADV_HUGEPAGE); /* a wish; fewer page faults */
    memset(*out, 0, rounded);
    return ERR_OK;
}

static void memory_give(void *self, void *memory, size_t bytes)
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

static void memory_zero(void *self, void *device, size_t bytes)
{
    (void)self;
    memset(device, 0, bytes);
}

static void scratch_free(struct cpu *c)
{
    for (size_t t = 0; c->scratch && t < pool_threads(c->pool); t++) free(c->scratch[t]);
    free(c->scratch);
    free(c->gain_partials);
    c->scratch = NULL;
    c->gain_partials = NULL;
    c->sizes = (struct op_sizes){0};
}

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

static enum err prepare(void *self, const struct op_sizes *sizes, struct why *w)
{
    struct cpu *c = self;
    struct op_sizes s = *sizes;
    s.rows = most(s.rows, c->sizes.rows);
    s.dim = most(s.dim, c->sizes.dim);
    s.length = most(s.length, c->sizes.length);
    size_t threads = pool_threads(c->pool), scratch = attention_scratch(s.length);
    scratch_free(c);
    c->gain_partials = malloc(blocks_of(s.rows, ROWS_BLOCK) * s.dim * sizeof(float));
    c->scratch = calloc(threads, sizeof *c->scratch);
    bool enough = c->gain_partials && c->scratch;
    for (size_t t = 0; enough && t < threads; t++)
        enough = !posix_memalign((void **)&c->scratch[t], ALIGNMENT, scratch * sizeof(float));
    if (enough) {
        c->sizes = s;
        return ERR_OK;
    }
    scratch_free(c);
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
        memcpy((float *)o->out + i * o->dim, o->table + o->tokens[i] * o->dim,
               o->dim * sizeof(float));
}
static void embed(void *self, const struct op_embed *o)
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
static void embed_backward(void *self, const struct op_embed_backward *o)
{
    share_out(self, o, embed_backward_piece, blocks_of(o->dim, COLUMNS_BLOCK));
}

/* Norm. */

static void norm_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_norm *o = j->op;
    struct range r = range_at(index, ROWS_BLOCK, o->rows);
    j->cpu->kernels->norm(o, r.first, r.last);
}
static void norm(void *self, const struct op_norm *o)
{
    share_out(self, o, norm_piece, blocks_of(o->rows, ROWS_BLOCK));
}

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
static void norm_backward(void *self, const struct op_norm_backward *o)
{
    struct cpu *c = self;
    assert(o->rows <= c->sizes.rows && o->dim <= c->sizes.dim);
    share_out(self, o, norm_backward_piece, blocks_of(o->rows, ROWS_BLOCK));
    share_out(self, o, norm_gain_piece, blocks_of(o->dim, COLUMNS_BLOCK));
}

/* Rotary, SwiGLU, cross-entropy: rows on their own. */

static void rotary_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_rotary *o = j->op;
    struct range r = range_at(index, ROWS_BLOCK, o->rows);
    j->cpu->kernels->rotary(o, r.first, r.last);
}
static void rotary(void *self, const struct op_rotary *o)
{
    share_out(self, o, rotary_piece, blocks_of(o->rows, ROWS_BLOCK));
}

static void swiglu_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_swiglu *o = j->op;
    struct range r = range_at(index, ROWS_BLOCK, o->rows);
    j->cpu->kernels->swiglu(o, r.first, r.last);
}
static void swiglu(void *self, const struct op_swiglu *o)
{
    share_out(self, o, swiglu_piece, blocks_of(o->rows, ROWS_BLOCK));
}

static void swiglu_backward_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_swiglu_backward *o = j->op;
    struct range r = range_at(index, ROWS_BLOCK, o->rows);
    j->cpu->kernels->swiglu_backward(o, r.first, r.last);
}
static void swiglu_backward(void *self, const struct op_swiglu_backward *o)
{
    share_out(self, o, swiglu_backward_piece, blocks_of(o->rows, ROWS_BLOCK));
}

static void cross_entropy_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    const struct op_cross_entropy *o = j->op;
    struct range r = range_at(index, ENTROPY_BLOCK, o->rows);
    j->cpu->kernels->cross_entropy(o, r.first, r.last);
}
static void cross_entropy(void *self, const struct op_cross_entropy *o)
{
    share_out(self, o, cross_entropy_piece, blocks_of(o->rows, ENTROPY_BLOCK));
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
static void attention(void *self, const struct op_attention *o)
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
static void attention_gradient(void *self, const struct op_attention_backward *o)
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
static void attention_cached(void *self, const struct op_attention_cached *o)
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

static void linear(void *self, const struct op_linear *o)
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
static void linear_input(void *self, const struct op_linear_input *o)
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
static void linear_weight(void *self, const struct op_linear_weight *o)
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
static void adamw(void *self, const struct op_adamw *o)
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
    struct reduction o = {x, count, most(ELEMENTS_BLOCK, blocks_of(count, PARTIALS)), of};
    size_t blocks = blocks_of(count, o.block);
    share_out(c, &o, reduction_piece, blocks);
    double total = 0;
    for (size_t i = 0; i < blocks; i++) total += c->partials[i];
    return total;
}

static enum err sum(void *self, const float *x, size_t count, double *out, struct why *w)
{
    (void)w;
    struct cpu *c = self;
    *out = reduce(c, x, count, c->kernels->sum);
    return ERR_OK;
}
static enum err norm2(void *self, const float *x, size_t count, double *out, struct why *w)
{
    (void)w;
    struct cpu *c = self;
    *out = sqrt(reduce(c, x, count, c->kernels->square_sum));
    return ERR_OK;
}

size_t cpu_threads(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (size_t)count : 1;
}

#define PEAK_ROUNDS ((size_t)1 << 22) /* of multiply_add: some 10 ms */
#define PEAK_PIECES 8                 /* a thread */

static void peak_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    struct job *j = ctx;
    j->cpu->partials[index] = j->cpu->kernels->multiply_add(PEAK_ROUNDS);
}

double cpu_peak(const struct backend *b)
{
    struct cpu *c = b->self;
    const size_t threads = pool_threads(c->pool), pieces = least(PEAK_PIECES * threads, PARTIALS);
    const uint64_t began = clock_cpu().ns;
    share_out(c, NULL, peak_piece, pieces);
    const double seconds = (double)(clock_cpu().ns - began) * 1e-9;
    double operations = 0;
    for (size_t i = 0; i < pieces; i++) operations += c->partials[i];
    return operations / seconds * (double)threads;
}

const char *cpu_describe(const struct backend *b) { return ((struct cpu *)b->self)->text; }

enum err cpu_open(struct backend *out, struct pool *pool, struct why *w)
{
    const struct kernels *k = kernels_avx512_here() ? &kernels_avx512 : &kernels_avx2;
    return cpu_open_as(out, pool, k->name, w);
}

enum err cpu_open_as(struct backend *out, struct pool *pool, const char *kernels, struct why *w)
{
    const bool wide = !strcmp(kernels, kernels_avx512.name);
    assert(wide || !strcmp(kernels, kernels_avx2.name));
    if (!kernels_avx2_here())
        return why(w, ERR_DEVICE,
                   "this processor lacks AVX2 and FMA, which shoal needs (x86-64-v3)");
    if (wide && !kernels_avx512_here()) return why(w, ERR_DEVICE, "this processor lacks AVX-512");
    struct cpu *c = calloc(1, sizeof *c);
    if (!c) return why(w, ERR_MEMORY, "no memory for the CPU backend");
    blas_setup();
    c->pool = pool;
    c->kernels = wide ? &kernels_avx512 : &kernels_avx2;
    snprintf(c->text, sizeof c->text, "%s, OpenBLAS %s", c->kernels->name, blas_core());
    *out = (struct backend){
        .name = "cpu",
        .host = true,
        .activation_bytes = sizeof(float),
        .self = c,
        .prepare = prepare,
        .take = memory_take,
        .give = memory_give,
        .upload = memory_upload,
        .download = memory_download,
        .zero = memory_zero,
        .embed = embed,
        .embed_backward = embed_backward,
        .norm = norm,
        .norm_backward = norm_backward,
        .rotary = rotary,
        .attention = attention,
        .attention_backward = attention_gradient,
        .attention_cached = attention_cached,
        .swiglu = swiglu,
        .swiglu_backward = swiglu_backward,
        .linear = linear,
        .linear_input = linear_input,
        .linear_weight = linear_weight,
        .cross_entropy = cross_entropy,
        .adamw = adamw,
        .sum = sum,
        .norm2 = norm2,
    };
    return ERR_OK;
}

void cpu_close(struct backend *b)
{
    struct cpu *c = b->self;
    if (!c) return;
    scratch_free(c);
    free(c);
    b->self = NULL;
}
