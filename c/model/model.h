/* model.h -- a Llama-style transformer's loss, gradients and next-token logits, as calls of backend
 * ops.
 *
 *     x = embed(tokens)
 *     each layer:  x += o_proj(attention(rotary(q, k, v = proj(rms_norm(x)))))  causal, GQA
 *                  x += down_proj(silu(gate_proj(n)) * up_proj(n)),  n = rms_norm(x)
 *     logits = head(rms_norm(x))
 *
 * Parameters and gradients are flat vectors in backend memory (layout.h), lent for the call. For a
 * backend with bf16_weights the model keeps those: always pass the same parameters, and call
 * model_parameters_changed after they were written other than by adamw, which writes both.
 * Activations are allocated once, by model_open, for `sequences` of the model's context; logits
 * exist only for a chunk of rows at a time. */
#ifndef SHOAL_MODEL_MODEL_H
#define SHOAL_MODEL_MODEL_H

#include "backend.h"
#include "model/layout.h"

struct model;

/* What the model's memory is for. Training stores what each layer computed in the forward pass, or
 * recomputes it in the backward pass: the same bits, with less memory and more time. Outputs of
 * norms and activation functions are always recomputed, by the operations that compute their
 * gradients, which costs neither memory nor time. */
enum model_use {
    MODEL_READ,        /* losses and generation */
    MODEL_TRAIN,       /* stores the outputs of products and attention */
    MODEL_TRAIN_BLOCK, /* stores only the residual stream between layers: a third more work */
};

/* Bytes of backend memory that a model needs. `in_gradients`: if it is opened with `gradients`. */
size_t model_bytes(const struct model_shape *s, const struct backend *b, size_t sequences,
                   enum model_use use, bool in_gradients);

/* Allocates for up to `sequences` >= 1 at a time. `memory`: model_bytes of the backend's, zeroed,
 * which the caller lends and frees after model_close; NULL: the model allocates its own. The
 * backend must outlive the model. ERR_MEMORY with the bytes needed.
 *
 * `gradients`: NULL, or the vector that every call with gradients will pass. Layers then store
 * their activations in it, each in a part that the backward pass, which starts with the last layer,
 * overwrites only after finishing that layer. Such a call replaces the gradients instead of adding
 * to them, and one without gradients destroys them. For steps of one micro-batch. */
enum err model_open(struct model **out, const struct model_shape *s, const struct backend *b,
                    size_t sequences, enum model_use use, float *gradients, void *memory,
                    struct why *w);
void model_close(struct model *m);

/* Valid as long as the model. */
const struct layout *model_layout(const struct model *m);

/* op_adamw's `bf16_weights`; NULL for a backend without bf16_weights. */
void *model_bf16_weights(struct model *m);
/* Call it after the parameters were written other than by adamw. */
void model_parameters_changed(struct model *m);

/* A micro-batch: `sequences` rows of length + 1 tokens each, in host memory: token i predicts token
 * i + 1. */
struct model_batch {
    const uint32_t *tokens; /* [sequences, length + 1], each below vocab */
    size_t sequences;       /* 1 .. `sequences` of model_open */
    size_t length;          /* 1 .. context */
};

/* Before the first micro-batch of a step: zeroes `gradients`, unless the model was opened with them
 * and will replace them. */
void model_clear_gradients(struct model *m, float *gradients);

/* Sum of the losses of all sequences x length predictions, in nats. ERR_DEVICE. */
enum err model_loss(struct model *m, const float *parameters, const struct model_batch *batch,
                    double *loss_sum, struct why *w);

/* The same, and gradients += scale * d loss_sum / d parameters (= if the model was opened with
 * them). */
enum err model_loss_and_gradients(struct model *m, const float *parameters, float *gradients,
                                  const struct model_batch *batch, float scale, double *loss_sum,
                                  struct why *w);

/* The same in two steps, so that several devices can compute at once: model_queue only queues the
 * work (without `gradients` only the losses), model_loss_sum waits for it. Between the two make no
 * other call on the model; `batch` may be reused. */
void model_queue(struct model *m, const float *parameters, float *gradients,
                 const struct model_batch *batch, float scale);
enum err model_loss_sum(struct model *m, double *loss_sum, struct why *w);

/* Generation: one sequence that grows up to the context. `model_feed` appends `count` >= 1 tokens
 * (host memory; model_fed + count <= context) and writes the logits [vocab] of the next token to
 * host memory. model_restart starts a new sequence. ERR_DEVICE. */
enum err model_feed(struct model *m, const float *parameters, const uint32_t *tokens, size_t count,
                    float *logits, struct why *w);
size_t model_fed(const struct model *m);
void model_restart(struct model *m);

/* Floating-point operations per training token (forward and backward, matrix products only,
 * attention counted over the causal half): 6 * (parameters in matrices that multiply) + 6 * layers
 * * heads * head_dim * context. The head counts, the embedding is a lookup and does not. Used to
 * compute utilization. */
double model_flops_per_token(const struct model_shape *s);

#endif
