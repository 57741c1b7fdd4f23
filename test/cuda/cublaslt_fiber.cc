/* cublaslt_fiber.cc -- a library that stands in for cuBLASLt on fibers (fiber.h): plain loops, in a
 * stream's turn.
 *
 * It is as strict as the real one about what it is given, and offers as different algorithms: each
 * needs another alignment or workspace, and adds up in another order, so that bits tell which was
 * taken. What it counts is exported for tests; the environment may ask for more:
 *
 *     CUBLASLT_VERSION   130100: 13.1.0
 *     CUBLASLT_STATUS    what cublasLtCreate returns, unless this library's file is named ..._old.so
 *     CUBLASLT_FAST      the algorithm that is the fastest: the others then take some milliseconds more
 *     CUBLASLT_COLD      so many products take some milliseconds more, before the clock has risen
 *     CUBLASLT_GONE      the algorithm that this library does not have
 *     CUBLASLT_NONE      nothing is suggested
 *     CUBLASLT_IN_PLACE  an algorithm is suggested that adds up in place, although nobody asked for one
 *     CUBLASLT_FAILS     the product, counted from 1, from which on all fail */
#include "cublaslt.h"
#include "fiber.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

extern "C" {
unsigned cublaslt_fiber_suggested, cublaslt_fiber_multiplied; /* calls */
}

namespace
{

enum { ASCENDING, DESCENDING, HALVES, IN_PLACE, GREEDY, ALGORITHMS };
struct algorithm {
    uint32_t reduction, alignment; /* bytes that operands must start on */
    size_t workspace_bytes;        /* least; HALVES takes one more half for each element */
};
constexpr algorithm algorithms[ALGORITHMS] = {
    {LT_REDUCTION_NONE, 4, 0},
    {LT_REDUCTION_NONE, 16, 0},
    {LT_REDUCTION_FP32, 16, 0},
    {LT_REDUCTION_IN_PLACE, 16, 0},
    {LT_REDUCTION_NONE, 16, (size_t)33 << 20},
};

struct desc {
    int32_t transposed[2];
};
struct layout {
    int type;
    uint64_t rows, columns;
    int64_t stride;
};
struct preference {
    uint64_t workspace_bytes;
    uint32_t reductions, alignment[4];
};

uint64_t asked(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}

size_t workspace_of(int id, const layout *c)
{
    return id == HALVES ? c->rows * c->columns * sizeof(float) : algorithms[id].workspace_bytes;
}

bool fits(const desc *d, const layout *a, const layout *b, const layout *c)
{
    const uint64_t rows = d->transposed[0] ? a->columns : a->rows;
    const uint64_t depth = d->transposed[0] ? a->rows : a->columns;
    const uint64_t b_depth = d->transposed[1] ? b->columns : b->rows;
    const uint64_t columns = d->transposed[1] ? b->rows : b->columns;
    const layout *const all[] = {a, b, c};
    for (const layout *l : all)
        if (!l->rows || !l->columns || l->stride < (int64_t)l->rows) return false;
    return a->type == LT_BF16 && b->type == LT_BF16 && (c->type == LT_BF16 || c->type == LT_FP32) &&
           rows == c->rows && columns == c->columns && depth == b_depth;
}

float number(const void *data, int type, size_t at)
{
    if (type == LT_FP32) return ((const float *)data)[at];
    return __uint_as_float((uint32_t)((const uint16_t *)data)[at] << 16);
}

void store(void *data, int type, size_t at, float x)
{
    const uint32_t bits = __float_as_uint(x);
    if (type == LT_FP32) ((float *)data)[at] = x;
    else ((uint16_t *)data)[at] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

struct work { /* a product in a stream */
    desc d;
    layout a, b, c;
    const void *a_data, *b_data;
    void *c_data;
    float alpha, beta;
    float *workspace;
    int id;
};

float sum_of(const work *w, uint64_t i, uint64_t j, uint64_t from, uint64_t to, bool down)
{
    const size_t a_row = w->d.transposed[0] ? (size_t)w->a.stride : 1;
    const size_t a_column = w->d.transposed[0] ? 1 : (size_t)w->a.stride;
    const size_t b_row = w->d.transposed[1] ? (size_t)w->b.stride : 1;
    const size_t b_column = w->d.transposed[1] ? 1 : (size_t)w->b.stride;
    float sum = 0;
    for (uint64_t n = from; n < to; n++) {
        const uint64_t k = down ? to - 1 - (n - from) : n;
        sum += number(w->a_data, LT_BF16, i * a_row + k * a_column) *
               number(w->b_data, LT_BF16, k * b_row + j * b_column);
    }
    return sum;
}

unsigned computed; /* products */

void on_fault(int)
{
    static const char said[] = "fiber: cublasLtMatmul touches memory that is nobody's\n";
    fwrite(said, 1, sizeof said - 1, stderr);
    _exit(1);
}

void compute(void *with)
{
    work *w = (work *)with;
    const uint64_t depth = w->d.transposed[0] ? w->a.rows : w->a.columns;
    const uint64_t half = w->id == HALVES ? depth / 2 : depth;
    const uint64_t fast = asked("CUBLASLT_FAST", ALGORITHMS);
    const bool cold = computed++ < asked("CUBLASLT_COLD", 0);
    /* Longer than what a busy machine takes away from the fast one, three times in a row. */
    struct timespec pause = {0, 12000000};
    void (*before)(int) = signal(SIGSEGV, on_fault);
    if (fast != ALGORITHMS && fast != (uint64_t)w->id) nanosleep(&pause, nullptr);
    if (cold)
        nanosleep(&pause, nullptr),
            nanosleep(&pause, nullptr); /* more than a slow one takes when warm */
    for (uint64_t j = 0; j < w->c.columns; j++)
        for (uint64_t i = 0; i < w->c.rows; i++) {
            float sum = sum_of(w, i, j, 0, half, w->id == DESCENDING);
            if (w->id == HALVES)
                w->workspace[i + j * w->c.rows] = sum_of(w, i, j, half, depth, false);
            if (w->id == HALVES) sum += w->workspace[i + j * w->c.rows];
            if (w->id == IN_PLACE) sum = NAN; /* which nobody may take for a sum */
            const size_t at = i + j * (size_t)w->c.stride;
            const float held = w->beta == 0 ? 0 : w->beta * number(w->c_data, w->c.type, at);
            store(w->c_data, w->c.type, at, w->alpha * sum + held);
        }
    signal(SIGSEGV, before);
    free(w);
}

int set(void *to, size_t size, const void *value, size_t bytes)
{
    if (bytes != size) return LT_INVALID_VALUE;
    memcpy(to, value, size);
    return LT_SUCCESS;
}

template <class T> int make(void **out, const T &value)
{
    *out = malloc(sizeof value);
    memcpy(*out, &value, sizeof value);
    return LT_SUCCESS;
}

int destroy(void *p)
{
    free(p);
    return LT_SUCCESS;
}

int id_of(const lt_algorithm *a)
{
    return a->data[0] == 0x5eed && a->data[1] < ALGORITHMS ? (int)a->data[1] : -1;
}

} // namespace

extern "C" {

size_t cublasLtGetVersion() { return asked("CUBLASLT_VERSION", 130100); }

const char *cublasLtGetStatusString(int status)
{
    return status == LT_EXECUTION_FAILED ? "the stand-in failed" : "the stand-in refuses";
}

int cublasLtCreate(void **handle)
{
    int status = (int)asked("CUBLASLT_STATUS", LT_SUCCESS);
    Dl_info self;
    if (dladdr((void *)cublasLtCreate, &self) && strstr(self.dli_fname, "_old.so"))
        status = LT_SUCCESS;
    return status ? status : make(handle, 'h');
}
int cublasLtDestroy(void *handle) { return destroy(handle); }

int cublasLtMatmulDescCreate(void **out, int compute, int scale)
{
    if (compute != LT_COMPUTE_FP32 || scale != LT_FP32) return LT_INVALID_VALUE;
    return make(out, desc{{LT_AS_IT_IS, LT_AS_IT_IS}});
}
int cublasLtMatmulDescDestroy(void *d) { return destroy(d); }

int cublasLtMatmulDescSetAttribute(void *d, int attribute, const void *value, size_t bytes)
{
    if (attribute != LT_DESC_TRANSPOSE_A && attribute != LT_DESC_TRANSPOSE_B)
        return LT_INVALID_VALUE;
    return set(&((desc *)d)->transposed[attribute - LT_DESC_TRANSPOSE_A], sizeof(int32_t), value,
               bytes);
}

int cublasLtMatrixLayoutCreate(void **out, int type, uint64_t rows, uint64_t columns,
                               int64_t stride)
{
    return make(out, layout{type, rows, columns, stride});
}
int cublasLtMatrixLayoutDestroy(void *l) { return destroy(l); }

int cublasLtMatmulPreferenceCreate(void **out)
{
    return make(out, preference{0, 7, {256, 256, 256, 256}});
}
int cublasLtMatmulPreferenceDestroy(void *p) { return destroy(p); }

int cublasLtMatmulPreferenceSetAttribute(void *to, int attribute, const void *value, size_t bytes)
{
    preference *p = (preference *)to;
    if (attribute == LT_PREFER_WORKSPACE_BYTES)
        return set(&p->workspace_bytes, sizeof p->workspace_bytes, value, bytes);
    if (attribute == LT_PREFER_REDUCTIONS)
        return set(&p->reductions, sizeof p->reductions, value, bytes);
    if (attribute < LT_PREFER_ALIGNMENT_A || attribute > LT_PREFER_ALIGNMENT_D)
        return LT_INVALID_VALUE;
    return set(&p->alignment[attribute - LT_PREFER_ALIGNMENT_A], sizeof(uint32_t), value, bytes);
}

int cublasLtMatmulAlgoConfigGetAttribute(const lt_algorithm *a, int attribute, void *value,
                                         size_t bytes, size_t *written)
{
    if (id_of(a) < 0 || attribute != LT_CONFIG_REDUCTION || bytes != sizeof(uint32_t))
        return LT_INVALID_VALUE;
    memcpy(value, &algorithms[id_of(a)].reduction, bytes);
    *written = bytes;
    return LT_SUCCESS;
}

int cublasLtMatmulAlgoCheck(void *handle, void *d, void *a, void *b, void *c, void *out_layout,
                            const lt_algorithm *algorithm, lt_result *out)
{
    const int id = id_of(algorithm);
    if (!handle || id < 0 || out_layout != c ||
        !fits((desc *)d, (layout *)a, (layout *)b, (layout *)c))
        return LT_INVALID_VALUE;
    if ((uint64_t)id == asked("CUBLASLT_GONE", ALGORITHMS)) return LT_NOT_SUPPORTED;
    *out = {};
    out->workspace_bytes = workspace_of(id, (layout *)c);
    return LT_SUCCESS;
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, void *d, void *a, void *b, void *c,
                                   void *out_layout, void *preferred, int room, lt_result *out,
                                   int *count)
{
    const preference *p = (const preference *)preferred;
    cublaslt_fiber_suggested++;
    *count = 0;
    if (!handle || out_layout != c || room < 1 ||
        !fits((desc *)d, (layout *)a, (layout *)b, (layout *)c))
        return LT_INVALID_VALUE;
    for (int id = 0; id < ALGORITHMS && *count < room && !getenv("CUBLASLT_NONE"); id++) {
        const algorithm *one = &algorithms[id];
        bool good = workspace_of(id, (layout *)c) <= p->workspace_bytes &&
                    (uint64_t)id != asked("CUBLASLT_GONE", ALGORITHMS);
        for (uint32_t alignment : p->alignment) good = good && alignment >= one->alignment;
        if (one->reduction && !(one->reduction & p->reductions))
            good = good && id == IN_PLACE && getenv("CUBLASLT_IN_PLACE");
        if (!good) continue;
        out[*count] = {};
        out[*count].algorithm = {{0x5eed, (uint64_t)id}};
        out[*count].workspace_bytes = workspace_of(id, (layout *)c);
        ++*count;
    }
    return *count ? LT_SUCCESS : LT_NOT_SUPPORTED;
}

int cublasLtMatmul(void *handle, void *d, const void *alpha, const void *a, void *a_layout,
                   const void *b, void *b_layout, const void *beta, const void *c, void *c_layout,
                   void *out, void *out_layout, const lt_algorithm *algorithm, void *workspace,
                   size_t workspace_bytes, void *stream)
{
    const int id = id_of(algorithm);
    if (++cublaslt_fiber_multiplied >= asked("CUBLASLT_FAILS", UINT64_MAX))
        return LT_EXECUTION_FAILED;
    if (!handle || id < 0 || c != out || c_layout != out_layout ||
        !fits((desc *)d, (layout *)a_layout, (layout *)b_layout, (layout *)c_layout))
        return LT_INVALID_VALUE;
    if (((uintptr_t)a | (uintptr_t)b | (uintptr_t)out) % algorithms[id].alignment ||
        workspace_of(id, (layout *)c_layout) > workspace_bytes || (uintptr_t)workspace % 16)
        return LT_INVALID_VALUE;
    work *w = (work *)malloc(sizeof *w);
    *w = {*(desc *)d, *(layout *)a_layout,   *(layout *)b_layout,  *(layout *)c_layout, a, b,
          out,        *(const float *)alpha, *(const float *)beta, (float *)workspace,  id};
    cudaLaunchHostFunc((cudaStream_t)stream, compute, w);
    return LT_SUCCESS;
}

} // extern "C"
