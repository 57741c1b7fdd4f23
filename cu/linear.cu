/* linear.cu -- the three matrix products of a layer y = x w^T.
 *
 *     y = x w^T     x_grad = y_grad w     w_grad += y_grad^T x
 *
 * In bf16 they are done by cuBLASLt (cublaslt.h) or product_bf16.cu. In fp32 one kernel does all
 * three: C (+)= A B, where A and B have two strides each. A block computes 64 x 64 of C from slices
 * of 16 in shared memory, a thread 4 x 4 of them; each sum runs over k in ascending order. */
#include "cublaslt.h"
#include "ops.h"
#include "tensor.h"

#define TILE    64
#define SLICE   16
#define THREADS 256
#define EACH    4 /* rows and columns per thread */

struct matrix { /* element (i, j) at data[i * row + j * column] */
    const float *data;
    size_t row, column;
};

/* Elements [i, i + TILE) x [k, k + SLICE) of m, viewed as rows x depth; zeros beyond. Neighbouring
 * threads read neighbouring addresses in either layout of m. */
__device__ __forceinline__ void load_tile(float tile[SLICE][TILE + 1], struct matrix m, size_t i,
                                          size_t k, size_t rows, size_t depth)
{
    for (int n = threadIdx.x; n < TILE * SLICE; n += THREADS) {
        const int along = m.column == 1 ? n / SLICE : n % TILE;
        const int deep = m.column == 1 ? n % SLICE : n / TILE;
        const bool inside = i + along < rows && k + deep < depth;
        tile[deep][along] = inside ? m.data[(i + along) * m.row + (k + deep) * m.column] : 0.0f;
    }
}

/* b is passed transposed: its rows are C's columns. */
__global__ void __launch_bounds__(THREADS)
    product(float *c, struct matrix a, struct matrix b, size_t rows, size_t columns, size_t depth,
            bool add)
{
    __shared__ float a_tile[SLICE][TILE + 1], b_tile[SLICE][TILE + 1];
    const size_t i = (size_t)blockIdx.y * TILE, j = (size_t)blockIdx.x * TILE;
    const int row = threadIdx.x / (TILE / EACH), column = threadIdx.x % (TILE / EACH);
    float sum[EACH][EACH] = {};
    for (size_t k = 0; k < depth; k += SLICE) {
        load_tile(a_tile, a, i, k, rows, depth);
        load_tile(b_tile, b, j, k, columns, depth);
        __syncthreads();
        for (int deep = 0; deep < SLICE; deep++)
            for (int y = 0; y < EACH; y++)
                for (int x = 0; x < EACH; x++)
                    sum[y][x] += a_tile[deep][row + y * (TILE / EACH)] *
                                 b_tile[deep][column + x * (TILE / EACH)];
        __syncthreads();
    }
    for (int y = 0; y < EACH; y++)
        for (int x = 0; x < EACH; x++) {
            const size_t to_row = i + row + y * (TILE / EACH);
            const size_t to_column = j + column + x * (TILE / EACH);
            if (to_row >= rows || to_column >= columns) continue;
            float *to = c + to_row * columns + to_column;
            *to = add ? *to + sum[y][x] : sum[y][x];
        }
}

void cuda_multiply_bf16(void *self, const struct op_product *o)
{
    struct cuda *c = cuda_of(self);
    if (c->cublaslt && cublaslt_product(c->cublaslt, o)) return;
    cuda_product_bf16(c, o);
}

/* In the backend's precision; in fp32 all of a, b and c are fp32, and c's rows are contiguous. */
static void multiply(struct cuda *c, const char *where, const struct op_product *o)
{
    if (c->bf16) {
        cuda_multiply_bf16(c, o);
        return;
    }
    struct matrix a = {(const float *)o->a, o->a_stride, 1};
    struct matrix b = {(const float *)o->b, o->b_stride, 1};
    if (o->form == PRODUCT_WEIGHT) a = {a.data, 1, o->a_stride};
    if (o->form != PRODUCT_FORWARD) b = {b.data, 1, o->b_stride};
    const dim3 grid((o->columns + TILE - 1) / TILE, (o->rows + TILE - 1) / TILE);
    LAUNCH(product, grid, dim3(THREADS), 0, c->stream, (float *)o->c, a, b, o->rows, o->columns,
           o->depth, o->add);
    cuda_launched(c, where);
}

void cuda_linear(void *self, const struct op_linear *o)
{
    struct op_product p = {};
    p.form = PRODUCT_FORWARD;
    p.c = o->y, p.a = o->x, p.b = o->w;
    p.rows = o->rows, p.columns = o->n_out, p.depth = o->n_in;
    p.c_stride = o->n_out, p.a_stride = p.b_stride = o->n_in;
    p.c_bf16 = true;
    multiply(cuda_of(self), "linear", &p);
}

void cuda_linear_input(void *self, const struct op_linear_input *o)
{
    struct op_product p = {};
    p.form = PRODUCT_INPUT;
    p.c = o->x_grad, p.a = o->y_grad, p.b = o->w;
    p.rows = o->rows, p.columns = o->n_in, p.depth = o->n_out;
    p.c_stride = p.b_stride = o->n_in, p.a_stride = o->n_out;
    p.c_bf16 = true;
    multiply(cuda_of(self), "linear_input", &p);
}

void cuda_linear_weight(void *self, const struct op_linear_weight *o)
{
    struct op_product p = {};
    p.form = PRODUCT_WEIGHT;
    p.c = o->w_grad, p.a = o->y_grad, p.b = o->x;
    p.rows = o->n_out, p.columns = o->n_in, p.depth = o->rows;
    p.c_stride = p.b_stride = o->n_in, p.a_stride = o->n_out;
    p.add = o->add;
    multiply(cuda_of(self), "linear_weight", &p);
}
