#include "cublaslt.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"
#include "ops.h"

/* NVIDIA's recommendation for sm_90, and enough for others */
#define WORKSPACE_BYTES ((size_t)32 << 20)
#define SUGGESTIONS     8      /* algorithms to measure per shape */
#define TIMES           3      /* measurements of each, in turns; the minimum counts */
#define WARM_PRODUCTS   100000 /* maximum */
#define WARM_MS         50     /* about the time that an idle GPU needs to raise its clock */
#define SHAPES_MAX      256    /* per process; further ones use our own product */
#define ALIGNMENT_MAX   16     /* bytes; detecting more gains nothing */
#define WHERE           "a product by cuBLASLt"

struct shape { /* what the choice depends on; no padding, so that it can be compared bytewise */
    uint32_t form, alignment, c_bf16, add;
    uint64_t rows, columns, depth, c_stride, a_stride, b_stride;
};
static_assert(sizeof(struct shape) == CHOICES_SHAPE_BYTES, "all of it is the key");
static_assert(sizeof(struct lt_algorithm) == CHOICES_VALUE_BYTES, "it is kept whole");

struct known { /* a shape met in this process, and the algorithm chosen for it */
    struct shape shape;
    struct lt_algorithm algorithm;
    bool ours; /* the library has none: use our own product */
    struct lt_product product;
};

struct cublaslt {
    struct cuda *c;
    struct library library;
    struct lt_functions f;
    void *handle, *workspace;
    cudaEvent_t begin, end;
    bool warm;
    struct choices choices;
    struct known known[SHAPES_MAX];
    size_t count;
    void (*say)(const char *);
    bool refused;      /* already reported */
    char failure[300]; /* the library's error for the first product that failed */
    char text[32];
};

/* ---- the library ---- */

#ifdef SHOAL_FIBER
/* test/cuda/cublaslt_fiber.cc; the real one has nothing to compute on. */
static const char *const names[] = {"libcublaslt_fiber.so", "libcublaslt_fiber_old.so"};
#else
static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
#endif

/* `old`: only by the second name. */
static enum err load(struct library *out, struct lt_functions *f, const char *path, bool old,
                     struct why *w)
{
    const struct library_wish wish = {
        "cuBLASLt", "machine.cublaslt", path, {names[old], old ? NULL : names[1]}};
    const struct library_function all[] = {
        {"cublasLtGetVersion", (void (**)(void)) & f->version},
        {"cublasLtGetStatusString", (void (**)(void)) & f->status_text},
        {"cublasLtCreate", (void (**)(void)) & f->create},
        {"cublasLtDestroy", (void (**)(void)) & f->destroy},
        {"cublasLtMatmulDescCreate", (void (**)(void)) & f->desc_create},
        {"cublasLtMatmulDescDestroy", (void (**)(void)) & f->desc_destroy},
        {"cublasLtMatmulDescSetAttribute", (void (**)(void)) & f->desc_set},
        {"cublasLtMatrixLayoutCreate", (void (**)(void)) & f->layout_create},
        {"cublasLtMatrixLayoutDestroy", (void (**)(void)) & f->layout_destroy},
        {"cublasLtMatmulPreferenceCreate", (void (**)(void)) & f->preference_create},
        {"cublasLtMatmulPreferenceDestroy", (void (**)(void)) & f->preference_destroy},
        {"cublasLtMatmulPreferenceSetAttribute", (void (**)(void)) & f->preference_set},
        {"cublasLtMatmulAlgoGetHeuristic", (void (**)(void)) & f->suggest},
        {"cublasLtMatmulAlgoCheck", (void (**)(void)) & f->check},
        {"cublasLtMatmulAlgoConfigGetAttribute", (void (**)(void)) & f->config_get},
        {"cublasLtMatmul", (void (**)(void)) & f->multiply},
    };
    static_assert(sizeof all / sizeof *all == sizeof *f / sizeof f->version, "the whole table");
    enum err e = library_open(out, &wish, w);
    if (!e) e = library_find(out, all, sizeof all / sizeof *all, w);
    if (e) library_close(out);
    return e;
}

enum err cublaslt_load(struct library *out, struct lt_functions *f, const char *path, struct why *w)
{
    return load(out, f, path, false, w);
}

int cublaslt_describe(const struct lt_functions *f, const struct op_product *o,
                      struct lt_product *out)
{
    const bool b_turned = o->form == PRODUCT_FORWARD, a_turned = o->form == PRODUCT_WEIGHT;
    const int32_t its_a = b_turned ? LT_TRANSPOSED : LT_AS_IT_IS;
    const int32_t its_b = a_turned ? LT_TRANSPOSED : LT_AS_IT_IS;
    *out = {};
    int s = f->desc_create(&out->desc, LT_COMPUTE_FP32, LT_FP32);
    if (!s) s = f->desc_set(out->desc, LT_DESC_TRANSPOSE_A, &its_a, sizeof its_a);
    if (!s) s = f->desc_set(out->desc, LT_DESC_TRANSPOSE_B, &its_b, sizeof its_b);
    if (!s)
        s = f->layout_create(&out->a, LT_BF16, b_turned ? o->depth : o->columns,
                             b_turned ? o->columns : o->depth, (int64_t)o->b_stride);
    if (!s)
        s = f->layout_create(&out->b, LT_BF16, a_turned ? o->rows : o->depth,
                             a_turned ? o->depth : o->rows, (int64_t)o->a_stride);
    if (!s)
        s = f->layout_create(&out->c, o->c_bf16 ? LT_BF16 : LT_FP32, o->columns, o->rows,
                             (int64_t)o->c_stride);
    return s;
}

void cublaslt_forget(const struct lt_functions *f, struct lt_product *p)
{
    void *const layouts[] = {p->a, p->b, p->c};
    for (void *layout : layouts)
        if (layout) f->layout_destroy(layout);
    if (p->desc) f->desc_destroy(p->desc);
    *p = {};
}

int cublaslt_prefer(const struct lt_functions *f, uint32_t alignment, void **preference)
{
    const uint64_t bytes = WORKSPACE_BYTES;
    const uint32_t reductions = LT_REDUCTION_FP32; /* allowed besides none */
    *preference = NULL;
    int s = f->preference_create(preference);
    if (!s) s = f->preference_set(*preference, LT_PREFER_WORKSPACE_BYTES, &bytes, sizeof bytes);
    if (!s)
        s = f->preference_set(*preference, LT_PREFER_REDUCTIONS, &reductions, sizeof reductions);
    for (int i = LT_PREFER_ALIGNMENT_A; !s && i <= LT_PREFER_ALIGNMENT_D; i++)
        s = f->preference_set(*preference, i, &alignment, sizeof alignment);
    return s;
}

/* ---- choosing an algorithm for a new shape ---- */

static uint32_t alignment_of(const struct op_product *o)
{
    const uintptr_t all = (uintptr_t)o->a | (uintptr_t)o->b | (uintptr_t)o->c | ALIGNMENT_MAX;
    return (uint32_t)(all & -all);
}

static struct shape shape_of(const struct op_product *o)
{
    return {(uint32_t)o->form, alignment_of(o), o->c_bf16,   o->add,      o->rows,
            o->columns,        o->depth,        o->c_stride, o->a_stride, o->b_stride};
}

/* Computes the product into `to`, laid out like o->c. */
static int multiply(struct cublaslt *lt, const struct op_product *o, const struct lt_product *p,
                    const struct lt_algorithm *algorithm, void *to)
{
    const float alpha = 1, beta = o->add ? 1 : 0;
    return lt->f.multiply(lt->handle, p->desc, &alpha, o->b, p->a, o->a, p->b, &beta, to, p->c, to,
                          p->c, algorithm, lt->workspace, WORKSPACE_BYTES, lt->c->stream);
}

static bool reproducible(const struct cublaslt *lt, const struct lt_algorithm *algorithm)
{
    uint32_t reduction = LT_REDUCTION_IN_PLACE;
    size_t written = 0;
    return lt->f.config_get(algorithm, LT_CONFIG_REDUCTION, &reduction, sizeof reduction,
                            &written) == LT_SUCCESS &&
           (reduction == LT_REDUCTION_NONE || reduction == LT_REDUCTION_FP32);
}

/* A candidate algorithm, and its minimum time in milliseconds; FLT_MAX if the library rejects
 * it. */
struct candidate {
    const struct lt_algorithm *algorithm;
    float least;
};

/* Milliseconds of one product; FLT_MAX when it fails. */
static float time_of(struct cublaslt *lt, const struct op_product *o, const struct lt_product *p,
                     const struct lt_algorithm *algorithm, void *to)
{
    float took = 0;
    cudaEventRecord(lt->begin, lt->c->stream);
    if (multiply(lt, o, p, algorithm, to) != LT_SUCCESS) return FLT_MAX;
    cudaEventRecord(lt->end, lt->c->stream);
    if (cudaEventSynchronize(lt->end) != cudaSuccess) return FLT_MAX; /* cuda_wait will report it */
    cudaEventElapsedTime(&took, lt->begin, lt->end);
    return took;
}

/* Runs each once, since kernels are loaded at their first launch; then, once, long enough for the
 * clock to rise. */
static void warm_up(struct cublaslt *lt, const struct op_product *o, const struct lt_product *p,
                    struct candidate *all, int count, void *to)
{
    const struct lt_algorithm *good = NULL;
    for (int i = 0; i < count; i++) {
        if (time_of(lt, o, p, all[i].algorithm, to) == FLT_MAX) all[i].algorithm = NULL;
        else good = all[i].algorithm;
    }
    float spent = 0;
    for (int n = 0; good && !lt->warm && spent < WARM_MS && n < WARM_PRODUCTS; n++) {
        const float took = time_of(lt, o, p, good, to);
        if (took == FLT_MAX) return;
        spent += took;
    }
    lt->warm = lt->warm || good;
}

/* In turns: a temporary slowdown of the GPU affects all of them. */
static void time_all(struct cublaslt *lt, const struct op_product *o, const struct lt_product *p,
                     struct candidate *all, int count, void *to)
{
    warm_up(lt, o, p, all, count, to);
    for (int n = 0; n < TIMES; n++)
        for (int i = 0; i < count; i++) {
            if (!all[i].algorithm) continue;
            const float took = time_of(lt, o, p, all[i].algorithm, to);
            if (took == FLT_MAX) all[i] = {NULL, FLT_MAX};
            else if (took < all[i].least) all[i].least = took;
        }
}

/* Output memory while measuring: c itself if the product will overwrite it anyway. NULL: no
 * memory. */
static void *scratch_of(struct cublaslt *lt, const struct op_product *o)
{
    const size_t count = (o->rows - 1) * o->c_stride + o->columns;
    void *to = NULL;
    if (!o->add) return o->c;
    return cuda_take(lt->c, count * sizeof(float), &to, NULL) ? NULL : to;
}

/* The fastest of `count` suggestions; NULL: none. `measured` is false without memory to measure;
 * then it is the first, which the library expects to be the fastest. */
static const struct lt_algorithm *fastest(struct cublaslt *lt, const struct op_product *o,
                                          const struct lt_product *p,
                                          const struct lt_result *results, int count,
                                          bool *measured)
{
    void *to = scratch_of(lt, o);
    struct candidate all[SUGGESTIONS], best = {NULL, FLT_MAX};
    int n = 0;
    for (int i = 0; i < count; i++)
        if (results[i].status == LT_SUCCESS && results[i].workspace_bytes <= WORKSPACE_BYTES &&
            reproducible(lt, &results[i].algorithm))
            all[n++] = {&results[i].algorithm, FLT_MAX};
    if (to) time_all(lt, o, p, all, n, to);
    else if (n) best = all[0];
    for (int i = 0; i < n; i++)
        if (all[i].least < best.least) best = all[i];
    if (to != o->c) cudaFree(to);
    *measured = to;
    return best.algorithm;
}

static void choose(struct cublaslt *lt, const struct op_product *o, struct known *k)
{
    struct lt_result results[SUGGESTIONS] = {};
    void *preference;
    const struct lt_algorithm *best = NULL;
    int count = 0;
    bool measured = true;
    int s = cublaslt_prefer(&lt->f, k->shape.alignment, &preference);
    const struct lt_product *p = &k->product;
    if (!s)
        s = lt->f.suggest(lt->handle, p->desc, p->a, p->b, p->c, p->c, preference, SUGGESTIONS,
                          results, &count);
    if (preference) lt->f.preference_destroy(preference);
    if (!s) best = fastest(lt, o, p, results, count, &measured);
    k->ours = !best;
    if (best) k->algorithm = *best;
    if (measured && cudaStreamSynchronize(lt->c->stream) == cudaSuccess)
        choices_keep(&lt->choices, &k->shape, k->ours ? NULL : &k->algorithm, lt->say);
}

/* Uses the choice of an earlier start, if the library still accepts it. */
static bool chosen_before(struct cublaslt *lt, struct known *k)
{
    const struct lt_product *p = &k->product;
    struct lt_result result = {};
    bool known = choices_find(&lt->choices, &k->shape, &k->algorithm, &k->ours);
    if (!known) {
        choices_again(&lt->choices);
        known = choices_find(&lt->choices, &k->shape, &k->algorithm, &k->ours);
    }
    if (!known) return false;
    return k->ours || (lt->f.check(lt->handle, p->desc, p->a, p->b, p->c, p->c, &k->algorithm,
                                   &result) == LT_SUCCESS &&
                       result.workspace_bytes <= WORKSPACE_BYTES);
}

static void say_refused(struct cublaslt *lt, const struct op_product *o)
{
    char text[300];
    snprintf(text, sizeof text,
             "cuBLASLt has no algorithm for some products, the first of %zu x %zu x %zu: our own "
             "product serves for those",
             o->rows, o->columns, o->depth);
    if (!lt->refused && lt->say) lt->say(text);
    lt->refused = true;
}

static struct known *meet(struct cublaslt *lt, const struct op_product *o,
                          const struct shape *shape)
{
    if (lt->count == SHAPES_MAX) return NULL;
    struct known *k = &lt->known[lt->count++];
    *k = {};
    k->shape = *shape;
    if (cublaslt_describe(&lt->f, o, &k->product) != LT_SUCCESS) k->ours = true;
    else if (!chosen_before(lt, k)) choose(lt, o, k);
    /* If the GPU has failed, the refusal may be due to that: do not report it. */
    if (k->ours && cudaStreamSynchronize(lt->c->stream) == cudaSuccess) say_refused(lt, o);
    return k;
}

/* Records it like a failed launch: the next operation that waits reports it. */
static void note(struct cublaslt *lt, int status)
{
    if (lt->c->failed != cudaSuccess) return;
    snprintf(lt->failure, sizeof lt->failure, WHERE ", which says that %s",
             lt->f.status_text(status));
    lt->c->failed = cudaErrorLaunchFailure;
    lt->c->failed_where = lt->failure;
}

bool cublaslt_product(struct cublaslt *lt, const struct op_product *o)
{
    if (!o->rows || !o->columns || !o->depth) return false;
    const struct shape shape = shape_of(o);
    struct known *k = NULL;
    for (size_t i = 0; !k && i < lt->count; i++)
        if (!memcmp(&lt->known[i].shape, &shape, sizeof shape)) k = &lt->known[i];
    if (!k) k = meet(lt, o, &shape);
    if (!k || k->ours) return false;
    const int s = multiply(lt, o, &k->product, &k->algorithm, o->c);
    if (s != LT_SUCCESS) note(lt, s);
    cuda_launched(lt->c, WHERE);
    return true;
}

/* ---- open and close ---- */

static enum err create(struct cublaslt *lt, const char *path, bool old, struct why *w)
{
    enum err e = load(&lt->library, &lt->f, path, old, w);
    const int s = e ? LT_SUCCESS : lt->f.create(&lt->handle);
    if (s == LT_SUCCESS) return e;
    e = why(w, ERR_DEVICE, "%s does not start: %s", lt->library.path, lt->f.status_text(s));
    lt->handle = NULL;
    library_close(&lt->library);
    return e;
}

/* The newest may be too new for the driver: if no path is named, the older one is tried next. */
static enum err open_one(struct cublaslt *lt, const char *path, struct why *w)
{
    struct why second;
    enum err e = create(lt, path, false, w);
    if (e && !(path && path[0])) e = create(lt, NULL, true, &second) ? e : ERR_OK;
    if (e) return e;
    e = cuda_take(lt->c, WORKSPACE_BYTES, &lt->workspace, w);
    if (!e && (cudaEventCreate(&lt->begin) || cudaEventCreate(&lt->end)))
        e = why(w, ERR_DEVICE, "GPU %d gave no events to measure products with", lt->c->device);
    return e ? why_while(w, e, "taking the workspace of cuBLASLt") : ERR_OK;
}

enum err cublaslt_open(struct cublaslt **out, struct cuda *c, const char *path, const char *device,
                       void (*say)(const char *), struct why *w)
{
    struct cublaslt *lt = (struct cublaslt *)calloc(1, sizeof *lt);
    *out = NULL;
    if (!lt) return why(w, ERR_MEMORY, "no memory for cuBLASLt");
    lt->c = c;
    lt->say = say;
    enum err e = open_one(lt, path, w);
    if (e) {
        cublaslt_close(lt);
        return e;
    }
    const size_t version = lt->f.version();
    snprintf(lt->text, sizeof lt->text, "cuBLASLt %zu.%zu", version / 10000, version / 100 % 100);
    char machine[CHOICES_MACHINE_BYTES];
    snprintf(machine, sizeof machine, "%s, cuBLASLt %zu", device, version);
    choices_open(&lt->choices, machine, say);
    *out = lt;
    return ERR_OK;
}

void cublaslt_close(struct cublaslt *lt)
{
    if (!lt) return;
    for (size_t i = 0; i < lt->count; i++) cublaslt_forget(&lt->f, &lt->known[i].product);
    choices_close(&lt->choices);
    if (lt->begin) cudaEventDestroy(lt->begin);
    if (lt->end) cudaEventDestroy(lt->end);
    cudaFree(lt->workspace);
    if (lt->handle) lt->f.destroy(lt->handle);
    library_close(&lt->library);
    free(lt);
}

const char *cublaslt_text(const struct cublaslt *lt) { return lt->text; }

/* ---- do our declarations match the library's? ---- */

#if !defined SHOAL_FIBER && __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <type_traits>

/* Are arguments of these types passed in the same way? */
template <class A, class B>
constexpr bool alike = sizeof(A) == sizeof(B) &&
                       std::is_pointer_v<A> == std::is_pointer_v<B> &&std::is_floating_point_v<A> ==
                           std::is_floating_point_v<B>;
template <class F, class G> struct same_call : std::false_type {
};
template <class R, class... A, class S, class... B>
struct same_call<R (*)(A...), S (*)(B...)>
    : std::bool_constant<sizeof...(A) == sizeof...(B) && alike<R, S>> {
};
template <class F, class G> struct same_arguments : std::false_type {
};
template <class R, class... A, class S, class... B>
struct same_arguments<R (*)(A...), S (*)(B...)> : std::bool_constant<(alike<A, B> && ...)> {
};
#define CALL(ours, theirs)                                                                         \
    static_assert(same_call<decltype(lt_functions::ours), decltype(&theirs)>::value, #theirs);     \
    static_assert(same_arguments<decltype(lt_functions::ours), decltype(&theirs)>::value, #theirs)
CALL(version, cublasLtGetVersion);
CALL(status_text, cublasLtGetStatusString);
CALL(create, cublasLtCreate);
CALL(destroy, cublasLtDestroy);
CALL(desc_create, cublasLtMatmulDescCreate);
CALL(desc_destroy, cublasLtMatmulDescDestroy);
CALL(desc_set, cublasLtMatmulDescSetAttribute);
CALL(layout_create, cublasLtMatrixLayoutCreate);
CALL(layout_destroy, cublasLtMatrixLayoutDestroy);
CALL(preference_create, cublasLtMatmulPreferenceCreate);
CALL(preference_destroy, cublasLtMatmulPreferenceDestroy);
CALL(preference_set, cublasLtMatmulPreferenceSetAttribute);
CALL(suggest, cublasLtMatmulAlgoGetHeuristic);
CALL(check, cublasLtMatmulAlgoCheck);
CALL(config_get, cublasLtMatmulAlgoConfigGetAttribute);
CALL(multiply, cublasLtMatmul);

#define VALUE(ours, theirs) static_assert((int)ours == (int)theirs, #theirs)
VALUE(LT_SUCCESS, CUBLAS_STATUS_SUCCESS);
VALUE(LT_INVALID_VALUE, CUBLAS_STATUS_INVALID_VALUE);
VALUE(LT_EXECUTION_FAILED, CUBLAS_STATUS_EXECUTION_FAILED);
VALUE(LT_NOT_SUPPORTED, CUBLAS_STATUS_NOT_SUPPORTED);
VALUE(LT_FP32, CUDA_R_32F);
VALUE(LT_BF16, CUDA_R_16BF);
VALUE(LT_COMPUTE_FP32, CUBLAS_COMPUTE_32F);
VALUE(LT_AS_IT_IS, CUBLAS_OP_N);
VALUE(LT_TRANSPOSED, CUBLAS_OP_T);
VALUE(LT_DESC_TRANSPOSE_A, CUBLASLT_MATMUL_DESC_TRANSA);
VALUE(LT_DESC_TRANSPOSE_B, CUBLASLT_MATMUL_DESC_TRANSB);
VALUE(LT_PREFER_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
VALUE(LT_PREFER_REDUCTIONS, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
VALUE(LT_PREFER_ALIGNMENT_A, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
VALUE(LT_PREFER_ALIGNMENT_A + 1, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
VALUE(LT_PREFER_ALIGNMENT_A + 2, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
VALUE(LT_PREFER_ALIGNMENT_D, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
VALUE(LT_REDUCTION_NONE, CUBLASLT_REDUCTION_SCHEME_NONE);
VALUE(LT_REDUCTION_IN_PLACE, CUBLASLT_REDUCTION_SCHEME_INPLACE);
VALUE(LT_REDUCTION_FP32, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
VALUE(LT_CONFIG_REDUCTION, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
VALUE(sizeof(lt_algorithm), sizeof(cublasLtMatmulAlgo_t));
VALUE(sizeof(lt_result), sizeof(cublasLtMatmulHeuristicResult_t));
VALUE(offsetof(lt_result, workspace_bytes),
      offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
VALUE(offsetof(lt_result, status), offsetof(cublasLtMatmulHeuristicResult_t, state));
#endif
