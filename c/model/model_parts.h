/* model_parts.h -- the struct of model.c, and of model_memory.c, which lays out its memory. model.h
 * describes the whole. */
#ifndef SHOAL_MODEL_MODEL_PARTS_H
#define SHOAL_MODEL_MODEL_PARTS_H

#include "model/model.h"

/* What one layer stores for its backward pass; arrays that are not stored are shared by the
 * layers. */
struct activations {
    void *attention_in; /* [rows, dim] the residual stream before attention */
    float *attention_inverse;
    void *qkv;   /* [rows, (heads + 2 kv_heads) * head_dim], rotated */
    void *heads; /* [rows, heads * head_dim] output of attention */
    float *logsum;
    void *ffn_in; /* [rows, dim] the residual stream before the feed-forward part */
    float *ffn_inverse;
    void *gate_up; /* [rows, 2 ffn] */
};

struct model {
    const struct backend *b;
    struct layout layout;
    size_t rows; /* maximum at a time */
    size_t sequences;
    enum model_use use;
    void *memory;
    size_t bytes;
    bool lent;         /* the memory is the caller's */
    bool in_gradients; /* layers store activations in the memory of gradients */
    float *gradients;  /* those gradients; NULL: not so, or only counting bytes */

    /* [decayed_count]: the matrices as activations; NULL for a backend without bf16_weights. */
    void *bf16_weights;
    bool copied;                /* bf16_weights is up to date */
    uint32_t *inputs, *targets; /* [rows] */
    float *cosine, *sine;       /* [context, head_dim / 2] */
    struct activations *layers; /* host array */
    void *final_in;
    float *final_inverse;
    void *normed; /* [rows, dim] latest output of a norm */
    void *gated;  /* [rows, ffn] latest output of the activation function */
    /* [rows, dim] what half a layer adds to the residual stream; in backward the gradient of
     * `normed` */
    void *residual;
    void *logits;  /* [model_head_rows, or rows when they are fewer, vocab] */
    float *losses; /* [rows] */
    /* Training: the gradients of the stream, of qkv or gate_up, of gated or heads. */
    void *x_grad, *wide_grad, *gated_grad;

    /* Generation: [context, kv_heads * head_dim] of each layer; host arrays. */
    void **keys, **values;
    size_t fed;
    size_t queued; /* rows queued by model_queue, not yet collected */

    uint32_t *host_inputs, *host_targets; /* staging, [rows] */
};

static inline size_t head_dim(const struct model_shape *s) { return s->dim / s->heads; }
static inline size_t kv_width(const struct model_shape *s) { return s->kv_heads * head_dim(s); }
static inline size_t qkv_width(const struct model_shape *s) { return s->dim + 2 * kv_width(s); }

/* Rows whose logits exist at a time. */
size_t model_head_rows(const struct model *m);

#endif
