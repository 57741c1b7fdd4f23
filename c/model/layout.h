/* layout.h -- the place of each tensor of a model in one flat fp32 vector.
 *
 * Parameters, gradients and both Adam moments are vectors of this layout, and so are anchor and
 * momentum of the outer step. No padding: the length is model_shape_parameters(). Order:
 *
 *     embed_tokens [vocab, dim]
 *     each layer:  q_proj [heads*hd, dim]  k_proj, v_proj [kv_heads*hd, dim]
 *                  o_proj [dim, heads*hd]  gate_proj, up_proj [ffn, dim]  down_proj [dim, ffn]
 *     lm_head [vocab, dim]                          unless tied
 *     each layer:  input_layernorm, post_attention_layernorm [dim]
 *     norm [dim]
 *
 * with hd = dim / heads. Matrices come first, so weight decay covers a prefix; q, k, v are
 * adjacent, and gate, up, so that each group is one matrix product. Names are Hugging Face's
 * (model.layers.0.self_attn.q_proj.weight). */
#ifndef SHOAL_MODEL_LAYOUT_H
#define SHOAL_MODEL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model_shape.h"

#define LAYOUT_NAME_BYTES 64

enum layout_kind {
    LAYOUT_EMBED,
    LAYOUT_Q,
    LAYOUT_K,
    LAYOUT_V,
    LAYOUT_O,
    LAYOUT_GATE,
    LAYOUT_UP,
    LAYOUT_DOWN,
    LAYOUT_HEAD,
    LAYOUT_NORM_ATTENTION,
    LAYOUT_NORM_FFN,
    LAYOUT_NORM_FINAL,
};

struct layout_tensor {
    char name[LAYOUT_NAME_BYTES];
    enum layout_kind kind;
    uint32_t layer;       /* 0 for a tensor outside the layers */
    size_t rows, columns; /* a norm's gain: 1 x dim, of rank 1 in files */
    size_t offset;        /* elements from the start */
    bool decay;           /* weight decay applies: matrices */
};

struct layout {
    struct model_shape shape;
    size_t parameters;    /* elements of the whole vector */
    size_t decayed_count; /* the matrices: elements [0, decayed_count) */
    size_t tensor_count;
};

/* The shape must be within the bounds of model_shape.h. */
struct layout layout_of(const struct model_shape *s);

/* Tensor `index` < tensor_count, in the order of offsets. */
struct layout_tensor layout_at(const struct layout *l, size_t index);

/* Offset of the tensor of this kind (and layer); a tied model's LAYOUT_HEAD is its LAYOUT_EMBED. */
size_t layout_offset(const struct layout *l, enum layout_kind kind, uint32_t layer);

#endif
