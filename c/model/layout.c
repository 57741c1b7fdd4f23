#include "model/layout.h"

#include <assert.h>
#include <stdio.h>

#define LAYER_MATRICES 7 /* q k v o gate up down */
#define LAYER_GAINS    2

static const char *const names[] = {
    [LAYOUT_EMBED] = "embed_tokens",
    [LAYOUT_Q] = "self_attn.q_proj",
    [LAYOUT_K] = "self_attn.k_proj",
    [LAYOUT_V] = "self_attn.v_proj",
    [LAYOUT_O] = "self_attn.o_proj",
    [LAYOUT_GATE] = "mlp.gate_proj",
    [LAYOUT_UP] = "mlp.up_proj",
    [LAYOUT_DOWN] = "mlp.down_proj",
    [LAYOUT_HEAD] = "lm_head",
    [LAYOUT_NORM_ATTENTION] = "input_layernorm",
    [LAYOUT_NORM_FFN] = "post_attention_layernorm",
    [LAYOUT_NORM_FINAL] = "norm",
};

static size_t rows_of(const struct model_shape *s, enum layout_kind kind)
{
    size_t head_dim = s->dim / s->heads;
    switch (kind) {
    case LAYOUT_EMBED:
    case LAYOUT_HEAD:
        return s->vocab;
    case LAYOUT_Q:
        return s->heads * head_dim;
    case LAYOUT_K:
    case LAYOUT_V:
        return s->kv_heads * head_dim;
    case LAYOUT_O:
    case LAYOUT_DOWN:
        return s->dim;
    case LAYOUT_GATE:
    case LAYOUT_UP:
        return s->ffn;
    case LAYOUT_NORM_ATTENTION:
    case LAYOUT_NORM_FFN:
    case LAYOUT_NORM_FINAL:
        return 1;
    }
    return 0;
}

static size_t columns_of(const struct model_shape *s, enum layout_kind kind)
{
    return kind == LAYOUT_DOWN ? s->ffn : s->dim;
}

static size_t elements_of(const struct model_shape *s, enum layout_kind kind)
{
    return rows_of(s, kind) * columns_of(s, kind);
}

/* Elements of a layer's matrices before `kind`; for LAYOUT_HEAD, of all of them. */
static size_t before_in_layer(const struct model_shape *s, enum layout_kind kind)
{
    size_t sum = 0;
    for (enum layout_kind k = LAYOUT_Q; k < kind; k++) sum += elements_of(s, k);
    return sum;
}

struct layout layout_of(const struct model_shape *s)
{
    assert(s->heads && s->dim % s->heads == 0);
    assert(s->kv_heads && s->heads % s->kv_heads == 0);
    struct layout l = {.shape = *s};
    size_t tables = elements_of(s, LAYOUT_EMBED) * (s->tied ? 1 : 2);
    l.decayed_count = tables + s->layers * before_in_layer(s, LAYOUT_HEAD);
    l.parameters = l.decayed_count + (size_t)s->dim * (LAYER_GAINS * s->layers + 1);
    l.tensor_count = 1 + (size_t)s->layers * (LAYER_MATRICES + LAYER_GAINS) + !s->tied + 1;
    return l;
}

size_t layout_offset(const struct layout *l, enum layout_kind kind, uint32_t layer)
{
    const struct model_shape *s = &l->shape;
    assert(layer < s->layers);
    size_t layers = elements_of(s, LAYOUT_EMBED); /* where the layers begin */
    switch (kind) {
    case LAYOUT_EMBED:
        return 0;
    case LAYOUT_HEAD:
        return s->tied ? 0 : layers + s->layers * before_in_layer(s, LAYOUT_HEAD);
    case LAYOUT_NORM_ATTENTION:
        return l->decayed_count + (size_t)s->dim * LAYER_GAINS * layer;
    case LAYOUT_NORM_FFN:
        return l->decayed_count + (size_t)s->dim * (LAYER_GAINS * layer + 1);
    case LAYOUT_NORM_FINAL:
        return l->parameters - s->dim;
    default:
        return layers + layer * before_in_layer(s, LAYOUT_HEAD) + before_in_layer(s, kind);
    }
}

/* The kind of the `index`-th tensor in the order of offsets. */
static enum layout_kind kind_at(const struct layout *l, size_t index, uint32_t *layer)
{
    const struct model_shape *s = &l->shape;
    *layer = 0;
    if (index == 0) return LAYOUT_EMBED;
    index--;
    if (index < (size_t)s->layers * LAYER_MATRICES) {
        *layer = (uint32_t)(index / LAYER_MATRICES);
        return LAYOUT_Q + (enum layout_kind)(index % LAYER_MATRICES);
    }
    index -= (size_t)s->layers * LAYER_MATRICES;
    if (!s->tied && index-- == 0) return LAYOUT_HEAD;
    if (index == (size_t)s->layers * LAYER_GAINS) return LAYOUT_NORM_FINAL;
    *layer = (uint32_t)(index / LAYER_GAINS);
    return index % LAYER_GAINS ? LAYOUT_NORM_FFN : LAYOUT_NORM_ATTENTION;
}

struct layout_tensor layout_at(const struct layout *l, size_t index)
{
    assert(index < l->tensor_count);
    struct layout_tensor t;
    t.kind = kind_at(l, index, &t.layer);
    t.rows = rows_of(&l->shape, t.kind);
    t.columns = columns_of(&l->shape, t.kind);
    t.offset = layout_offset(l, t.kind, t.layer);
    t.decay = t.kind <= LAYOUT_HEAD;
    const char *name = names[t.kind];
    if (t.kind == LAYOUT_HEAD) snprintf(t.name, sizeof t.name, "%s.weight", name);
    else if (t.kind == LAYOUT_EMBED || t.kind == LAYOUT_NORM_FINAL)
        snprintf(t.name, sizeof t.name, "model.%s.weight", name);
    else snprintf(t.name, sizeof t.name, "model.layers.%u.%s.weight", (unsigned)t.layer, name);
    return t;
}
