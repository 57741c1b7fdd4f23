#include "model/model_parts.h"

#include <assert.h>
#include <string.h>

#include "base/whole.h"

/* Tokens that model_feed processes at a time. */
#define FEED_ROWS 256

const struct layout *model_layout(const struct model *m) { return &m->layout; }

/* One pass: the arguments of the functions below. */
struct pass {
    struct model *m;
    const float *parameters;
    float *gradients;
    size_t sequences, length, rows;
    bool cached;  /* generation: append to the cache and attend to it */
    size_t start; /* position of the first row of each sequence */
};

/* Address of element `n` of an array of activations. */
static void *at(const struct model *m, const void *x, size_t n)
{
    return (uint8_t *)x + n * m->b->activation_bytes;
}

/* A matrix, in the form that products use. */
static const void *weight(const struct pass *p, enum layout_kind kind, uint32_t layer)
{
    const struct model *m = p->m;
    const size_t offset = layout_offset(&m->layout, kind, layer);
    return m->bf16_weights ? at(m, m->bf16_weights, offset)
                           : (const void *)(p->parameters + offset);
}
static const float *gain(const struct pass *p, enum layout_kind kind, uint32_t layer)
{
    return p->parameters + layout_offset(&p->m->layout, kind, layer);
}
static float *gradient(const struct pass *p, enum layout_kind kind, uint32_t layer)
{
    return p->gradients + layout_offset(&p->m->layout, kind, layer);
}

static void linear(const struct pass *p, void *y, const void *x, const void *w, size_t n_in,
                   size_t n_out)
{
    p->m->b->linear(
        p->m->b->self,
        &(struct op_linear){.y = y, .x = x, .w = w, .rows = p->rows, .n_in = n_in, .n_out = n_out});
}

/* The gradients of y = x w^T. */
static void linear_input(const struct pass *p, void *x_grad, const void *y_grad, const void *w,
                         size_t n_in, size_t n_out)
{
    const struct backend *b = p->m->b;
    b->linear_input(b->self, &(struct op_linear_input){.x_grad = x_grad,
                                                       .y_grad = y_grad,
                                                       .w = w,
                                                       .rows = p->rows,
                                                       .n_in = n_in,
                                                       .n_out = n_out});
}
static void linear_weight(const struct pass *p, float *w_grad, bool add, const void *y_grad,
                          const void *x, size_t n_in, size_t n_out)
{
    const struct backend *b = p->m->b;
    b->linear_weight(b->self, &(struct op_linear_weight){.w_grad = w_grad,
                                                         .add = add,
                                                         .y_grad = y_grad,
                                                         .x = x,
                                                         .rows = p->rows,
                                                         .n_in = n_in,
                                                         .n_out = n_out});
}

static void norm(const struct pass *p, void *sum, void *out, float *inverse, const void *x,
                 const void *add, const float *gains)
{
    const struct model_shape *s = &p->m->layout.shape;
    p->m->b->norm(p->m->b->self, &(struct op_norm){.sum = sum,
                                                   .out = out,
                                                   .inverse = inverse,
                                                   .x = x,
                                                   .add = add,
                                                   .gain = gains,
                                                   .rows = p->rows,
                                                   .dim = s->dim,
                                                   .eps = (float)s->rms_eps});
}

/* Norm whose forward output is m->normed and whose output gradient is m->residual. Adds to the
 * gradient of the stream, except for the last norm, which writes it. */
static void norm_backward(const struct pass *p, const void *x, const float *inverse,
                          enum layout_kind kind, uint32_t layer)
{
    struct model *m = p->m;
    m->b->norm_backward(m->b->self,
                        &(struct op_norm_backward){.out = m->normed,
                                                   .x_grad = m->x_grad,
                                                   .add = kind != LAYOUT_NORM_FINAL,
                                                   .gain_grad = gradient(p, kind, layer),
                                                   .out_grad = m->residual,
                                                   .x = x,
                                                   .inverse = inverse,
                                                   .gain = gain(p, kind, layer),
                                                   .rows = p->rows,
                                                   .dim = m->layout.shape.dim});
}

/* Queries and keys are adjacent in a row of qkv, so one call rotates both. */
static void rotate(const struct pass *p, void *qkv, bool inverse)
{
    const struct model_shape *s = &p->m->layout.shape;
    p->m->b->rotary(p->m->b->self, &(struct op_rotary){.x = qkv,
                                                       .rows = p->rows,
                                                       .length = p->length,
                                                       .start = p->start,
                                                       .heads = s->heads + s->kv_heads,
                                                       .head_dim = head_dim(s),
                                                       .stride = qkv_width(s),
                                                       .cosine = p->m->cosine,
                                                       .sine = p->m->sine,
                                                       .inverse = inverse});
}

static void attend(const struct pass *p, const struct activations *a, uint32_t layer)
{
    const struct model_shape *s = &p->m->layout.shape;
    const struct backend *b = p->m->b;
    if (p->cached)
        b->attention_cached(b->self, &(struct op_attention_cached){.out = a->heads,
                                                                   .qkv = a->qkv,
                                                                   .keys = p->m->keys[layer],
                                                                   .values = p->m->values[layer],
                                                                   .rows = p->rows,
                                                                   .past = p->start,
                                                                   .heads = s->heads,
                                                                   .kv_heads = s->kv_heads,
                                                                   .head_dim = head_dim(s)});
    else
        b->attention(b->self, &(struct op_attention){.out = a->heads,
                                                     .logsum = a->logsum,
                                                     .qkv = a->qkv,
                                                     .sequences = p->sequences,
                                                     .length = p->length,
                                                     .heads = s->heads,
                                                     .kv_heads = s->kv_heads,
                                                     .head_dim = head_dim(s)});
}

/* A layer from its input norm to the input of its activation function. */
static void layer_inside(const struct pass *p, uint32_t l)
{
    struct model *m = p->m;
    const struct model_shape *s = &m->layout.shape;
    struct activations *a = &m->layers[l];
    linear(p, a->qkv, m->normed, weight(p, LAYOUT_Q, l), s->dim, qkv_width(s));
    rotate(p, a->qkv, false);
    attend(p, a, l);
    linear(p, m->residual, a->heads, weight(p, LAYOUT_O, l), s->dim, s->dim);
    norm(p, a->ffn_in, m->normed, a->ffn_inverse, a->attention_in, m->residual,
         gain(p, LAYOUT_NORM_FFN, l));
    linear(p, a->gate_up, m->normed, weight(p, LAYOUT_GATE, l), s->dim, 2 * s->ffn);
}

/* The norm at the input of a layer: of x, plus what the previous layer adds (or NULL). */
static void norm_of_attention(const struct pass *p, uint32_t l, const void *x, const void *add)
{
    struct activations *a = &p->m->layers[l];
    norm(p, a->attention_in, p->m->normed, a->attention_inverse, x, add,
         gain(p, LAYOUT_NORM_ATTENTION, l));
}

/* One layer. The output stream is a->ffn_in plus m->residual. */
static void layer_forward(const struct pass *p, uint32_t l, const void *x, const void *add)
{
    struct model *m = p->m;
    const struct model_shape *s = &m->layout.shape;
    norm_of_attention(p, l, x, add);
    layer_inside(p, l);
    m->b->swiglu(m->b->self, &(struct op_swiglu){.out = m->gated,
                                                 .gate_up = m->layers[l].gate_up,
                                                 .rows = p->rows,
                                                 .ffn = s->ffn});
    linear(p, m->residual, m->gated, weight(p, LAYOUT_DOWN, l), s->ffn, s->dim);
}

/* Recomputes what the layer did not store. */
static void layer_recompute(const struct pass *p, uint32_t l)
{
    if (p->m->use == MODEL_TRAIN) return;
    norm_of_attention(p, l, p->m->layers[l].attention_in, NULL);
    layer_inside(p, l);
}

/* Embedding, layers and last norm; the output is m->normed. */
static void forward(const struct pass *p)
{
    struct model *m = p->m;
    void *x = m->layers[0].attention_in;
    const void *add = NULL;
    m->b->embed(m->b->self, &(struct op_embed){.out = x,
                                               .table = weight(p, LAYOUT_EMBED, 0),
                                               .tokens = m->inputs,
                                               .rows = p->rows,
                                               .dim = m->layout.shape.dim});
    for (uint32_t l = 0; l < m->layout.shape.layers; l++) {
        layer_forward(p, l, x, add);
        x = m->layers[l].ffn_in;
        add = m->residual;
    }
    norm(p, m->final_in, m->normed, m->final_inverse, x, add, gain(p, LAYOUT_NORM_FINAL, 0));
}

/* Zeroes gradients that operations add to (of gains and the embedding's table) if activations may
 * have been stored in their memory; otherwise they accumulate over calls. */
static void clear_gradients(const struct pass *p, size_t first, size_t last)
{
    const struct model *m = p->m;
    if (m->in_gradients)
        m->b->zero(m->b->self, p->gradients + first, (last - first) * sizeof(float));
}

/* Logits, losses and, with gradients, those of the head and of m->normed (written to m->residual),
 * chunk by chunk. */
static void head(const struct pass *p, float scale)
{
    struct model *m = p->m;
    const struct model_shape *s = &m->layout.shape;
    const void *w = weight(p, LAYOUT_HEAD, 0);
    for (size_t r = 0; r < p->rows; r += model_head_rows(m)) {
        struct pass chunk = *p;
        chunk.rows = min_u64(model_head_rows(m), p->rows - r);
        void *x = at(m, m->normed, r * s->dim);
        linear(&chunk, m->logits, x, w, s->dim, s->vocab);
        m->b->cross_entropy(m->b->self, &(struct op_cross_entropy){.loss = m->losses + r,
                                                                   .logits = m->logits,
                                                                   .targets = m->targets + r,
                                                                   .rows = chunk.rows,
                                                                   .vocab = s->vocab,
                                                                   .gradient = p->gradients,
                                                                   .scale = scale});
        if (!p->gradients) continue;
        linear_weight(&chunk, gradient(p, LAYOUT_HEAD, 0), !m->in_gradients || r > 0, m->logits, x,
                      s->dim, s->vocab);
        linear_input(&chunk, at(m, m->residual, r * s->dim), m->logits, w, s->dim, s->vocab);
    }
}

/* m->x_grad holds the gradient of the layer's output, and then that of its input. Both halves end
 * in a projection whose output is added to the stream, so its gradient is that of the stream. A
 * weight's gradient is computed after the backward of the operation that made its input, since that
 * recomputes the input. */
static void layer_backward(const struct pass *p, uint32_t l)
{
    struct model *m = p->m;
    const struct model_shape *s = &m->layout.shape;
    struct activations *a = &m->layers[l];
    const bool add = !m->in_gradients;
    linear_input(p, m->gated_grad, m->x_grad, weight(p, LAYOUT_DOWN, l), s->ffn, s->dim);
    m->b->swiglu_backward(m->b->self, &(struct op_swiglu_backward){.out = m->gated,
                                                                   .gate_up_grad = m->wide_grad,
                                                                   .out_grad = m->gated_grad,
                                                                   .gate_up = a->gate_up,
                                                                   .rows = p->rows,
                                                                   .ffn = s->ffn});
    linear_weight(p, gradient(p, LAYOUT_DOWN, l), add, m->x_grad, m->gated, s->ffn, s->dim);
    linear_input(p, m->residual, m->wide_grad, weight(p, LAYOUT_GATE, l), s->dim, 2 * s->ffn);
    norm_backward(p, a->ffn_in, a->ffn_inverse, LAYOUT_NORM_FFN, l);
    linear_weight(p, gradient(p, LAYOUT_GATE, l), add, m->wide_grad, m->normed, s->dim, 2 * s->ffn);

    linear_weight(p, gradient(p, LAYOUT_O, l), add, m->x_grad, a->heads, s->dim, s->dim);
    linear_input(p, m->gated_grad, m->x_grad, weight(p, LAYOUT_O, l), s->dim, s->dim);
    m->b->attention_backward(m->b->self, &(struct op_attention_backward){.qkv_grad = m->wide_grad,
                                                                         .out_grad = m->gated_grad,
                                                                         .out = a->heads,
                                                                         .qkv = a->qkv,
                                                                         .logsum = a->logsum,
                                                                         .sequences = p->sequences,
                                                                         .length = p->length,
                                                                         .heads = s->heads,
                                                                         .kv_heads = s->kv_heads,
                                                                         .head_dim = head_dim(s)});
    rotate(p, m->wide_grad, true);
    linear_input(p, m->residual, m->wide_grad, weight(p, LAYOUT_Q, l), s->dim, qkv_width(s));
    norm_backward(p, a->attention_in, a->attention_inverse, LAYOUT_NORM_ATTENTION, l);
    linear_weight(p, gradient(p, LAYOUT_Q, l), add, m->wide_grad, m->normed, s->dim, qkv_width(s));
}

static void backward(const struct pass *p)
{
    struct model *m = p->m;
    const struct layout *layout = &m->layout;
    clear_gradients(p, layout->decayed_count, layout->parameters);
    norm_backward(p, m->final_in, m->final_inverse, LAYOUT_NORM_FINAL, 0);
    for (uint32_t l = layout->shape.layers; l-- > 0;) {
        layer_recompute(p, l);
        layer_backward(p, l);
    }
    if (!layout->shape.tied) clear_gradients(p, 0, layout_offset(layout, LAYOUT_Q, 0));
    m->b->embed_backward(m->b->self,
                         &(struct op_embed_backward){.table_grad = gradient(p, LAYOUT_EMBED, 0),
                                                     .out_grad = m->x_grad,
                                                     .tokens = m->inputs,
                                                     .rows = p->rows,
                                                     .dim = m->layout.shape.dim});
}

/* Splits rows of length + 1 tokens into inputs and targets. */
static void load(struct model *m, const struct model_batch *batch)
{
    const size_t length = batch->length, rows = batch->sequences * length;
    assert(batch->sequences >= 1 && batch->sequences <= m->sequences);
    assert(length >= 1 && length <= m->layout.shape.context);
    for (size_t s = 0; s < batch->sequences; s++) {
        const uint32_t *row = batch->tokens + s * (length + 1);
        for (size_t i = 0; i <= length; i++) assert(row[i] < m->layout.shape.vocab);
        memcpy(m->host_inputs + s * length, row, length * sizeof(uint32_t));
        memcpy(m->host_targets + s * length, row + 1, length * sizeof(uint32_t));
    }
    m->b->upload(m->b->self, m->inputs, m->host_inputs, rows * sizeof(uint32_t));
    m->b->upload(m->b->self, m->targets, m->host_targets, rows * sizeof(uint32_t));
}

/* Updates the bf16 copies of the matrices from `parameters` if necessary. */
static void copy_matrices(struct model *m, const float *parameters)
{
    if (m->bf16_weights && !m->copied)
        m->b->round(m->b->self,
                    &(struct op_round){m->bf16_weights, parameters, m->layout.decayed_count});
    m->copied = true;
}

void model_parameters_changed(struct model *m) { m->copied = false; }
void *model_bf16_weights(struct model *m) { return m->bf16_weights; }

void model_clear_gradients(struct model *m, float *gradients)
{
    if (!m->in_gradients) m->b->zero(m->b->self, gradients, m->layout.parameters * sizeof(float));
}

void model_queue(struct model *m, const float *parameters, float *gradients,
                 const struct model_batch *batch, float scale)
{
    const struct pass p = {.m = m,
                           .parameters = parameters,
                           .gradients = gradients,
                           .sequences = batch->sequences,
                           .length = batch->length,
                           .rows = batch->sequences * batch->length};
    assert(!gradients || m->use != MODEL_READ);
    assert(!gradients || !m->in_gradients || gradients == m->gradients);
    assert(m->queued == 0);
    load(m, batch);
    copy_matrices(m, parameters);
    forward(&p);
    head(&p, scale);
    if (gradients) backward(&p);
    m->queued = p.rows;
}

enum err model_loss_sum(struct model *m, double *loss_sum, struct why *w)
{
    const size_t rows = m->queued;
    assert(rows > 0);
    m->queued = 0;
    return m->b->sum(m->b->self, m->losses, rows, loss_sum, w);
}

enum err model_loss(struct model *m, const float *parameters, const struct model_batch *batch,
                    double *loss_sum, struct why *w)
{
    model_queue(m, parameters, NULL, batch, 1);
    return model_loss_sum(m, loss_sum, w);
}

enum err model_loss_and_gradients(struct model *m, const float *parameters, float *gradients,
                                  const struct model_batch *batch, float scale, double *loss_sum,
                                  struct why *w)
{
    model_queue(m, parameters, gradients, batch, scale);
    return model_loss_sum(m, loss_sum, w);
}

size_t model_fed(const struct model *m) { return m->fed; }
void model_restart(struct model *m) { m->fed = 0; }

/* Downloads activations to host memory, as fp32. */
static enum err download_numbers(const struct model *m, float *to, const void *from, size_t count,
                                 struct why *w)
{
    const bool wide = m->b->activation_bytes == sizeof(float);
    uint16_t *half = (uint16_t *)to + (wide ? 0 : count); /* in the second half of `to` */
    enum err e = m->b->download(m->b->self, wide ? (void *)to : half, from,
                                count * m->b->activation_bytes, w);
    for (size_t i = 0; !e && !wide && i < count; i++) {
        uint32_t bits = (uint32_t)half[i] << 16; /* bf16 is the upper half of an fp32 */
        memcpy(&to[i], &bits, sizeof bits);
    }
    return e;
}

enum err model_feed(struct model *m, const float *parameters, const uint32_t *tokens, size_t count,
                    float *logits, struct why *w)
{
    const struct model_shape *s = &m->layout.shape;
    assert(m->use == MODEL_READ && m->queued == 0);
    assert(count >= 1 && m->fed + count <= s->context);
    struct pass p = {.m = m, .parameters = parameters, .sequences = 1, .cached = true};
    copy_matrices(m, parameters);
    for (size_t done = 0; done < count; done += p.rows) {
        p.rows = p.length = min_u64(FEED_ROWS, count - done);
        p.start = m->fed;
        for (size_t i = 0; i < p.rows; i++) assert(tokens[done + i] < s->vocab);
        m->b->upload(m->b->self, m->inputs, tokens + done, p.rows * sizeof(uint32_t));
        forward(&p);
        m->fed += p.rows;
    }
    void *last = at(m, m->normed, (p.rows - 1) * s->dim);
    p.rows = 1;
    linear(&p, m->logits, last, weight(&p, LAYOUT_HEAD, 0), s->dim, s->vocab);
    return download_numbers(m, logits, m->logits, s->vocab, w);
}

double model_flops_per_token(const struct model_shape *s)
{
    const struct layout l = layout_of(s);
    const double gains = (double)(l.parameters - l.decayed_count);
    const double table = s->tied ? 0 : (double)s->vocab * s->dim; /* a lookup */
    const double matrices = (double)l.parameters - gains - table;
    return 6 * matrices + 6.0 * s->layers * s->dim * s->context;
}
