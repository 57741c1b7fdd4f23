/* norm.cu -- RMSNorm of a residual stream that may grow first (arXiv 1910.07467).
 *
 *     sum = x + add     inverse = 1 / sqrt(mean(sum^2) + eps)     out = gain * sum * inverse
 *     with n = x * inverse and h = out_grad * gain:
 *     x_grad = inverse * (h - n * mean(h * n))     gain_grad += sum over rows of out_grad * n
 *
 * Backward recomputes `out`, so that it need not be stored. One block per row. The gain's gradient
 * is summed in blocks of 64 rows, and those in order: the same bits on any device. Roofline: 2
 * reads and 2 writes of [rows, dim] forward, so memory-bound: sixteen bytes per thread if rows
 * allow it (pack.h). */
#include "ops.h"
#include "pack.h"

#define THREADS      256
#define GAIN_ROWS    64
#define GAIN_COLUMNS 64

template <class T, int EACH>
__global__ void __launch_bounds__(THREADS)
    norm_rows(T *sum, T *out, float *inverse, const T *x, const T *add, const float *gain,
              size_t dim, float eps)
{
    __shared__ float room[THREADS / WARP];
    const size_t at = (size_t)blockIdx.x * dim;
    float squares = 0, v[EACH], more[EACH], gains[EACH];
    for (size_t i = threadIdx.x * EACH; i < dim; i += THREADS * EACH) {
        load<EACH>(v, x + at + i);
        if (add) {
            load<EACH>(more, add + at + i);
            for (int e = 0; e < EACH; e++) v[e] += more[e];
            store<EACH>(sum + at + i, v);
            load<EACH>(v, sum + at + i); /* the rounded value, which is what backward sees */
        }
        for (int e = 0; e < EACH; e++) squares += v[e] * v[e];
    }
    squares = block_sum(squares, room, THREADS / WARP);
    const float scale = 1.0f / sqrtf(squares / (float)dim + eps);
    const T *from = add ? sum : x;
    for (size_t i = threadIdx.x * EACH; i < dim; i += THREADS * EACH) {
        load<EACH>(v, from + at + i);
        load_floats<EACH>(gains, gain + i);
        for (int e = 0; e < EACH; e++) v[e] = gains[e] * (v[e] * scale);
        store<EACH>(out + at + i, v);
    }
    if (threadIdx.x == 0) inverse[blockIdx.x] = scale;
}

template <class T, int EACH>
__global__ void __launch_bounds__(THREADS)
    norm_rows_backward(T *out, T *x_grad, bool add, const T *out_grad, const T *x,
                       const float *inverse, const float *gain, size_t dim)
{
    __shared__ float room[THREADS / WARP];
    const size_t at = (size_t)blockIdx.x * dim;
    const float scale = inverse[blockIdx.x];
    float dot = 0, d[EACH], v[EACH], before[EACH], gains[EACH];
    for (size_t i = threadIdx.x * EACH; i < dim; i += THREADS * EACH) {
        load<EACH>(d, out_grad + at + i);
        load<EACH>(v, x + at + i);
        load_floats<EACH>(gains, gain + i);
        for (int e = 0; e < EACH; e++) dot += d[e] * gains[e] * (v[e] * scale);
    }
    const float mean = block_sum(dot, room, THREADS / WARP) / (float)dim;
    for (size_t i = threadIdx.x * EACH; i < dim; i += THREADS * EACH) {
        load<EACH>(d, out_grad + at + i);
        load<EACH>(v, x + at + i);
        load_floats<EACH>(gains, gain + i);
        if (add) load<EACH>(before, x_grad + at + i);
        for (int e = 0; e < EACH; e++) {
            const float g = scale * (d[e] * gains[e] - v[e] * scale * mean);
            d[e] = add ? before[e] + g : g;
            v[e] = gains[e] * (v[e] * scale);
        }
        store<EACH>(out + at + i, v);
        store<EACH>(x_grad + at + i, d);
    }
}

/* One thread per column of a block of rows. */
template <class T>
__global__ void __launch_bounds__(GAIN_COLUMNS)
    norm_gain_partial(float *partials, const T *out_grad, const T *x, const float *inverse,
                      size_t rows, size_t dim)
{
    const size_t column = (size_t)blockIdx.x * GAIN_COLUMNS + threadIdx.x;
    const size_t first = (size_t)blockIdx.y * GAIN_ROWS;
    const size_t last = first + GAIN_ROWS < rows ? first + GAIN_ROWS : rows;
    if (column >= dim) return;
    float sum = 0;
    for (size_t r = first; r < last; r++)
        sum += float_of(out_grad[r * dim + column]) * (float_of(x[r * dim + column]) * inverse[r]);
    partials[(size_t)blockIdx.y * dim + column] = sum;
}

__global__ void __launch_bounds__(GAIN_COLUMNS)
    norm_gain(float *gain_grad, const float *partials, size_t blocks, size_t dim)
{
    const size_t column = (size_t)blockIdx.x * GAIN_COLUMNS + threadIdx.x;
    if (column >= dim) return;
    float sum = gain_grad[column];
    for (size_t b = 0; b < blocks; b++) sum += partials[b * dim + column];
    gain_grad[column] = sum;
}

static size_t gain_blocks(size_t rows) { return (rows + GAIN_ROWS - 1) / GAIN_ROWS; }

size_t cuda_norm_partials(const struct op_sizes *s) { return gain_blocks(s->rows) * s->dim; }

template <class T, int EACH> static void norm(struct cuda *c, const struct op_norm *o)
{
    LAUNCH((norm_rows<T, EACH>), dim3(o->rows), dim3(THREADS), 0, c->stream, (T *)o->sum,
           (T *)o->out, o->inverse, (const T *)o->x, (const T *)o->add, o->gain, o->dim, o->eps);
}

template <class T, int EACH>
static void norm_rows_back(struct cuda *c, const struct op_norm_backward *o)
{
    LAUNCH((norm_rows_backward<T, EACH>), dim3(o->rows), dim3(THREADS), 0, c->stream, (T *)o->out,
           (T *)o->x_grad, o->add, (const T *)o->out_grad, (const T *)o->x, o->inverse, o->gain,
           o->dim);
}

template <class T> static void norm_of(struct cuda *c, const struct op_norm *o)
{
    const bool whole = packs<T>(o->sum, o->dim) && packs<T>(o->out, o->dim) &&
                       packs<T>(o->x, o->dim) && packs<T>(o->add, o->dim) &&
                       packs<float>(o->gain, o->dim);
    whole ? norm<T, pack_of<T>>(c, o) : norm<T, 1>(c, o);
}

template <class T> static void norm_backward_of(struct cuda *c, const struct op_norm_backward *o)
{
    const size_t columns = (o->dim + GAIN_COLUMNS - 1) / GAIN_COLUMNS;
    const bool whole = packs<T>(o->out, o->dim) && packs<T>(o->x_grad, o->dim) &&
                       packs<T>(o->out_grad, o->dim) && packs<T>(o->x, o->dim) &&
                       packs<float>(o->gain, o->dim);
    LAUNCH(norm_gain_partial<T>, dim3(columns, gain_blocks(o->rows)), dim3(GAIN_COLUMNS), 0,
           c->stream, c->partials, (const T *)o->out_grad, (const T *)o->x, o->inverse, o->rows,
           o->dim);
    LAUNCH(norm_gain, dim3(columns), dim3(GAIN_COLUMNS), 0, c->stream, o->gain_grad, c->partials,
           gain_blocks(o->rows), o->dim);
    whole ? norm_rows_back<T, pack_of<T>>(c, o) : norm_rows_back<T, 1>(c, o);
}

void cuda_norm(void *self, const struct op_norm *o)
{
    struct cuda *c = cuda_of(self);
    c->bf16 ? norm_of<struct bf16>(c, o) : norm_of<float>(c, o);
    cuda_launched(c, "norm");
}

void cuda_norm_backward(void *self, const struct op_norm_backward *o)
{
    struct cuda *c = cuda_of(self);
    c->bf16 ? norm_backward_of<struct bf16>(c, o) : norm_backward_of<float>(c, o);
    cuda_launched(c, "norm_backward");
}
