/* rotary.cu -- rotary embedding (arXiv 2104.09864), in place; halves are paired, as Hugging Face does.
 *
 *     (a, b) = (x[i], x[i + d/2]) of a head, d = head_dim:  (a cos - b sin, b cos + a sin);  inverse: sin -> -sin
 *
 * One thread a pair. */
#include "ops.h"
#include "ptx.h"

#define THREADS 256

template <class T>
__global__ void __launch_bounds__(THREADS)
    rotary_pairs(T *x, const float *cosine, const float *sine, size_t pairs, size_t length,
                 size_t start, size_t heads, size_t head_dim, size_t stride, float sign)
{
    const size_t n = (size_t)blockIdx.x * THREADS + threadIdx.x, half = head_dim / 2;
    if (n >= pairs) return;
    const size_t i = n % half, head = n / half % heads, row = n / half / heads;
    const size_t angle = (start + row % length) * half + i;
    const float turn_cos = cosine[angle], turn_sin = sign * sine[angle];
    T *at = x + row * stride + head * head_dim + i;
    const float a = float_of(at[0]), b = float_of(at[half]);
    at[0] = number_of<T>(a * turn_cos - b * turn_sin);
    at[half] = number_of<T>(b * turn_cos + a * turn_sin);
}

template <class T> static void rotary(struct cuda *c, const struct op_rotary *o)
{
    const size_t pairs = o->rows * o->heads * (o->head_dim / 2);
    LAUNCH(rotary_pairs<T>, dim3((pairs + THREADS - 1) / THREADS), dim3(THREADS), 0, c->stream,
           (T *)o->x, o->cosine, o->sine, pairs, o->length, o->start, o->heads, o->head_dim,
           o->stride, o->inverse ? -1.0f : 1.0f);
}

void cuda_rotary(void *self, const struct op_rotary *o)
{
    struct cuda *c = (struct cuda *)self;
    c->bf16 ? rotary<struct bf16>(c, o) : rotary<float>(c, o);
    cuda_launched(c, "rotary");
}
