#include "model/model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/carve.h"
#include "base/whole.h"

/* Rows whose logits exist at once: at least so many, in which products run well, and more as their
 * bytes allow. The head is packed, and its gradient read and written, once for all of them: a
 * twentieth of a step of a 150m model lies between 256 rows and 1024. More than those is no faster
 * on a CPU, where they leave the cache; a GPU takes what it can. */
#define HEAD_ROWS       256
#define HEAD_HOST_ROWS  1024
#define HEAD_HOST_BYTES ((size_t)64 << 20)
#define HEAD_GPU_BYTES  ((size_t)128 << 20)

/* Tokens that model_feed takes through the layers at once. */
#define FEED_ROWS 256

/* What one layer remembers for its backward pass; the layers share what is not remembered. */
struct activations {
    void *attention_in; /* [rows, dim] the residual stream before attention */
    float *attention_inverse;
    void *qkv;   /* [rows, (heads + 2 kv_heads) * head_dim], rotated */
    void *heads; /* [rows, heads * head_dim] what attention gave */
    float *logsum;
    void *ffn_in; /* [rows, dim] the residual stream before the feed-forward part */
    float *ffn_inverse;
    void *gate_up; /* [rows, 2 ffn] */
};

struct model {
    const struct backend *b;
    struct layout layout;
    size_t rows; /* at most at once */
    size_t sequences;
    enum model_use use;
    void *memory;
    size_t bytes;
    bool lent;         /* the memory is the caller's */
    bool in_gradients; /* layers remember in the memory of gradients */
    float *gradients;  /* which these are; NULL: not, or only to be counted */

    void *
        bf16_weights; /* [decayed_count]: the matrices as activations; NULL for a backend without */
    bool copied;      /* they are up to date */
    uint32_t *inputs, *targets; /* [rows] */
    float *cosine, *sine;       /* [context, head_dim / 2] */
    struct activations *layers; /* host array */
    void *final_in;
    float *final_inverse;
    void *normed; /* [rows, dim] what a norm gave last, */
    void *gated;  /* [rows, ffn] and an activation */
    /* [rows, dim] what a layer's half adds to the residual stream; backward, the gradient of
     * `normed` */
    void *residual;
    void *logits;  /* [head_rows, vocab] */
    float *losses; /* [rows] */
    /* Training: the gradients of the stream, of qkv or gate_up, of gated or heads. */
    void *x_grad, *wide_grad, *gated_grad;

    void **keys,
        **values; /* generation: [context, kv_heads * head_dim] of each layer; host arrays */
    size_t fed;
    size_t queued; /* rows whose losses nobody asked for yet */

    uint32_t *host_inputs, *host_targets; /* staging, [rows] */
};

static size_t head_dim(const struct model_shape *s) { return s->dim / s->heads; }
static size_t kv_width(const struct model_shape *s) { return s->kv_heads * head_dim(s); }
static size_t qkv_width(const struct model_shape *s) { return s->dim + 2 * kv_width(s); }

/* Memory: one walk over all that a model needs, run twice: to count, then to hand out. */

static_assert(CARVE_ALIGNMENT % BACKEND_ALIGNMENT == 0, "operations get what they ask for");

/* The arrays of one layer; those that are not remembered are the first layer's. */
static void carve_layer(struct carver *c, const struct model *m, struct activations *a)
{
    const struct model_shape *s = &m->layout.shape;
    const size_t rows = m->rows, one = m->b->activation_bytes;
    const bool first = a == m->layers, all = first || m->use == MODEL_TRAIN;
    if (!first) *a = m->layers[0];
    if (all || m->use == MODEL_TRAIN_BLOCK) a->attention_in = carve(c, rows * s->dim * one);
    if (!all) return;
    a->attention_inverse = carve(c, rows * sizeof(float));
    a->qkv = carve(c, rows * qkv_width(s) * one);
    a->heads = carve(c, rows * s->dim * one);
    a->logsum = carve(c, rows * s->heads * sizeof(float));
    a->ffn_in = carve(c, rows * s->dim * one);
    a->ffn_inverse = carve(c, rows * sizeof(float));
    a->gate_up = carve(c, rows * 2 * s->ffn * one);
}

/* Bytes of the gradients before this layer's matrices. */
static size_t gradients_at(const struct model *m, uint32_t layer)
{
    return layout_offset(&m->layout, LAYOUT_Q, layer) * sizeof(float);
}

/* May so many bytes more lie in the memory of gradients, of which those from `border` on are
 * written before? */
static bool fits(const struct model *m, const struct carver *gradients, size_t bytes, size_t border)
{
    return m->in_gradients && gradients->used + bytes <= border;
}

/* All layers, each in the memory of gradients that are written after it is done with, where such
 * are left: those of the layers before it, and of the embedding unless the head, which comes first,
 * has the same. */
static void carve_layers(struct carver *c, struct carver *gradients, struct model *m)
{
    for (uint32_t l = 0; l < m->layout.shape.layers; l++) {
        struct carver count = {0};
        carve_layer(&count, m, &m->layers[l]);
        const bool there = fits(m, gradients, count.used, gradients_at(m, l));
        carve_layer(there ? gradients : c, m, &m->layers[l]);
    }
}

static size_t head_rows(const struct model *m)
{
    const size_t row = m->layout.shape.vocab * m->b->activation_bytes;
    const size_t bytes = m->b->host ? HEAD_HOST_BYTES : HEAD_GPU_BYTES;
    const size_t rows = max_u64(HEAD_ROWS, bytes / row / HEAD_ROWS * HEAD_ROWS);
    return m->b->host ? min_u64(rows, HEAD_HOST_ROWS) : rows;
}

/* The end of the layers' gradients, of which the head, whose gradients are written first, has
 * none. */
static size_t layers_end(const struct layout *l)
{
    return l->shape.tied ? l->decayed_count : layout_offset(l, LAYOUT_HEAD, 0);
}

static void carve_logits(struct carver *c, struct carver *gradients, struct model *m)
{
    const size_t bytes =
        min_u64(m->rows, head_rows(m)) * m->layout.shape.vocab * m->b->activation_bytes;
    const bool there = fits(m, gradients, bytes, layers_end(&m->layout) * sizeof(float));
    m->logits = carve(there ? gradients : c, bytes);
}

static void carve_all(struct carver *c, struct model *m)
{
    const struct model_shape *s = &m->layout.shape;
    const size_t rows = m->rows, one = m->b->activation_bytes;
    struct carver gradients = {.start = (uint8_t *)m->gradients,
                               .used = s->tied ? align_up(gradients_at(m, 0), CARVE_ALIGNMENT) : 0};
    if (m->b->bf16_weights) m->bf16_weights = carve(c, m->layout.decayed_count * one);
    m->inputs = carve(c, rows * sizeof(uint32_t));
    m->targets = carve(c, rows * sizeof(uint32_t));
    m->cosine = carve(c, s->context * head_dim(s) / 2 * sizeof(float));
    m->sine = carve(c, s->context * head_dim(s) / 2 * sizeof(float));
    carve_layers(c, &gradients, m);
    carve_logits(c, &gradients, m);
    m->final_in = carve(c, rows * s->dim * one);
    m->final_inverse = carve(c, rows * sizeof(float));
    m->normed = carve(c, rows * s->dim * one);
    m->gated = carve(c, rows * s->ffn * one);
    m->residual = carve(c, rows * s->dim * one);
    m->losses = carve(c, rows * sizeof(float));
    if (m->use != MODEL_READ) {
        m->x_grad = carve(c, rows * s->dim * one);
        m->wide_grad = carve(c, rows * max_u64(qkv_width(s), 2 * s->ffn) * one);
        m->gated_grad = carve(c, rows * max_u64(s->ffn, s->dim) * one);
    }
    for (uint32_t l = 0; l < s->layers && m->use == MODEL_READ; l++) {
        m->keys[l] = carve(c, s->context * kv_width(s) * one);
        m->values[l] = carve(c, s->context * kv_width(s) * one);
    }
}

static enum err model_init(struct model *m, const struct model_shape *s, const struct backend *b,
                           size_t sequences, enum model_use use, bool in_gradients, struct why *w)
{
    *m = (struct model){.b = b,
                        .layout = layout_of(s),
                        .rows = sequences * s->context,
                        .sequences = sequences,
                        .use = use,
                        .in_gradients = in_gradients};
    m->layers = calloc(s->layers, sizeof *m->layers);
    m->keys = calloc(s->layers, sizeof *m->keys);
    m->values = calloc(s->layers, sizeof *m->values);
    m->host_inputs = calloc(m->rows, sizeof(uint32_t));
    m->host_targets = calloc(m->rows, sizeof(uint32_t));
    if (!m->layers || !m->keys || !m->values || !m->host_inputs || !m->host_targets)
        return why(w, ERR_MEMORY, "no memory for a model of %u layers", (unsigned)s->layers);
    struct carver count = {0};
    carve_all(&count, m);
    m->bytes = count.used;
    return ERR_OK;
}

static void model_fini(struct model *m)
{
    if (m->memory && !m->lent) m->b->free(m->b->self, m->memory, m->bytes);
    free(m->layers);
    free(m->keys);
    free(m->values);
    free(m->host_inputs);
    free(m->host_targets);
}

size_t model_bytes(const struct model_shape *s, const struct backend *b, size_t sequences,
                   enum model_use use, bool in_gradients)
{
    struct model m;
    size_t bytes = model_init(&m, s, b, sequences, use, in_gradients, NULL) ? SIZE_MAX : m.bytes;
    model_fini(&m);
    return bytes;
}

/* Angles in fp64, rounded once. */
static enum err rope_tables(struct model *m, struct why *w)
{
    const struct model_shape *s = &m->layout.shape;
    const size_t half = head_dim(s) / 2, count = s->context * half;
    float *table = malloc(2 * count * sizeof(float));
    if (!table) return why(w, ERR_MEMORY, "no memory for the rotary tables");
    for (size_t p = 0; p < s->context; p++)
        for (size_t i = 0; i < half; i++) {
            double angle = (double)p * pow(s->rope_theta, -(double)i / (double)half);
            table[p * half + i] = (float)cos(angle);
            table[count + p * half + i] = (float)sin(angle);
        }
    m->b->upload(m->b->self, m->cosine, table, count * sizeof(float));
    m->b->upload(m->b->self, m->sine, table + count, count * sizeof(float));
    free(table);
    return ERR_OK;
}

enum err model_open(struct model **out, const struct model_shape *s, const struct backend *b,
                    size_t sequences, enum model_use use, float *gradients, void *memory,
                    struct why *w)
{
    assert(sequences >= 1);
    struct model *m = malloc(sizeof *m);
    if (!m) return why(w, ERR_MEMORY, "no memory for a model");
    enum err e = model_init(m, s, b, sequences, use, gradients != NULL, w);
    m->gradients = gradients;
    const struct op_sizes sizes = {.rows = m->rows,
                                   .dim = s->dim,
                                   .heads = s->heads,
                                   .kv_heads = s->kv_heads,
                                   .head_dim = head_dim(s),
                                   .ffn = s->ffn,
                                   .vocab = s->vocab,
                                   .length = s->context};
    if (!e) e = b->prepare(b->self, &sizes, w);
    m->lent = memory != NULL;
    m->memory = memory;
    if (!e && !m->lent) e = b->alloc(b->self, m->bytes, &m->memory, w);
    if (!e) {
        struct carver carver = {.start = m->memory};
        carve_all(&carver, m);
        e = rope_tables(m, w);
    }
    if (e) {
        model_close(m);
        return why_while(w, e,
                         "setting up a model of %zu parameters for %zu sequences of %u tokens",
                         layout_of(s).parameters, sequences, (unsigned)s->context);
    }
    *out = m;
    return ERR_OK;
}

void model_close(struct model *m)
{
    if (!m) return;
    model_fini(m);
    free(m);
}

const struct layout *model_layout(const struct model *m) { return &m->layout; }

/* One pass: what the ops below work on. */
struct pass {
    struct model *m;
    const float *parameters;
    float *gradients;
    size_t sequences, length, rows;
    bool cached;  /* generation: attend to the cache, behind what is there */
    size_t start; /* position of the first row of each sequence */
};

/* Element `n` of an array of activations. */
static void *at(const struct model *m, const void *x, size_t n)
{
    return (uint8_t *)x + n * m->b->activation_bytes;
}

/* A matrix, as products take it. */
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

/* Of m->residual; m->normed is what it was forward. Adds to the stream's gradient, but that of the
 * last norm is all there is. */
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

/* Queries and keys lie side by side in a row of qkv, so one call turns both. */
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

/* A layer from its stream's norm to what goes into its activation. */
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

/* The norm of the stream as it enters a layer: x, plus what the layer before wants added (or
 * NULL). */
static void norm_of_attention(const struct pass *p, uint32_t l, const void *x, const void *add)
{
    struct activations *a = &p->m->layers[l];
    norm(p, a->attention_in, p->m->normed, a->attention_inverse, x, add,
         gain(p, LAYOUT_NORM_ATTENTION, l));
}

/* One layer. The stream leaves as a->ffn_in plus m->residual. */
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

/* Computes once more what the layer did not remember. */
static void layer_recompute(const struct pass *p, uint32_t l)
{
    if (p->m->use == MODEL_TRAIN) return;
    norm_of_attention(p, l, p->m->layers[l].attention_in, NULL);
    layer_inside(p, l);
}

/* Embedding, layers and last norm: m->normed. */
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

/* Gains' and the table's, which are added to: what earlier calls made of them stays, but not where
 * activations may have been. */
static void clear_gradients(const struct pass *p, size_t first, size_t last)
{
    const struct model *m = p->m;
    if (m->in_gradients)
        m->b->zero(m->b->self, p->gradients + first, (last - first) * sizeof(float));
}

/* Logits, losses and, with gradients, those of the head and of m->normed (into m->residual), chunk by
 * chunk. */
static void head(const struct pass *p, float scale)
{
    struct model *m = p->m;
    const struct model_shape *s = &m->layout.shape;
    const void *w = weight(p, LAYOUT_HEAD, 0);
    for (size_t r = 0; r < p->rows; r += head_rows(m)) {
        struct pass chunk = *p;
        chunk.rows = min_u64(head_rows(m), p->rows - r);
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

/* m->x_grad holds the gradient of what leaves the layer, and then that of what enters it. Both
 * halves end in a projection whose output is added to the stream: its gradient is the stream's. A
 * weight's gradient comes after that of what made its input, which makes this once more. */
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

/* Splits rows of length + 1 tokens into what goes in and what should come out. */
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

/* Sees to it that the copies of the matrices are those of `parameters`. */
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

/* Activations to host memory, as fp32. */
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
