/* adamw.cu -- AdamW (arXiv 1711.05101), one thread an element, g = gradient * gradient_scale:
 *
 *     m = b1 m + (1 - b1) g     v = b2 v + (1 - b2) g^2
 *     p = (1 - lr decay) p - lr / c1 * m / (sqrt(v) / sqrt(c2) + eps)
 *
 * and the matrices' copies in bf16, which the next products read; round writes those alone.
 * Roofline: 16 B read and 12 to 14 B written an element: only bandwidth matters. */
#include "ops.h"
#include "ptx.h"

#define THREADS 256

__global__ void __launch_bounds__(THREADS) adamw_elements(struct op_adamw o, float rate, float root)
{
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= o.count) return;
    const bool matrix = i < o.decayed_count;
    const float keep = matrix ? 1.0f - o.lr * o.decay : 1.0f;
    const float g = o.gradient[i] * o.gradient_scale;
    const float m = o.beta1 * o.moment1[i] + (1.0f - o.beta1) * g;
    const float v = o.beta2 * o.moment2[i] + (1.0f - o.beta2) * (g * g);
    o.moment1[i] = m;
    o.moment2[i] = v;
    const float p = keep * o.parameters[i] - rate * m / (sqrtf(v) * root + o.eps);
    o.parameters[i] = p;
    if (o.copies && matrix) ((struct bf16 *)o.copies)[i] = bf16_of(p);
}

void cuda_adamw(void *self, const struct op_adamw *o)
{
    struct cuda *c = (struct cuda *)self;
    LAUNCH(adamw_elements, dim3((o->count + THREADS - 1) / THREADS), dim3(THREADS), 0, c->stream,
           *o, o->lr / o->correction1, 1.0f / sqrtf(o->correction2));
    cuda_launched(c, "adamw");
}

__global__ void __launch_bounds__(THREADS) round_to_bf16(struct bf16 *out, const float *x, size_t n)
{
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) out[i] = bf16_of(x[i]);
}

void cuda_round(void *self, const struct op_round *o)
{
    struct cuda *c = (struct cuda *)self;
    LAUNCH(round_to_bf16, dim3((o->count + THREADS - 1) / THREADS), dim3(THREADS), 0, c->stream,
           (struct bf16 *)o->out, o->x, o->count);
    cuda_launched(c, "round");
}
