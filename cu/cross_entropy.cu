/* cross_entropy.cu -- softmax and cross-entropy in one, and the gradient in the place of the logits.
 *
 *     loss = log(sum_j exp(x_j)) - x_target     gradient = scale * (softmax(x) - onehot(target))
 *
 * One block a row; three passes over it, of which the last two find it in the cache. */
#include "ops.h"

#define THREADS 256

__global__ void __launch_bounds__(THREADS)
    cross_entropy_rows(float *loss, float *logits, const uint32_t *targets, size_t vocab,
                       bool gradient, float scale)
{
    __shared__ float tops[THREADS / WARP], sums[THREADS / WARP];
    float *x = logits + (size_t)blockIdx.x * vocab;
    const size_t target = targets[blockIdx.x];
    float top = -INFINITY, sum = 0;
    for (size_t i = threadIdx.x; i < vocab; i += THREADS) top = fmaxf(top, x[i]);
    top = block_max(top, tops, THREADS / WARP);
    for (size_t i = threadIdx.x; i < vocab; i += THREADS) sum += expf(x[i] - top);
    const float wanted =
        x[target]; /* before it is overwritten: the barrier of block_sum lies between */
    sum = block_sum(sum, sums, THREADS / WARP);
    if (threadIdx.x == 0) loss[blockIdx.x] = logf(sum) + (top - wanted);
    if (!gradient) return;
    for (size_t i = threadIdx.x; i < vocab; i += THREADS) {
        const float share = expf(x[i] - top) * (scale / sum);
        x[i] = i == target ? share - scale : share;
    }
}

void cuda_cross_entropy(void *self, const struct op_cross_entropy *o)
{
    struct cuda *c = (struct cuda *)self;
    LAUNCH(cross_entropy_rows, dim3(o->rows), dim3(THREADS), 0, c->stream, o->loss,
           (float *)o->logits, o->targets, o->vocab, o->gradient, o->scale);
    cuda_launched(c, "cross_entropy");
}
