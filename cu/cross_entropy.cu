/* cross_entropy.cu -- softmax and cross-entropy in one, with the gradient written over the logits.
 *
 *     loss = log(sum_j exp(x_j)) - x_target     gradient = scale * (softmax(x) - onehot(target))
 *
 * One block per row. The first pass computes maximum and sum together: a thread rescales its sum
 * when it meets a larger logit (arXiv 1805.02867); the second pass finds the row in the cache. */
#include "ops.h"
#include "pack.h"

#define THREADS 512

template <class T, int EACH>
__global__ void __launch_bounds__(THREADS)
    cross_entropy_rows(float *loss, T *logits, const uint32_t *targets, size_t vocab, bool gradient,
                       float scale)
{
    __shared__ float tops[THREADS / WARP], sums[THREADS / WARP];
    T *x = logits + (size_t)blockIdx.x * vocab;
    const size_t target = targets[blockIdx.x];
    float top = -INFINITY, sum = 0, v[EACH];
    for (size_t i = threadIdx.x * EACH; i < vocab; i += THREADS * EACH) {
        load<EACH>(v, x + i);
        float largest = top;
        for (int e = 0; e < EACH; e++) largest = fmaxf(largest, v[e]);
        if (largest > top) sum *= expf(top - largest);
        top = largest;
        for (int e = 0; e < EACH; e++) sum += v[e] == -INFINITY ? 0.0f : expf(v[e] - top);
    }
    const float own = top;
    top = block_max(top, tops, THREADS / WARP);
    /* block_sum's barrier comes before it is overwritten */
    const float wanted = float_of(x[target]);
    sum = own == -INFINITY ? sum : sum * expf(own - top);
    sum = block_sum(sum, sums, THREADS / WARP);
    if (threadIdx.x == 0) loss[blockIdx.x] = logf(sum) + (top - wanted);
    if (!gradient) return;
    for (size_t i = threadIdx.x * EACH; i < vocab; i += THREADS * EACH) {
        load<EACH>(v, x + i);
        for (int e = 0; e < EACH; e++) {
            const float share = expf(v[e] - top) * (scale / sum);
            v[e] = i + e == target ? share - scale : share;
        }
        store<EACH>(x + i, v);
    }
}

template <class T, int EACH>
static void cross_entropy(struct cuda *c, const struct op_cross_entropy *o)
{
    LAUNCH((cross_entropy_rows<T, EACH>), dim3(o->rows), dim3(THREADS), 0, c->stream, o->loss,
           (T *)o->logits, o->targets, o->vocab, o->gradient, o->scale);
}

template <class T> static void cross_entropy_of(struct cuda *c, const struct op_cross_entropy *o)
{
    packs<T>(o->logits, o->vocab) ? cross_entropy<T, pack_of<T>>(c, o) : cross_entropy<T, 1>(c, o);
}

void cuda_cross_entropy(void *self, const struct op_cross_entropy *o)
{
    struct cuda *c = cuda_of(self);
    c->bf16 ? cross_entropy_of<struct bf16>(c, o) : cross_entropy_of<float>(c, o);
    cuda_launched(c, "cross_entropy");
}
