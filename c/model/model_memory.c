/* The memory of a model: one function carves all arrays, run twice: first to count bytes, then to
 * assign addresses. */
#include "model/model_parts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/carve.h"
#include "base/whole.h"

/* Rows whose logits exist at a time: at least HEAD_ROWS, with which products run well, and more as
 * their bytes allow. The head is packed, and its gradient read and written, once per chunk: between
 * 256 rows and 1024 this makes a twentieth of a step of a 150m model. More than 1024 is no faster
 * on a CPU, because they leave the cache; a GPU takes as many as fit. */
#define HEAD_ROWS       256
#define HEAD_HOST_ROWS  1024
#define HEAD_HOST_BYTES ((size_t)64 << 20)
#define HEAD_GPU_BYTES  ((size_t)128 << 20)

static_assert(CARVE_ALIGNMENT % BACKEND_ALIGNMENT == 0, "operations get what they ask for");

/* The arrays of one layer; those that are not stored are shared with the first layer. */
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

/* Can so many more bytes be placed in the memory of gradients, when those from `border` on are
 * written earlier? */
static bool fits(const struct model *m, const struct carver *gradients, size_t bytes, size_t border)
{
    return m->in_gradients && gradients->used + bytes <= border;
}

/* Places all layers, each in the memory of gradients that are written after the layer is done,
 * while there is some: the gradients of earlier layers, and of the embedding unless the head, whose
 * gradients are written first, shares them. */
static void carve_layers(struct carver *c, struct carver *gradients, struct model *m)
{
    for (uint32_t l = 0; l < m->layout.shape.layers; l++) {
        struct carver count = {0};
        carve_layer(&count, m, &m->layers[l]);
        const bool there = fits(m, gradients, count.used, gradients_at(m, l));
        carve_layer(there ? gradients : c, m, &m->layers[l]);
    }
}

size_t model_head_rows(const struct model *m)
{
    const size_t row = m->layout.shape.vocab * m->b->activation_bytes;
    const size_t bytes = m->b->host ? HEAD_HOST_BYTES : HEAD_GPU_BYTES;
    const size_t rows = max_u64(HEAD_ROWS, bytes / row / HEAD_ROWS * HEAD_ROWS);
    return m->b->host ? min_u64(rows, HEAD_HOST_ROWS) : rows;
}

/* The end of the layers' gradients; those of the head, written first, cannot be used. */
static size_t layers_end(const struct layout *l)
{
    return l->shape.tied ? l->decayed_count : layout_offset(l, LAYOUT_HEAD, 0);
}

static void carve_logits(struct carver *c, struct carver *gradients, struct model *m)
{
    const size_t bytes =
        min_u64(m->rows, model_head_rows(m)) * m->layout.shape.vocab * m->b->activation_bytes;
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

/* Angles computed in fp64, rounded once. */
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
