/* model.h -- a Llama-style transformer's loss, gradients and next-token logits, as calls of backend
 * ops.
 *
 *     x = embed(tokens)
 *     each layer:  x += o_proj(attention(rotary(q, k, v = proj(rms_norm(x)))))  causal, GQA
 *                  x += down_proj(silu(gate_proj(n)) * up_proj(n)),  n = rms_norm(x)
 *     logits = head(rms_norm(x))
 *
 * Parameters and gradients are flat vectors in backend memory (layout.h), lent for the call. For a
 * backend with bf16_weights the model keeps those: give it the same parameters always, and call
 * model_parameters_changed when they were written by anyone but adamw, which writes both.
 * Activations are taken once, at open, for `sequences` of the model's context; the logits exist
 * only for a chunk of rows at a time. */
#ifndef SHOAL_MODEL_MODEL_H
#define SHOAL_MODEL_MODEL_H

#include "backend.h"
#include "model/layout.h"

struct model;

/* What there is memory for. Training remembers what each layer computed on the way, or computes it
 * once more on the way back: the same bits, for less memory and more time. What norms and
 * activations gave is always computed again, by the operations that compute their gradients: no
 * memory, and no time either. */
enum model_use {
    MODEL_READ,        /* losses and generation */
    MODEL_TRAIN,       /* what products and attention gave is remembered */
    MODEL_TRAIN_BLOCK, /* the residual stream between layers alone: a third more work */
};

/* Bytes of backend memory that a model works in. `in_gradients`: beside gradients that it is opened
 * with. */
size_t model_bytes(const struct model_shape *s, const struct backend *b, size_t sequences,
                   enum model_use use, bool in_gradients);

/* Room for up to `sequences` >= 1 at once. `memory`: model_bytes of the backend's, zeroed, which
 * the caller lends and frees after model_close; NULL: the model takes its own. The backend
 * must outlive the model. ERR_MEMORY with what was needed.
 *
 * `gradients`: NULL, or the vector that every call with gradients will name. Layers then remember
 * in it what they computed, each where the backward pass, which begins with the last layer, writes
 * after it has done with that layer: such a call does not add to what was there but replaces it,
 * and one without gradients spoils it. For steps of one micro-batch. */
enum err model_open(struct model **out, const struct model_shape *s, const struct backend *b,
                    size_t sequences, enum model_use use, float *gradients, void *memory,
                    struct why *w);
void model_close(struct model *m);

/* Valid as long as the model. */
const struct layout *model_layout(const struct model *m);

/* op_adamw's `bf16_weights`; NULL for a backend without. */
void *model_bf16_weights(struct model *m);
/* To be called after the parameters were written by anything but adamw. */
void model_parameters_changed(struct model *m);

/* A micro-batch: `sequences` rows of length + 1 tokens each, in host memory: token i predicts token
 * i + 1. */
struct model_batch {
    const uint32_t *tokens; /* [sequences, length + 1], each below vocab */
    size_t sequences;       /* 1 .. those of model_open */
    size_t length;          /* 1 .. context */
};

/* Before the first micro-batch of a step: zeroes gradients, but those that the model was opened
 * with, which it replaces. */
void model_clear_gradients(struct model *m, float *gradients);

/* Sum of the losses of all sequences x length predictions, in nats. ERR_DEVICE. */
enum err model_loss(struct model *m, const float *parameters, const struct model_batch *batch,
                    double *loss_sum, struct why *w);

/* The same, and gradients += scale * d loss_sum / d parameters (= where the model was opened with
 * them). */
enum err model_loss_and_gradients(struct model *m, const float *parameters, float *gradients,
                                  const struct model_batch *batch, float scale, double *loss_sum,
                                  struct why *w);

/* The same in two steps, so that several devices can compute at once: model_queue returns while
 * this one does (without `gradients` the losses alone), model_loss_sum waits for it. Between them
 * the model takes nothing else; `batch` may go. */
void model_queue(struct model *m, const float *parameters, float *gradients,
                 const struct model_batch *batch, float scale);
enum err model_loss_sum(struct model *m, double *loss_sum, struct why *w);

/* Generation: one sequence that grows up to the context. `model_feed` appends `count` >= 1 tokens
 * (host memory; model_fed + count <= context) and writes the logits [vocab] of the token that
 * follows to host memory. model_restart forgets the sequence. ERR_DEVICE. */
enum err model_feed(struct model *m, const float *parameters, const uint32_t *tokens, size_t count,
                    float *logits, struct why *w);
size_t model_fed(const struct model *m);
void model_restart(struct model *m);

/* Floating-point operations of one training token (forward and backward, matrix products only,
 * attention counted over the causal half): 6 * (parameters in matrices that multiply) + 6 * layers
 * * heads * head_dim * context. The embedding is a lookup and not counted, the head is. Used for
 * utilization. */
double model_flops_per_token(const struct model_shape *s);

#endif
