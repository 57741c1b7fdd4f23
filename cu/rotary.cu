/* rotary.cu -- rotary embedding (arXiv 2104.09864), in place; halves are paired, as in Hugging
 * Face.
 *
 *     (a, b) = (x[i], x[i + d/2]) of a head, d = head_dim:  (a cos - b sin, b cos + a sin)
 *     inverse: sin -> -sin
 *
 * A thread handles sixteen bytes of each half if heads allow it (pack.h), otherwise one pair. */
#include "ops.h"
#include "pack.h"

#define THREADS 256

template <class T, int EACH>
__global__ void __launch_bounds__(THREADS)
    rotary_pairs(T *x, const float *cosine, const float *sine, size_t pairs, size_t length,
                 size_t start, size_t heads, size_t head_dim, size_t stride, float sign)
{
    const size_t n = ((size_t)blockIdx.x * THREADS + threadIdx.x) * EACH, half = head_dim / 2;
    if (n >= pairs) return;
    const size_t i = n % half, head = n / half % heads, row = n / half / heads;
    const size_t angle = (start + row % length) * half + i;
    T *at = x + row * stride + head * head_dim + i;
    float a[EACH], b[EACH], turned[EACH], turn_cos[EACH], turn_sin[EACH];
    load<EACH>(a, at);
    load<EACH>(b, at + half);
    load_floats<EACH>(turn_cos, cosine + angle);
    load_floats<EACH>(turn_sin, sine + angle);
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        turn_sin[e] *= sign;
        turned[e] = a[e] * turn_cos[e] - b[e] * turn_sin[e];
        b[e] = b[e] * turn_cos[e] + a[e] * turn_sin[e];
    }
    store<EACH>(at, turned);
    store<EACH>(at + half, b);
}

template <class T, int EACH> static void rotary(struct cuda *c, const struct op_rotary *o)
{
    const size_t pairs = o->rows * o->heads * (o->head_dim / 2);
    LAUNCH((rotary_pairs<T, EACH>), grid_of(pairs, THREADS * EACH), dim3(THREADS), 0, c->stream,
           (T *)o->x, o->cosine, o->sine, pairs, o->length, o->start, o->heads, o->head_dim,
           o->stride, o->inverse ? -1.0f : 1.0f);
}

template <class T> static void rotary_of(struct cuda *c, const struct op_rotary *o)
{
    const size_t half = o->head_dim / 2;
    const bool whole = packs<T>(o->x, o->stride) && packs<T>(o->x, half) &&
                       packs<float>(o->cosine, half) && packs<float>(o->sine, half);
    whole ? rotary<T, pack_of<T>>(c, o) : rotary<T, 1>(c, o);
}

void cuda_rotary(void *self, const struct op_rotary *o)
{
    struct cuda *c = cuda_of(self);
    c->bf16 ? rotary_of<struct bf16>(c, o) : rotary_of<float>(c, o);
    cuda_launched(c, "rotary");
}
