/* swiglu.cu -- the gated activation of the feed-forward part (arXiv 2002.05202).
 *
 *     out = silu(gate) * up     silu(z) = z s     s = 1 / (1 + exp(-z))
 *     gate_grad = out_grad * up * (s + silu(z) (1 - s))     up_grad = out_grad * silu(z)
 *
 * One thread an element; the activation is computed again backward, not kept. */
#include "ops.h"
#include "ptx.h"

#define THREADS 256

__device__ __forceinline__ float sigmoid(float z) { return 1.0f / (1.0f + expf(-z)); }

template <class T>
__global__ void __launch_bounds__(THREADS)
    swiglu_elements(T *out, const T *gate_up, size_t count, size_t ffn)
{
    const size_t n = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (n >= count) return;
    const T *row = gate_up + n / ffn * 2 * ffn;
    const float z = float_of(row[n % ffn]);
    out[n] = number_of<T>(z * sigmoid(z) * float_of(row[ffn + n % ffn]));
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    swiglu_elements_backward(T *gate_up_grad, const T *out_grad, const T *gate_up, size_t count,
                             size_t ffn)
{
    const size_t n = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (n >= count) return;
    const size_t gate = n / ffn * 2 * ffn + n % ffn, up = gate + ffn;
    const float z = float_of(gate_up[gate]), d = float_of(out_grad[n]);
    const float s = sigmoid(z), silu = z * s;
    gate_up_grad[gate] = number_of<T>(d * float_of(gate_up[up]) * (s + silu * (1.0f - s)));
    gate_up_grad[up] = number_of<T>(d * silu);
}

template <class T> static void swiglu(struct cuda *c, const struct op_swiglu *o)
{
    const size_t count = o->rows * o->ffn;
    LAUNCH(swiglu_elements<T>, dim3((count + THREADS - 1) / THREADS), dim3(THREADS), 0, c->stream,
           (T *)o->out, (const T *)o->gate_up, count, o->ffn);
}

template <class T> static void swiglu_backward(struct cuda *c, const struct op_swiglu_backward *o)
{
    const size_t count = o->rows * o->ffn;
    LAUNCH(swiglu_elements_backward<T>, dim3((count + THREADS - 1) / THREADS), dim3(THREADS), 0,
           c->stream, (T *)o->gate_up_grad, (const T *)o->out_grad, (const T *)o->gate_up, count,
           o->ffn);
}

void cuda_swiglu(void *self, const struct op_swiglu *o)
{
    struct cuda *c = (struct cuda *)self;
    c->bf16 ? swiglu<struct bf16>(c, o) : swiglu<float>(c, o);
    cuda_launched(c, "swiglu");
}

void cuda_swiglu_backward(void *self, const struct op_swiglu_backward *o)
{
    struct cuda *c = (struct cuda *)self;
    c->bf16 ? swiglu_backward<struct bf16>(c, o) : swiglu_backward<float>(c, o);
    cuda_launched(c, "swiglu_backward");
}
