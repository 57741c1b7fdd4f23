/* swiglu.cu -- the gated activation of the feed-forward part (arXiv 2002.05202).
 *
 *     out = silu(gate) * up     silu(z) = z s     s = 1 / (1 + exp(-z))
 *     gate_grad = out_grad * up * (s + silu(z) (1 - s))     up_grad = out_grad * silu(z)
 *
 * One thread an element; the activation is computed again backward, not kept. */
#include "ops.h"

#define THREADS 256

__device__ __forceinline__ float sigmoid(float z) { return 1.0f / (1.0f + expf(-z)); }

__global__ void __launch_bounds__(THREADS)
    swiglu_elements(float *out, const float *gate_up, size_t count, size_t ffn)
{
    const size_t n = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (n >= count) return;
    const float *row = gate_up + n / ffn * 2 * ffn;
    const float z = row[n % ffn];
    out[n] = z * sigmoid(z) * row[ffn + n % ffn];
}

__global__ void __launch_bounds__(THREADS)
    swiglu_elements_backward(float *gate_up_grad, const float *out_grad, const float *gate_up,
                             size_t count, size_t ffn)
{
    const size_t n = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (n >= count) return;
    const size_t gate = n / ffn * 2 * ffn + n % ffn, up = gate + ffn;
    const float z = gate_up[gate], d = out_grad[n], s = sigmoid(z), silu = z * s;
    gate_up_grad[gate] = d * gate_up[up] * (s + silu * (1.0f - s));
    gate_up_grad[up] = d * silu;
}

void cuda_swiglu(void *self, const struct op_swiglu *o)
{
    struct cuda *c = (struct cuda *)self;
    const size_t count = o->rows * o->ffn;
    LAUNCH(swiglu_elements, dim3((count + THREADS - 1) / THREADS), dim3(THREADS), 0, c->stream,
           (float *)o->out, (const float *)o->gate_up, count, o->ffn);
    cuda_launched(c, "swiglu");
}

void cuda_swiglu_backward(void *self, const struct op_swiglu_backward *o)
{
    struct cuda *c = (struct cuda *)self;
    const size_t count = o->rows * o->ffn;
    LAUNCH(swiglu_elements_backward, dim3((count + THREADS - 1) / THREADS), dim3(THREADS), 0,
           c->stream, (float *)o->gate_up_grad, (const float *)o->out_grad,
           (const float *)o->gate_up, count, o->ffn);
    cuda_launched(c, "swiglu_backward");
}
