/* embed.cu -- rows of the embedding table, and their gradient.
 *
 *     out[r] = table[tokens[r]]     table_grad[tokens[r]] += out_grad[r], in the order of r
 *
 * Backward without atomics: each row finds the next one with the same token, and whether it is the
 * first; the first one's blocks, one per 128 columns, walk along that chain. Finding costs at most
 * rows^2 / 2 comparisons, of cached tokens. The chain of a frequent token (4 % of a text are the
 * same one) is the critical path, so the next link and row of gradients are prefetched while a row
 * is added. */
#include "ops.h"
#include "pack.h"

#define THREADS 128
#define FIRST   0x80000000u /* in chain: no earlier row has this token */
#define END     0x7fffffffu /* in chain: no later row has */

template <class T, int EACH>
__global__ void __launch_bounds__(THREADS)
    embed_rows(T *out, const T *table, const uint32_t *tokens, size_t dim)
{
    const size_t from = tokens[blockIdx.x] * dim, to = (size_t)blockIdx.x * dim;
    for (size_t i = threadIdx.x * EACH; i < dim; i += THREADS * EACH)
        *(pack<T, EACH> *)(out + to + i) = *(const pack<T, EACH> *)(table + from + i);
}

__global__ void __launch_bounds__(THREADS)
    embed_chain(uint32_t *chain, const uint32_t *tokens, uint32_t rows)
{
    const uint32_t r = blockIdx.x * THREADS + threadIdx.x;
    if (r >= rows) return;
    uint32_t next = r + 1, before = r;
    while (next < rows && tokens[next] != tokens[r]) next++;
    while (before > 0 && tokens[before - 1] != tokens[r]) before--;
    chain[r] = (next < rows ? next : END) | (before ? 0 : FIRST);
}

template <class T>
__global__ void __launch_bounds__(THREADS)
    embed_add(float *table_grad, const T *out_grad, const uint32_t *tokens, const uint32_t *chain,
              size_t dim)
{
    const size_t column = (size_t)blockIdx.y * THREADS + threadIdx.x;
    const uint32_t link = chain[blockIdx.x];
    if (!(link & FIRST) || column >= dim) return;
    float *to = table_grad + tokens[blockIdx.x] * dim + column;
    float sum = *to, x = float_of(out_grad[blockIdx.x * dim + column]);
    for (uint32_t r = link & ~FIRST; r != END;) {
        const uint32_t next = chain[r];
        const float x_next = float_of(out_grad[r * dim + column]);
        sum += x;
        x = x_next;
        r = next;
    }
    *to = sum + x;
}

template <class T, int EACH> static void embed(struct cuda *c, const struct op_embed *o)
{
    LAUNCH((embed_rows<T, EACH>), dim3(o->rows), dim3(THREADS), 0, c->stream, (T *)o->out,
           (const T *)o->table, o->tokens, o->dim);
}

template <class T> static void embed_of(struct cuda *c, const struct op_embed *o)
{
    const bool whole = packs<T>(o->out, o->dim) && packs<T>(o->table, o->dim);
    whole ? embed<T, pack_of<T>>(c, o) : embed<T, 1>(c, o);
}

template <class T> static void embed_backward(struct cuda *c, const struct op_embed_backward *o)
{
    LAUNCH(embed_chain, dim3((o->rows + THREADS - 1) / THREADS), dim3(THREADS), 0, c->stream,
           c->chain, o->tokens, (uint32_t)o->rows);
    const size_t columns = (o->dim + THREADS - 1) / THREADS; /* blocks of columns */
    LAUNCH(embed_add<T>, dim3(o->rows, columns), dim3(THREADS), 0, c->stream, o->table_grad,
           (const T *)o->out_grad, o->tokens, c->chain, o->dim);
}

void cuda_embed(void *self, const struct op_embed *o)
{
    struct cuda *c = cuda_of(self);
    c->bf16 ? embed_of<struct bf16>(c, o) : embed_of<float>(c, o);
    cuda_launched(c, "embed");
}

void cuda_embed_backward(void *self, const struct op_embed_backward *o)
{
    struct cuda *c = cuda_of(self);
    c->bf16 ? embed_backward<struct bf16>(c, o) : embed_backward<float>(c, o);
    cuda_launched(c, "embed_backward");
}
