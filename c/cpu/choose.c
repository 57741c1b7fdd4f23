#include "cpu/choose.h"

#include <assert.h>
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/whole.h"
#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include "cpu/ops.h"

static_assert(CHOOSE_TEXT_BYTES <= OPS_CHOICE_BYTES, "cpu_choice holds all that a choice says");

#define CHOOSE_TIME   span_ms(100)
#define CHOOSE_ROUNDS 2 /* minimum */

/* The layer used for measuring: activations and weights are zeros, which take as long as other
 * values. */
struct layer {
    size_t rows, dim, ffn, heads, kv_heads, head_dim;
    void *x, *y, *z;   /* [rows, widest] activations, at most fp32 */
    float *w, *w_grad; /* [widest, dim] */
    float *logsum;     /* [heads, rows] */
};

static size_t queries_and_keys(const struct layer *l)
{
    return (l->heads + 2 * l->kv_heads) * l->head_dim;
}

static struct layer layer_of(const struct op_sizes *s)
{
    struct layer l = {.rows = min_u64(s->length, CHOOSE_ROWS),
                      .dim = min_u64(s->dim, CHOOSE_WIDTH),
                      .ffn = min_u64(s->ffn, CHOOSE_WIDTH),
                      .head_dim = s->head_dim};
    /* As many heads as fit that width, grouped as in the model. */
    const size_t group = min_u64(s->heads / s->kv_heads, max_u64(1, CHOOSE_WIDTH / s->head_dim));
    l.kv_heads = max_u64(1, min_u64(s->heads, CHOOSE_WIDTH / s->head_dim) / group);
    l.heads = l.kv_heads * group;
    return l;
}

static enum err layer_open(struct layer *l, struct why *w)
{
    const size_t widest = max_u64(max_u64(l->dim, 2 * l->ffn), queries_and_keys(l));
    l->x = calloc(l->rows * widest, sizeof(float));
    l->y = calloc(l->rows * widest, sizeof(float));
    l->z = calloc(l->rows * widest, sizeof(float));
    l->w = calloc(widest * l->dim, sizeof(float));
    l->w_grad = calloc(widest * l->dim, sizeof(float));
    l->logsum = calloc(l->heads * l->rows, sizeof(float));
    return l->x && l->y && l->z && l->w && l->w_grad && l->logsum
               ? ERR_OK
               : why(w, ERR_MEMORY, "no memory to measure which kernels are the fastest");
}

static void layer_close(struct layer *l)
{
    free(l->x), free(l->y), free(l->z), free(l->w), free(l->w_grad), free(l->logsum);
}

static void compute(const struct backend *b, const struct layer *l)
{
    const size_t out = 2 * l->ffn;
    b->linear(b->self, &(struct op_linear){l->y, l->x, l->w, l->rows, l->dim, out});
    b->linear_input(b->self, &(struct op_linear_input){l->x, l->y, l->w, l->rows, l->dim, out});
    b->linear_weight(b->self,
                     &(struct op_linear_weight){l->w_grad, true, l->y, l->x, l->rows, l->dim, out});
    b->attention(b->self, &(struct op_attention){l->y, l->logsum, l->x, 1, l->rows, l->heads,
                                                 l->kv_heads, l->head_dim});
    b->attention_backward(b->self, &(struct op_attention_backward){l->z, l->y, l->y, l->x,
                                                                   l->logsum, 1, l->rows, l->heads,
                                                                   l->kv_heads, l->head_dim});
}

static enum err measure(struct pool *pool, struct layer *l, struct choice *c, struct why *w)
{
    struct backend sets[CHOOSE_SETS];
    size_t opened = 0;
    enum err e = ERR_OK;
    const struct op_sizes sizes = {.rows = l->rows,
                                   .dim = l->dim,
                                   .heads = l->heads,
                                   .kv_heads = l->kv_heads,
                                   .head_dim = l->head_dim,
                                   .ffn = l->ffn,
                                   .length = l->rows};
    while (opened < c->count && !e) {
        struct backend *b = &sets[opened];
        e = cpu_open_as(b, pool, c->times[opened].name, c->times[opened].bf16, w);
        opened += !e;
        if (!e) e = b->prepare(b->self, &sizes, w);
    }
    const instant end = instant_after(clock_now(), CHOOSE_TIME);
    for (size_t round = 0; !e && (round < CHOOSE_ROUNDS || clock_now().ns < end.ns); round++)
        for (size_t i = 0; i < c->count; i++) {
            const uint64_t began = clock_cpu().ns;
            compute(&sets[i], l);
            const double seconds = (double)(clock_cpu().ns - began) * 1e-9;
            if (round == 0 || seconds < c->times[i].seconds) c->times[i].seconds = seconds;
        }
    for (size_t i = 0; i < opened; i++) cpu_close(&sets[i]);
    return e;
}

size_t choose_fastest(const struct choice_time *times, size_t count)
{
    size_t fastest = 0;
    double best = times[0].seconds;
    for (size_t i = 1; i < count; i++)
        if (times[i].seconds < best) best = times[i].seconds;
    for (size_t i = 0; i < count; i++)
        if (times[i].seconds <= CHOOSE_EVEN * best) fastest = i;
    return fastest;
}

/* "AMX", or "bf16 AMX" if both precisions are candidates. */
static const char *label(const struct choice_of *of, const struct choice_time *t, char out[32])
{
    const char *const precision = !of->fp32 || !of->bf16 ? "" : t->bf16 ? "bf16 " : "fp32 ";
    snprintf(out, 32, "%s%s", precision, t->name);
    return out;
}

/* The cache: lines of a key, a space and a label. */

#define PATH_BYTES      4096
#define CACHE_BYTES_MAX ((size_t)1 << 16)
#define KEY_BYTES       240
#define KEY_VERSION     2 /* of the kernels: increase it when they become faster */

static void key_of(const struct choice *c, const struct choice_of *of, size_t threads,
                   const struct op_sizes *s, char out[KEY_BYTES])
{
    uint32_t model = 0, b, v, d;
    size_t at;
    __get_cpuid(1, &model, &b, &v, &d); /* family, model and stepping */
    at = (size_t)snprintf(out, KEY_BYTES, "%d-%x-%zu-%s-%zu-%zu-%zu-%zu-%zu-%zu-", KEY_VERSION,
                          model, threads,
                          !of->bf16   ? "fp32"
                          : !of->fp32 ? "bf16"
                                      : "auto",
                          s->dim, s->ffn, s->heads, s->kv_heads, s->head_dim, s->length);
    for (size_t i = 0; i < c->count && at < KEY_BYTES; i++)
        for (const char *n = c->times[i].name; at + 1 < KEY_BYTES && *n; n++)
            if (*n != ' ') out[at++] = *n;
    out[at < KEY_BYTES ? at : KEY_BYTES - 1] = 0;
}

static bool cache_path(char *out, size_t room)
{
    char folder[PATH_BYTES - 16];
    return file_cache(folder, sizeof folder) &&
           (size_t)snprintf(out, room, "%s/kernels", folder) < room;
}

/* The index of the candidate stored for the key; `count`: none of the candidates. */
static size_t cache_find(const char *text, const char *key, const struct choice_of *of,
                         const struct choice *c)
{
    const size_t length = strlen(key);
    char known[32];
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) || line[length] != ' ') continue;
        const char *name = line + length + 1;
        const size_t bytes = strcspn(name, "\n");
        for (size_t i = 0; i < c->count; i++)
            if (strlen(label(of, &c->times[i], known)) == bytes && !strncmp(name, known, bytes))
                return i;
    }
    return c->count;
}

/* The content of the cache, to be freed; NULL if there is none, or it is too large and will be
 * started over. */
static char *cache_read(const char *path)
{
    uint8_t *text;
    size_t count;
    return path && !file_read(path, CACHE_BYTES_MAX, &text, &count, NULL) ? (char *)text : NULL;
}

static void cache_write(const char *path, const char *text, const char *key, const char *name)
{
    char line[KEY_BYTES + 32], folder[PATH_BYTES];
    const int n = snprintf(line, sizeof line, "%s %s\n", key, name);
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    if (slash && file_make_dirs(folder, NULL)) return;
    const struct bytes parts[] = {bytes_of(text, text ? strlen(text) : 0),
                                  bytes_of(line, (size_t)n)};
    file_write_atomic(path, parts, 2, 0600, NULL);
}

static void say(const struct choice_of *of, struct choice *c)
{
    char name[32];
    size_t at = (size_t)snprintf(c->text, sizeof c->text, "measured:");
    for (size_t i = 0; i < c->count && at < sizeof c->text; i++)
        at += (size_t)snprintf(c->text + at, sizeof c->text - at, "%s %s %.1f ms", i ? "," : "",
                               label(of, &c->times[i], name), c->times[i].seconds * 1e3);
}

/* All candidates, those of bf16 first. */
static void list(const struct choice_of *of, struct choice *out)
{
    for (int bf16 = 1; bf16 >= 0; bf16--) {
        if (!(bf16 ? of->bf16 : of->fp32)) continue;
        if (of->kernels && kernels_named(of->kernels, bf16))
            out->times[out->count++] = (struct choice_time){.name = of->kernels, .bf16 = bf16};
        for (size_t i = 0; !of->kernels && i < CHOOSE_SETS; i++) {
            const char *name = kernels_number(i, bf16);
            if (name) out->times[out->count++] = (struct choice_time){.name = name, .bf16 = bf16};
        }
    }
}

static void take(struct choice *c, size_t i)
{
    c->name = c->times[i].name;
    c->bf16 = c->times[i].bf16;
}

enum err choose_kernels(struct pool *pool, const struct choice_of *of, const struct op_sizes *sizes,
                        const char *cache, struct choice *out, struct why *w)
{
    char key[KEY_BYTES], own[PATH_BYTES], name[32];
    *out = (struct choice){.text = "the only ones here"};
    list(of, out);
    if (!out->count)
        return why(w, ERR_DEVICE, "this processor lacks %s",
                   of->kernels ? of->kernels : "AVX2 and FMA, which shoal needs (x86-64-v3)");
    take(out, 0);
    if (out->count == 1) return ERR_OK;
    if (!cache && cache_path(own, sizeof own)) cache = own;
    key_of(out, of, pool_threads(pool), sizes, key);
    char *known = cache_read(cache);
    const size_t found = known ? cache_find(known, key, of, out) : out->count;
    enum err e = ERR_OK;
    if (found < out->count) {
        take(out, found);
        snprintf(out->text, sizeof out->text, "the fastest when it was measured");
    } else {
        struct layer l = layer_of(sizes);
        e = layer_open(&l, w);
        if (!e) e = measure(pool, &l, out, w);
        layer_close(&l);
        if (!e) {
            const size_t fastest = choose_fastest(out->times, out->count);
            take(out, fastest);
            out->measured = true;
            say(of, out);
            if (cache) cache_write(cache, known, key, label(of, &out->times[fastest], name));
        }
    }
    free(known);
    return e;
}

enum err cpu_open_fastest(struct backend *out, struct pool *pool, const struct choice_of *of,
                          const struct op_sizes *sizes, struct why *w)
{
    struct choice c;
    enum err e = choose_kernels(pool, of, sizes, NULL, &c, w);
    if (!e) e = cpu_open_as(out, pool, c.name, c.bf16, w);
    if (!e) cpu_chosen(out, c.text);
    return e;
}
