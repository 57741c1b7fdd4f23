#include "model/adamw.h"

#include <assert.h>
#include <math.h>

void adamw_step(const struct backend *b, const struct layout *l, const struct experiment *x,
                const struct adamw_vectors *v, uint64_t step, double lr, double gradient_norm)
{
    assert(step >= 1);
    assert(isfinite(gradient_norm));
    const double clip = x->train.optimizer.clip;
    const double beta1 = x->train.optimizer.beta1, beta2 = x->train.optimizer.beta2;
    const bool clipped = clip > 0 && gradient_norm > clip;
    b->adamw(b->self, &(struct op_adamw){
                          .parameters = v->parameters,
                          .moment1 = v->moment1,
                          .moment2 = v->moment2,
                          .gradient = v->gradients,
                          .bf16_weights = v->bf16_weights,
                          .count = l->parameters,
                          .decayed_count = l->decayed_count,
                          .lr = (float)lr,
                          .beta1 = (float)beta1,
                          .beta2 = (float)beta2,
                          .eps = (float)x->train.optimizer.eps,
                          .decay = (float)x->train.optimizer.weight_decay,
                          .gradient_scale = clipped ? (float)(clip / gradient_norm) : 1,
                          .correction1 = (float)(1 - pow(beta1, (double)step)),
                          .correction2 = (float)(1 - pow(beta2, (double)step)),
                      });
}
