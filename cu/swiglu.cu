/* swiglu.cu -- the gated activation of the feed-forward part (arXiv 2002.05202).
 *
 *     out = silu(gate) * up     silu(z) = z s     s = 1 / (1 + exp(-z))
 *     gate_grad = out_grad * up * (s + silu(z) (1 - s))     up_grad = out_grad * silu(z)
 *
 * Backward recomputes `out`, so that it need not be stored. Roofline: memory-bound, so a thread
 * handles sixteen bytes of each array if rows allow it (pack.h), otherwise one element. */
#include "ops.h"
#include "pack.h"

#define THREADS 256

__device__ __forceinline__ float sigmoid(float z) { return 1.0f / (1.0f + expf(-z)); }

template <class T, int EACH>
__global__ void __launch_bounds__(THREADS)
    swiglu_elements(T *out, const T *gate_up, size_t count, size_t ffn)
{
    const size_t n = ((size_t)blockIdx.x * THREADS + threadIdx.x) * EACH;
    if (n >= count) return;
    const T *row = gate_up + n / ffn * 2 * ffn;
    float gate[EACH], up[EACH];
    load<EACH>(gate, row + n % ffn);
    load<EACH>(up, row + ffn + n % ffn);
#pragma unroll
    for (int e = 0; e < EACH; e++) gate[e] = gate[e] * sigmoid(gate[e]) * up[e];
    store<EACH>(out + n, gate);
}

template <class T, int EACH>
__global__ void __launch_bounds__(THREADS)
    swiglu_elements_backward(T *out, T *gate_up_grad, const T *out_grad, const T *gate_up,
                             size_t count, size_t ffn)
{
    const size_t n = ((size_t)blockIdx.x * THREADS + threadIdx.x) * EACH;
    if (n >= count) return;
    const size_t gate_at = n / ffn * 2 * ffn + n % ffn, up_at = gate_at + ffn;
    float gate[EACH], up[EACH], d[EACH];
    load<EACH>(gate, gate_up + gate_at);
    load<EACH>(up, gate_up + up_at);
    load<EACH>(d, out_grad + n);
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        const float s = sigmoid(gate[e]), silu = gate[e] * s, u = up[e];
        gate[e] = d[e] * u * (s + silu * (1.0f - s));
        up[e] = d[e] * silu;
        d[e] = silu * u;
    }
    store<EACH>(out + n, d);
    store<EACH>(gate_up_grad + gate_at, gate);
    store<EACH>(gate_up_grad + up_at, up);
}

template <class T, int EACH> static void swiglu(struct cuda *c, const struct op_swiglu *o)
{
    const size_t count = o->rows * o->ffn;
    LAUNCH((swiglu_elements<T, EACH>), grid_of(count, THREADS * EACH), dim3(THREADS), 0, c->stream,
           (T *)o->out, (const T *)o->gate_up, count, o->ffn);
}

template <class T, int EACH>
static void swiglu_backward(struct cuda *c, const struct op_swiglu_backward *o)
{
    const size_t count = o->rows * o->ffn;
    LAUNCH((swiglu_elements_backward<T, EACH>), grid_of(count, THREADS * EACH), dim3(THREADS), 0,
           c->stream, (T *)o->out, (T *)o->gate_up_grad, (const T *)o->out_grad,
           (const T *)o->gate_up, count, o->ffn);
}

template <class T> static void swiglu_of(struct cuda *c, const struct op_swiglu *o)
{
    const bool whole = packs<T>(o->out, o->ffn) && packs<T>(o->gate_up, o->ffn);
    whole ? swiglu<T, pack_of<T>>(c, o) : swiglu<T, 1>(c, o);
}

template <class T>
static void swiglu_backward_of(struct cuda *c, const struct op_swiglu_backward *o)
{
    const bool whole = packs<T>(o->out, o->ffn) && packs<T>(o->gate_up_grad, o->ffn) &&
                       packs<T>(o->out_grad, o->ffn) && packs<T>(o->gate_up, o->ffn);
    whole ? swiglu_backward<T, pack_of<T>>(c, o) : swiglu_backward<T, 1>(c, o);
}

void cuda_swiglu(void *self, const struct op_swiglu *o)
{
    struct cuda *c = cuda_of(self);
    c->bf16 ? swiglu_of<struct bf16>(c, o) : swiglu_of<float>(c, o);
    cuda_launched(c, "swiglu");
}

void cuda_swiglu_backward(void *self, const struct op_swiglu_backward *o)
{
    struct cuda *c = cuda_of(self);
    c->bf16 ? swiglu_backward_of<struct bf16>(c, o) : swiglu_backward_of<float>(c, o);
    cuda_launched(c, "swiglu_backward");
}
