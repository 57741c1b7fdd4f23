/* backend.h -- the operations of a compute device, as a table. c/model/ is written once, in terms
 * of these.
 *
 * Operations are queued in order on the device and return at once; sum, norm and download wait for
 * what was queued before them and report its failures. (The CPU backend completes each before
 * returning.) The caller guarantees valid shapes: ops check nothing. The same calls on the same
 * machine give the same bits, with any number of threads: no summation order depends on how many
 * there are.
 *
 * Memory belongs to the device: pointers handed to ops come from `alloc` (or point into it), and
 * the host may dereference them only where `host` is true. There are two kinds of numbers: fp32
 * (`float *`: parameters, gradients, moments, statistics, losses), and activations (`void *`, of
 * activation_bytes each: 2 on a device that computes in bf16). Matrices that multiply, and the
 * embedding's table, are the fp32 parameters themselves; with `bf16_weights` they are passed as
 * activations written by `round` and `adamw`. All arrays are row-major and dense unless a stride is
 * named; a row is one token of one sequence, rows = sequences x length, sequence after sequence.
 *
 * Gradients of gains and of the embedding's table are accumulated (over micro-batches); others are
 * overwritten, unless a field says add. */
#ifndef SHOAL_BACKEND_H
#define SHOAL_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Upper bounds of a model's operations: the backend allocates its scratch memory for them, once. */
struct op_sizes {
    size_t rows, dim, heads, kv_heads, head_dim, ffn, vocab, length;
};

/* out[r] = table[tokens[r]]. */
struct op_embed {
    void *out;              /* [rows, dim] */
    const void *table;      /* [vocab, dim], a matrix */
    const uint32_t *tokens; /* [rows], each below vocab */
    size_t rows, dim;
};

/* table_grad[tokens[r]] += out_grad[r], in the order of r. */
struct op_embed_backward {
    float *table_grad;      /* [vocab, dim] */
    const void *out_grad;   /* [rows, dim] */
    const uint32_t *tokens; /* [rows] */
    size_t rows, dim;
};

/* RMSNorm (arXiv 1910.07467) of a residual stream that may grow first:
 *     sum = x + add;  out = gain * sum * inverse,  inverse = 1 / sqrt(mean(sum^2) + eps) */
struct op_norm {
    void *sum;           /* [rows, dim]; written when add is given; may be x */
    void *out;           /* [rows, dim] */
    float *inverse;      /* [rows], for backward */
    const void *x, *add; /* add: NULL for none */
    const float *gain;   /* [dim] */
    size_t rows, dim;
    float eps;
};

/* x is the `sum` of op_norm (its `x` if nothing was added). */
struct op_norm_backward {
    void *out;    /* op_norm's `out`, recomputed with the same bits */
    void *x_grad; /* [rows, dim] */
    /* Add to x_grad, which holds the gradient of the residual path; otherwise overwrite it. */
    bool add;
    float *gain_grad;            /* [dim], added to */
    const void *out_grad, *x;    /* [rows, dim] */
    const float *inverse, *gain; /* [rows]; [dim] */
    size_t rows, dim;
};

/* Rotary embedding (arXiv 2104.09864), in place on the first `heads` heads of each row. The pair
 * (i, i + head_dim/2) of a head at position p is rotated by the angle p * theta^(-2i / head_dim):
 * Hugging Face's pairing of halves, not neighbours. The row's position is start + row % length. */
struct op_rotary {
    void *x; /* [rows, stride] */
    size_t rows, length, start;
    size_t heads, head_dim, stride;
    const float *cosine, *sine; /* [positions, head_dim / 2] */
    bool inverse;               /* rotate back: the gradient */
};

/* Causal softmax(q k^T / sqrt(head_dim)) v. A row of qkv holds heads queries, then kv_heads keys,
 * then kv_heads values; query head h uses key head h / (heads / kv_heads). */
struct op_attention {
    void *out;     /* [rows, heads * head_dim] */
    float *logsum; /* [sequences, heads, length]: log of the softmax's denominator, for backward */
    const void *qkv; /* [rows, (heads + 2 kv_heads) * head_dim] */
    size_t sequences, length, heads, kv_heads, head_dim;
};

struct op_attention_backward {
    void *qkv_grad;                   /* as qkv */
    const void *out_grad, *out, *qkv; /* out_grad as out; the others as in op_attention */
    const float *logsum;
    size_t sequences, length, heads, kv_heads, head_dim;
};

/* Continues one sequence: appends the keys and values of `rows` new tokens to the cache, after the
 * `past` existing ones, and attends from each new token to all up to itself. */
struct op_attention_cached {
    void *out;           /* [rows, heads * head_dim] */
    const void *qkv;     /* [rows, (heads + 2 kv_heads) * head_dim], rotated */
    void *keys, *values; /* [past + rows or more, kv_heads * head_dim] */
    size_t rows, past, heads, kv_heads, head_dim;
};

/* out = silu(gate) * up, silu(z) = z / (1 + exp(-z)) (arXiv 2002.05202). */
struct op_swiglu {
    void *out;           /* [rows, ffn] */
    const void *gate_up; /* [rows, 2 ffn]: gate, then up */
    size_t rows, ffn;
};

struct op_swiglu_backward {
    void *out;                      /* op_swiglu's `out`, recomputed with the same bits */
    void *gate_up_grad;             /* as gate_up */
    const void *out_grad, *gate_up; /* [rows, ffn]; [rows, 2 ffn] */
    size_t rows, ffn;
};

/* The three matrix products of a layer y = x w^T with w [n_out, n_in]: */
struct op_linear {
    void *y;       /* [rows, n_out] */
    const void *x; /* [rows, n_in] */
    const void *w; /* [n_out, n_in], a matrix */
    size_t rows, n_in, n_out;
};
struct op_linear_input { /* x_grad = y_grad w */
    void *x_grad;
    const void *y_grad;
    const void *w;
    size_t rows, n_in, n_out;
};
struct op_linear_weight { /* w_grad = y_grad^T x */
    float *w_grad;
    bool add; /* add to w_grad */
    const void *y_grad, *x;
    size_t rows, n_in, n_out;
};

/* loss[r] = log(sum_j exp(logits[r, j])) - logits[r, target[r]], in nats. With `gradient` the
 * logits are replaced by scale * (softmax - onehot), the gradient of scale * sum of losses;
 * otherwise they are unspecified afterwards. */
struct op_cross_entropy {
    float *loss;             /* [rows] */
    void *logits;            /* [rows, vocab] */
    const uint32_t *targets; /* [rows], each below vocab */
    size_t rows, vocab;
    bool gradient;
    float scale;
};

/* AdamW (arXiv 1711.05101) on n elements, g = gradient * gradient_scale:
 *     m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
 *     p = p - lr * decay * p - lr * (m / correction1) / (sqrt(v / correction2) + eps)
 * decay on the first decayed_count elements only (layout.h puts matrices first). */
struct op_adamw {
    float *parameters, *moment1, *moment2; /* [count] each, in place */
    const float *gradient;                 /* [count] */
    /* [decayed_count]: those parameters as activations, written too; NULL for a backend without
     * bf16_weights */
    void *bf16_weights;
    size_t count, decayed_count;
    float lr, beta1, beta2, eps, decay;
    float gradient_scale;           /* of clipping */
    float correction1, correction2; /* 1 - beta^steps */
};

/* out = x as activations: bf16, to nearest, ties to even. */
struct op_round {
    void *out;      /* [count] */
    const float *x; /* [count] */
    size_t count;
};

/* DiLoCo's outer step on the whole vector, chunk by chunk: anchor, momentum and wire bytes are in
 * host memory, the parameters in the backend's. outer/outer.h defines both operations, bit for
 * bit. */
struct outer_layout;
struct outer_rule;
struct op_outer_quantize { /* wire = quantize(anchor - parameters) */
    const struct outer_layout *layout;
    uint8_t *wire; /* all chunks' wire bytes (outer_wire_offset) */
    const float *anchor, *parameters;
};
/* outer_step of each chunk that is not null; anchor and momentum of the others are copied. Where
 * our contribution is in the mean, parameters restart from the new anchor; otherwise they keep
 * their local progress. Those of a null chunk stay. */
struct op_outer_step {
    const struct outer_layout *layout;
    const struct outer_rule *rule;
    const float *anchor, *momentum;
    float *anchor_out, *momentum_out; /* not those that are read */
    const uint8_t *means;             /* all chunks' wire bytes (outer_wire_offset) */
    const uint8_t *null, *mine;       /* [chunks]: no mean; our contribution is in it */
    float *parameters;
};

/* Maximum ranks of a trainer: GPUs that compute together. */
#define BACKEND_RANKS_MAX 16

#define BACKEND_ALIGNMENT 256 /* bytes */

struct backend {
    const char *name;        /* "cpu" */
    bool host;               /* its memory is the host's */
    size_t activation_bytes; /* 4: fp32 */
    bool bf16_weights;       /* matrices are passed as activations */
    void *self;

    /* Bytes of the device's memory that were free when it was opened; NULL where `host`. */
    size_t (*memory)(void *self);

    /* Allocates scratch for ops up to these sizes; call it again for larger ones. ERR_MEMORY,
     * ERR_DEVICE. */
    enum err (*prepare)(void *self, const struct op_sizes *sizes, struct why *w);

    /* Zeroed memory, aligned to BACKEND_ALIGNMENT bytes. ERR_MEMORY. */
    enum err (*alloc)(void *self, size_t bytes, void **out, struct why *w);
    /* `bytes` as in `alloc`. `upload` has read `host` when it returns, except for memory given to
     * `pin`, which must not change until a call that waits. ERR_DEVICE. */
    void (*free)(void *self, void *memory, size_t bytes);
    void (*upload)(void *self, void *device, const void *host, size_t bytes);
    enum err (*download)(void *self, void *host, const void *device, size_t bytes, struct why *w);
    void (*zero)(void *self, void *device, size_t bytes);

    void (*embed)(void *self, const struct op_embed *o);
    void (*embed_backward)(void *self, const struct op_embed_backward *o);
    void (*norm)(void *self, const struct op_norm *o);
    void (*norm_backward)(void *self, const struct op_norm_backward *o);
    void (*rotary)(void *self, const struct op_rotary *o);
    void (*attention)(void *self, const struct op_attention *o);
    void (*attention_backward)(void *self, const struct op_attention_backward *o);
    void (*attention_cached)(void *self, const struct op_attention_cached *o);
    void (*swiglu)(void *self, const struct op_swiglu *o);
    void (*swiglu_backward)(void *self, const struct op_swiglu_backward *o);
    void (*linear)(void *self, const struct op_linear *o);
    void (*linear_input)(void *self, const struct op_linear_input *o);
    void (*linear_weight)(void *self, const struct op_linear_weight *o);
    void (*cross_entropy)(void *self, const struct op_cross_entropy *o);
    void (*adamw)(void *self, const struct op_adamw *o);
    void (*round)(void *self, const struct op_round *o); /* NULL without bf16_weights */

    /* Sum of x, and the Euclidean norm of x, accumulated in fp64 and returned to the host.
     * ERR_DEVICE. */
    enum err (*sum)(void *self, const float *x, size_t count, double *out, struct why *w);
    enum err (*norm2)(void *self, const float *x, size_t count, double *out, struct why *w);

    /* Pins the host memory that the outer step reads and writes, so that copies overlap. Call it
     * once; the memory must outlive the backend. A failure is reported on stderr and costs only
     * time. NULL where `host`. */
    void (*pin)(void *self, void *host_memory, size_t bytes);

    /* `finite`: false, and the wire bytes unspecified, when a difference was not. ERR_DEVICE,
     * ERR_MEMORY. */
    enum err (*outer_quantize)(void *self, const struct op_outer_quantize *o, bool *finite,
                               struct why *w);
    enum err (*outer_step)(void *self, const struct op_outer_step *o, struct why *w);

    /* Collectives over the ranks that this backend was joined with, itself the first; NULL if it
     * was not joined. x[i] is the vector of rank i, in its memory, in the order in which they were
     * joined:
     *     all_reduce   x[i] = x[0] + x[1] + ...   in some order, the same bits in every rank
     *     broadcast    x[i] = x[0]
     * Queued on every rank after earlier work. ERR_DEVICE when they could not be queued. */
    enum err (*all_reduce)(void *self, float *const *x, size_t count, struct why *w);
    enum err (*broadcast)(void *self, float *const *x, size_t count, struct why *w);
};

#endif
