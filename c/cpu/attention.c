#include "cpu/attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/carve.h"
#include "base/whole.h"

/* Strips of queries per block: the micro-kernel processes three at a time, tiles two; backward a
 * multiple, so that the products along the queries are long enough to pay for loading their
 * sums. */
#define FORWARD_STRIPS  3
#define TILES_STRIPS    4
#define BACKWARD_STRIPS 6
#define STRIPS_MAX      6
#define LANES_MAX       16
#define COLUMNS_MAX     (STRIPS_MAX * LANES_MAX)

/* Keys per block, a multiple of a strip's rows: scores and probabilities take about 36 KiB. */
#define FORWARD_KEYS  128
#define BACKWARD_KEYS 64

static size_t forward_strips(const struct kernels *k)
{
    return k->left ? TILES_STRIPS : FORWARD_STRIPS;
}

/* Strips for `rows` rows of `depth` numbers. */
static uint32_t *carve_strips(struct carver *c, const struct kernels *k, size_t rows, size_t depth)
{
    return carve(c, align_up(rows, k->lanes) * kernels_steps(k, depth) * sizeof(uint32_t));
}

/* The scratch of both directions; the second half is for backward only. */
struct room {
    uint32_t *keys;    /* packed: rows are keys, along head_dim */
    uint32_t *values;  /* forward: rows are head_dim, along keys; backward like keys */
    uint32_t *queries; /* of a block: rows are queries, along head_dim */
    float *scores;     /* [keys, columns] */
    /* Rows are queries, along a block's keys: probabilities, or their gradients. */
    uint32_t *chances;
    float *sums; /* [head_dim, columns]: of outputs, or of the gradients of queries */

    uint32_t *keys_turned;                      /* rows are head_dim, along keys */
    uint32_t *out_grad;                         /* like queries */
    uint32_t *queries_turned, *out_grad_turned; /* rows are head_dim, along queries */
    float *chances_grad;                        /* [keys, columns] */
    void *p, *ds;                               /* [keys, columns] activations */
    uint32_t *p_turned;                         /* rows are keys, along queries */
    float *keys_grad, *values_grad;             /* [length, head_dim] */
};

static size_t carve_forward(struct carver *c, const struct kernels *k, size_t length, size_t dim,
                            struct room *r)
{
    const size_t columns = forward_strips(k) * k->lanes;
    r->keys = carve_strips(c, k, length, dim);
    r->values = carve_strips(c, k, dim, length);
    r->queries = carve_strips(c, k, columns, dim);
    r->scores = carve(c, FORWARD_KEYS * columns * sizeof(float));
    r->chances = carve_strips(c, k, columns, FORWARD_KEYS);
    r->sums = carve(c, dim * columns * sizeof(float));
    return c->used;
}

static size_t carve_backward(struct carver *c, const struct kernels *k, size_t length, size_t dim,
                             struct room *r)
{
    const size_t columns = BACKWARD_STRIPS * k->lanes, square = BACKWARD_KEYS * columns;
    r->keys = carve_strips(c, k, length, dim);
    r->values = carve_strips(c, k, length, dim);
    r->keys_turned = carve_strips(c, k, dim, length);
    r->queries = carve_strips(c, k, columns, dim);
    r->out_grad = carve_strips(c, k, columns, dim);
    r->queries_turned = carve_strips(c, k, dim, columns);
    r->out_grad_turned = carve_strips(c, k, dim, columns);
    r->scores = carve(c, square * sizeof(float));
    r->chances_grad = carve(c, square * sizeof(float));
    r->p = k->bf16 ? carve(c, square * sizeof(uint16_t)) : r->scores;
    r->ds = k->bf16 ? carve(c, square * sizeof(uint16_t)) : r->chances_grad;
    r->chances = carve_strips(c, k, columns, BACKWARD_KEYS);
    r->p_turned = carve_strips(c, k, BACKWARD_KEYS, columns);
    r->sums = carve(c, dim * columns * sizeof(float));
    r->keys_grad = carve(c, length * dim * sizeof(float));
    r->values_grad = carve(c, length * dim * sizeof(float));
    return c->used;
}

size_t attention_scratch(const struct kernels *k, size_t length, size_t head_dim)
{
    struct room r;
    const size_t forward = carve_forward(&(struct carver){0}, k, length, head_dim, &r);
    const size_t backward = carve_backward(&(struct carver){0}, k, length, head_dim, &r);
    return max_u64(forward, backward);
}

/* Packs [rows, dim] activations `stride` apart, for a left or right operand: as they are (rows stay
 * rows), or transposed. */
static void pack(const struct kernels *k, bool left, uint32_t *to, const void *x, size_t stride,
                 size_t rows, size_t dim)
{
    k->pack(&(struct kernel_pack){to, x, stride, true, false, left, rows, dim});
}
static void pack_turned(const struct kernels *k, bool left, uint32_t *to, const void *x,
                        size_t stride, size_t rows, size_t dim)
{
    k->pack(&(struct kernel_pack){to, x, stride, false, false, left, dim, rows});
}

/* An operand of a product: strips, starting at a row or a step, or unpacked rows. */
struct operand {
    const void *at;
    size_t stride; /* words from strip to strip, or activations from row to row */
    bool along;    /* unpacked rows */
};
static struct operand strips_of(const struct kernels *k, const uint32_t *strips, size_t depth)
{
    return (struct operand){strips, kernels_steps(k, depth) * k->lanes, false};
}

/* A left operand of [rows, depth] activations `stride` apart: unpacked where the kernels support it,
 * otherwise packed. */
static struct operand left_of(const struct kernels *k, uint32_t *room, const void *x, size_t stride,
                              size_t rows, size_t depth)
{
    if (k->unpacked && depth % k->unpacked == 0) return (struct operand){x, stride, true};
    pack(k, true, room, x, stride, rows, depth);
    return strips_of(k, room, depth);
}

/* The operand starting at a row, the first of a strip; and starting at a number along k, the first
 * of a square. */
static struct operand from_row(const struct kernels *k, struct operand o, size_t row)
{
    o.at = (const uint32_t *)o.at + row / k->lanes * o.stride;
    return o;
}
static struct operand from_number(const struct kernels *k, struct operand o, size_t number)
{
    o.at = (const uint32_t *)o.at + number / k->numbers_of_step * k->lanes;
    return o;
}

/* sum [rows, columns] = or += a b, over `depth` numbers. */
static void multiply(const struct kernels *k, struct operand a, struct operand b, size_t depth,
                     size_t rows, size_t columns, float *sum, bool add)
{
    k->multiply(&(struct kernel_tile){.a = a.at,
                                      .b = b.at,
                                      .along = a.along,
                                      .a_stride = a.stride,
                                      .b_stride = b.stride,
                                      .rows = rows,
                                      .columns = columns,
                                      .steps = kernels_steps(k, depth),
                                      .sum = sum,
                                      .sum_stride = columns,
                                      .add = add});
}

void attention_forward(const struct kernels *k, const struct attention_head *h, void *scratch)
{
    const size_t dim = h->head_dim, length = h->past + h->rows;
    struct room r;
    carve_forward(&(struct carver){.start = scratch}, k, length, dim, &r);
    kernels_enter(k);
    const struct operand keys = strips_of(k, r.keys, dim);
    const struct operand values = strips_of(k, r.values, length);
    const struct operand queries = strips_of(k, r.queries, dim);
    pack(k, true, r.keys, h->keys, h->keys_stride, length, dim);
    pack_turned(k, true, r.values, h->values, h->keys_stride, length, dim);
    for (size_t q = 0, rows; q < h->rows; q += rows) {
        rows = min_u64(forward_strips(k) * k->lanes, h->rows - q);
        const size_t columns = align_up(rows, k->lanes), seen = h->past + q + rows;
        float top[COLUMNS_MAX], total[COLUMNS_MAX] = {0};
        for (size_t c = 0; c < columns; c++) top[c] = -INFINITY;
        memset(r.sums, 0, dim * columns * sizeof(float));
        pack(k, false, r.queries, kernels_at(k, h->queries, q * h->queries_stride),
             h->queries_stride, rows, dim);
        for (size_t first = 0; first < seen; first += FORWARD_KEYS) {
            const struct kernel_scores s = {.scores = r.scores,
                                            .keys = min_u64(FORWARD_KEYS, seen - first),
                                            .columns = columns,
                                            .first_key = first,
                                            .first_query = h->past + q,
                                            .alpha = 1 / sqrtf((float)dim)};
            multiply(k, from_row(k, keys, first), queries, dim, s.keys, columns, r.scores, false);
            k->softmax(&s, top, total, r.chances, r.sums, dim);
            multiply(k, from_number(k, values, first), strips_of(k, r.chances, s.keys), s.keys, dim,
                     columns, r.sums, true);
        }
        for (size_t c = 0; c < rows && h->logsum; c++) h->logsum[q + c] = top[c] + logf(total[c]);
        for (size_t c = 0; c < columns; c++) total[c] = 1 / total[c];
        k->turn(r.sums, columns, total, rows, dim, kernels_at(k, h->out, q * h->out_stride),
                h->out_stride);
    }
    kernels_leave(k);
}

/* Backward: the present block of queries of one head. */
struct queries {
    const struct kernels *k;
    const struct room *r;
    size_t first, rows, columns; /* columns: rows, rounded up to whole strips */
    size_t dim, length;
    float logsum[COLUMNS_MAX], delta[COLUMNS_MAX];
};

/* With P the probabilities and S = alpha Q K^T:  dV = P^T dO,  dP = dO V^T,  delta = rowsum(dO O),
 * dS = alpha P (dP - delta),  dQ = dS K,  dK = dS^T Q  (arXiv 2205.14135, appendix B.2); here for
 * one block of keys. */
static void backward_keys(const struct queries *q, size_t first, size_t keys)
{
    const struct kernels *k = q->k;
    const struct room *r = q->r;
    const size_t dim = q->dim, columns = q->columns;
    const struct kernel_scores s = {.scores = r->scores,
                                    .keys = keys,
                                    .columns = columns,
                                    .first_key = first,
                                    .first_query = q->first,
                                    .alpha = 1 / sqrtf((float)dim)};
    multiply(k, from_row(k, strips_of(k, r->keys, dim), first), strips_of(k, r->queries, dim), dim,
             keys, columns, r->scores, false);
    multiply(k, from_row(k, strips_of(k, r->values, dim), first), strips_of(k, r->out_grad, dim),
             dim, keys, columns, r->chances_grad, false);
    k->softmax_backward(&s, r->chances_grad, q->logsum, q->delta, r->p, r->ds, r->chances);
    multiply(k, from_number(k, strips_of(k, r->keys_turned, q->length), first),
             strips_of(k, r->chances, keys), keys, dim, columns, r->sums, true);

    const struct operand p = left_of(k, r->p_turned, r->p, columns, keys, q->rows);
    multiply(k, p, strips_of(k, r->out_grad_turned, q->rows), q->rows, keys, dim,
             r->values_grad + first * dim, true);
    const struct operand ds = left_of(k, r->p_turned, r->ds, columns, keys, q->rows);
    multiply(k, ds, strips_of(k, r->queries_turned, q->rows), q->rows, keys, dim,
             r->keys_grad + first * dim, true);
}

/* The gradients of one head. */
static void backward_head(const struct kernels *k, const struct attention_gradient *g, size_t head,
                          const struct room *r)
{
    const struct attention_head *h = &g->forward;
    const size_t dim = h->head_dim, across = head * dim;
    for (size_t first = 0, rows; first < h->rows; first += rows) {
        rows = min_u64(BACKWARD_STRIPS * k->lanes, h->rows - first);
        struct queries q = {.k = k,
                            .r = r,
                            .first = first,
                            .rows = rows,
                            .columns = align_up(rows, k->lanes),
                            .dim = dim,
                            .length = h->rows};
        const size_t query_at = first * h->queries_stride + across;
        const size_t out_at = first * h->out_stride + across;
        const void *queries = kernels_at(k, h->queries, query_at),
                   *out_grad = kernels_at(k, g->out_grad, out_at);
        memcpy(q.logsum, h->logsum + head * h->rows + first, rows * sizeof(float));
        for (size_t i = 0; i < rows; i++)
            q.delta[i] = k->dot(kernels_at(k, out_grad, i * h->out_stride),
                                kernels_at(k, h->out, out_at + i * h->out_stride), dim);
        pack(k, false, r->queries, queries, h->queries_stride, rows, dim);
        pack(k, false, r->out_grad, out_grad, h->out_stride, rows, dim);
        pack_turned(k, false, r->queries_turned, queries, h->queries_stride, rows, dim);
        pack_turned(k, false, r->out_grad_turned, out_grad, h->out_stride, rows, dim);
        memset(r->sums, 0, dim * q.columns * sizeof(float));
        for (size_t key = 0; key < first + rows; key += BACKWARD_KEYS)
            backward_keys(&q, key, min_u64(BACKWARD_KEYS, first + rows - key));
        k->turn(r->sums, q.columns, NULL, rows, dim, kernels_at(k, g->queries_grad, query_at),
                h->queries_stride);
    }
}

void attention_backward(const struct kernels *k, const struct attention_gradient *g, void *scratch)
{
    const struct attention_head *h = &g->forward;
    const size_t dim = h->head_dim, length = h->rows;
    struct room r;
    assert(h->past == 0);
    carve_backward(&(struct carver){.start = scratch}, k, length, dim, &r);
    pack(k, true, r.keys, h->keys, h->keys_stride, length, dim);
    pack(k, true, r.values, h->values, h->keys_stride, length, dim);
    pack_turned(k, true, r.keys_turned, h->keys, h->keys_stride, length, dim);
    memset(r.keys_grad, 0, length * dim * sizeof(float));
    memset(r.values_grad, 0, length * dim * sizeof(float));
    kernels_enter(k);
    for (size_t head = 0; head < g->group; head++) backward_head(k, g, head, &r);
    kernels_leave(k);
    for (size_t i = 0; i < length; i++) {
        const size_t row = i * h->keys_stride;
        k->round(kernels_at(k, g->keys_grad, row), r.keys_grad + i * dim, dim);
        k->round(kernels_at(k, g->values_grad, row), r.values_grad + i * dim, dim);
    }
}
