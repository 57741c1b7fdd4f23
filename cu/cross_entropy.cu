/* cross_entropy.cu -- softmax and cross-entropy in one, and the gradient in the place of the logits.
 *
 *     loss = log(sum_j exp(x_j)) - x_target     gradient = scale * (softmax(x) - onehot(target))
 *
 * One block a row; three passes over it, of which the last two find it in the cache. */
#include "ops.h"
#include "ptx.h"

#define THREADS 256

template <class T>
__global__ void __launch_bounds__(THREADS)
    cross_entropy_rows(float *loss, T *logits, const uint32_t *targets, size_t vocab, bool gradient,
                       float scale)
{
    __shared__ float tops[THREADS / WARP], sums[THREADS / WARP];
    T *x = logits + (size_t)blockIdx.x * vocab;
    const size_t target = targets[blockIdx.x];
    float top = -INFINITY, sum = 0;
    for (size_t i = threadIdx.x; i < vocab; i += THREADS) top = fmaxf(top, float_of(x[i]));
    top = block_max(top, tops, THREADS / WARP);
    for (size_t i = threadIdx.x; i < vocab; i += THREADS) sum += expf(float_of(x[i]) - top);
    const float wanted =
        float_of(x[target]); /* block_sum's barrier lies before it is overwritten */
    sum = block_sum(sum, sums, THREADS / WARP);
    if (threadIdx.x == 0) loss[blockIdx.x] = logf(sum) + (top - wanted);
    if (!gradient) return;
    for (size_t i = threadIdx.x; i < vocab; i += THREADS) {
        const float share = expf(float_of(x[i]) - top) * (scale / sum);
        x[i] = number_of<T>(i == target ? share - scale : share);
    }
}

template <class T> static void cross_entropy(struct cuda *c, const struct op_cross_entropy *o)
{
    LAUNCH(cross_entropy_rows<T>, dim3(o->rows), dim3(THREADS), 0, c->stream, o->loss,
           (T *)o->logits, o->targets, o->vocab, o->gradient, o->scale);
}

void cuda_cross_entropy(void *self, const struct op_cross_entropy *o)
{
    struct cuda *c = (struct cuda *)self;
    c->bf16 ? cross_entropy<struct bf16>(c, o) : cross_entropy<float>(c, o);
    cuda_launched(c, "cross_entropy");
}
