/* adamw.h -- the inner optimizer's update: clip by the global norm, then AdamW (op_adamw in
 * backend.h has the formula).
 *
 * The bias corrections 1 - beta^step and the clipping factor are computed in fp64 and rounded once.
 * Weight decay applies to matrices only (layout.h). */
#ifndef SHOAL_MODEL_ADAMW_H
#define SHOAL_MODEL_ADAMW_H

#include "backend.h"
#include "config/experiment.h"
#include "model/layout.h"

struct adamw_vectors { /* [layout.parameters] each, in backend memory */
    float *parameters, *moment1, *moment2;
    const float *gradients;
    void *bf16_weights; /* model_bf16_weights */
};

/* Does update `step` (the first is 1) with the settings of train.optimizer, except for the learning
 * rate `lr`. gradient_norm is the Euclidean norm of all gradients. */
void adamw_step(const struct backend *b, const struct layout *l, const struct experiment *x,
                const struct adamw_vectors *v, uint64_t step, double lr, double gradient_norm);

#endif
