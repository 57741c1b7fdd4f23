/* adamw.cu -- AdamW (arXiv 1711.05101), g = gradient * gradient_scale:
 *
 *     m = b1 m + (1 - b1) g     v = b2 v + (1 - b2) g^2
 *     p = (1 - lr decay) p - lr / c1 * m / (sqrt(v) / sqrt(c2) + eps)
 *
 * and the bf16 copies of the matrices, for the next products; `round` writes only those. Roofline:
 * 16 B read and 12 to 14 B written per element: memory-bound, so a thread handles four elements if
 * lengths allow it (pack.h). */
#include "ops.h"
#include "pack.h"

#define THREADS 256

template <int EACH>
__global__ void __launch_bounds__(THREADS) adamw_elements(struct op_adamw o, float rate, float root)
{
    const size_t first = ((size_t)blockIdx.x * THREADS + threadIdx.x) * EACH;
    float g[EACH], m[EACH], v[EACH], p[EACH];
    if (first >= o.count) return;
    load<EACH>(g, o.gradient + first);
    load<EACH>(m, o.moment1 + first);
    load<EACH>(v, o.moment2 + first);
    load<EACH>(p, o.parameters + first);
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        const float keep = first + e < o.decayed_count ? 1.0f - o.lr * o.decay : 1.0f;
        g[e] *= o.gradient_scale;
        m[e] = o.beta1 * m[e] + (1.0f - o.beta1) * g[e];
        v[e] = o.beta2 * v[e] + (1.0f - o.beta2) * (g[e] * g[e]);
        p[e] = keep * p[e] - rate * m[e] / (sqrtf(v[e]) * root + o.eps);
    }
    store<EACH>(o.moment1 + first, m);
    store<EACH>(o.moment2 + first, v);
    store<EACH>(o.parameters + first, p);
    if (o.bf16_weights && first < o.decayed_count)
        store<EACH>((struct bf16 *)o.bf16_weights + first, p);
}

template <int EACH>
__global__ void __launch_bounds__(THREADS) round_to_bf16(struct bf16 *out, const float *x, size_t n)
{
    const size_t first = ((size_t)blockIdx.x * THREADS + threadIdx.x) * EACH;
    float v[EACH];
    if (first >= n) return;
    load<EACH>(v, x + first);
    store<EACH>(out + first, v);
}

template <int EACH> static void adamw(struct cuda *c, const struct op_adamw *o)
{
    LAUNCH(adamw_elements<EACH>, grid_of(o->count, THREADS * EACH), dim3(THREADS), 0, c->stream, *o,
           o->lr / o->correction1, 1.0f / sqrtf(o->correction2));
}

template <int EACH> static void round_all(struct cuda *c, const struct op_round *o)
{
    LAUNCH(round_to_bf16<EACH>, grid_of(o->count, THREADS * EACH), dim3(THREADS), 0, c->stream,
           (struct bf16 *)o->out, o->x, o->count);
}

void cuda_adamw(void *self, const struct op_adamw *o)
{
    struct cuda *c = cuda_of(self);
    const bool whole = packs<float>(o->parameters, o->count) &&
                       packs<float>(o->moment1, o->count) && packs<float>(o->moment2, o->count) &&
                       packs<float>(o->gradient, o->count) &&
                       packs<float>(o->bf16_weights, o->bf16_weights ? o->decayed_count : 0);
    whole ? adamw<pack_of<float>>(c, o) : adamw<1>(c, o);
    cuda_launched(c, "adamw");
}

void cuda_round(void *self, const struct op_round *o)
{
    struct cuda *c = cuda_of(self);
    const bool whole = packs<float>(o->x, o->count) && packs<float>(o->out, o->count);
    whole ? round_all<pack_of<float>>(c, o) : round_all<1>(c, o);
    cuda_launched(c, "round");
}
