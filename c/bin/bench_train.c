/* bench_train.c -- `shoal bench cpu` and `shoal bench gpu`: inner steps on made-up tokens,
 * timed. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/machine.h"
#include "base/object.h"
#include "base/rng.h"
#include "base/whole.h"
#include "bin/bench.h"
#include "bin/bench_ops.h"
#include "bin/bench_trace.h"
#include "bin/command.h"
#include "config/schema.h"
#include "config/settings.h"
#include "cpu/cpu.h"
#include "model/adamw.h"
#include "model/budget.h"
#include "model/init.h"
#include "model/model.h"
#include "model/trainer.h"
#include "node/device.h"

#define OPS_MEBIBYTES 256 /* a GPU's caches are some tens of MiB */
#define OPS_CONTEXT   2048

struct wishes {
    const char *experiment, *preset, *precision;
    uint64_t context, batch, threads, seconds, micro_batch, device, ops;
    bool json, gpu, trace;
};

struct result {
    struct bench_op ops[BENCH_OPS_MAX];
    size_t op_count;
    struct bench_traced traced[BENCH_TRACE_MAX];
    size_t traced_count;
    double traced_s; /* the step that was traced */
    double loss, seconds, tokens_per_s, flops, peak;
    double *step_s; /* [steps], sorted at the end */
    uint64_t steps, room;
    /* Peak resident memory of the process until now; 0 where the system does not report it. */
    uint64_t peak_bytes;
};

/* Everything that a step uses. */
struct bench {
    struct experiment x;
    struct backend b;
    struct layout layout;
    struct model *model;
    uint32_t micro_batch, *tokens;
    float *gradients;
    struct adamw_vectors v;
    uint64_t steps;
};

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    static const char *const presets[] = {"2m", "14m", "60m", "150m", "1b", NULL};
    static const char notes[] =
        "peak: on a CPU what fused multiply-adds in registers reach on as many threads, "
        "undisturbed, measured first; of a GPU what its maker says of dense products in bf16.\n"
        "share (a GPU's mfu too): tokens/s x operations a token / peak. Operations a token: 6 x "
        "parameters of the matrices that multiply (the embedding is a lookup) + 6 x layers x dim x "
        "context for causal attention.\n"
        "ops: bytes that an operation must move, its operands once, and their share of what the "
        "memory's clock and width allow on a GPU; flops of products and their share of the peak. "
        "The outer step's bytes go between host and GPU.";
    o->ops = o->gpu ? OPS_MEBIBYTES : 0;
    const struct option_row rows[] = {
        {"EXPERIMENT.yaml", .argument = true, .text = &o->experiment,
         .help = "says what the model and its batch are, instead of options"},
        {"preset", .text = &o->preset, .value = "NAME", .words = presets,
         .help = "shape of the model: 2m, 14m, 60m, 150m or 1b", .otherwise = "2m"},
        {"context", .whole = &o->context, .least = 1, .most = UINT32_MAX, .value = "N",
         .help = "tokens of a sequence", .otherwise = "256"},
        {"batch", .whole = &o->batch, .least = 1, .most = UINT32_MAX, .value = "N",
         .help = "tokens of an inner step, a multiple of the context", .otherwise = "4096"},
        {"threads", .whole = &o->threads, .least = 1, .most = 1024, .value = "N",
         .help = "how many", .otherwise = "the processors that this process may use"},
        {"precision", .text = &o->precision, .value = "P",
         .words = schema_keys[schema_index("train.precision")].words, .help = "fp32, bf16 or auto",
         .otherwise = o->gpu ? "bf16" : "fp32"},
        {"micro-batch", .whole = &o->micro_batch, .least = 1, .most = UINT32_MAX, .value = "N",
         .help = "sequences at once", .otherwise = "as train.micro_batch: auto"},
        {"seconds", .whole = &o->seconds, .least = 1, .most = UINT32_MAX, .value = "N",
         .help = "how long to measure, three steps at least", .otherwise = "5"},
        {"ops", .whole = &o->ops, .least = 0, .most = UINT32_MAX, .value = "N",
         .help = "then each operation alone, on operands of N MiB in all, its attention over a "
                 "context that was given or 2048 tokens; 0: none"},
        {"trace", .flag = &o->trace,
         .help = "then one more step, with the time of each operation in it"},
        COMMAND_JSON(&o->json),
        o->gpu ? (struct option_row){"device", .whole = &o->device, .least = 0,
                                     .most = EXPERIMENT_DEVICE_MAX, .value = "N",
                                     .help = "the N-th GPU, from 0", .otherwise = "0"}
               : (struct option_row){0},
        {0}};
    struct options table = {
        .command = o->gpu ? "shoal bench gpu" : "shoal bench cpu",
        .about = "Trains on made-up tokens, as frequent as words, and tells how fast: whole inner "
                 "steps, forward, backward and AdamW.",
        .notes = notes,
        .rows = rows};
    const char *name = o->gpu ? "bench gpu" : "bench cpu";
    if (!command_options(name, &table, argc, argv, code)) return false;
    if (o->experiment && (o->preset || o->context || o->batch || o->precision || o->micro_batch)) {
        struct why w;
        why(&w, ERR_USAGE, "%s says what the model and its batch are: leave those options out",
            o->experiment);
        *code = command_failed(name, &w);
        return false;
    }
    return true;
}

/* The named experiment, or the smallest one with these options. */
static enum err experiment_of(const struct wishes *o, struct experiment *x, struct why *w)
{
    const struct settings s = {.path = o->experiment};
    if (o->experiment) return settings_read(o->gpu ? "bench gpu" : "bench cpu", &s, x, w);
    char text[500], micro_batch[24] = "auto";
    if (o->micro_batch)
        snprintf(micro_batch, sizeof micro_batch, "%llu", (unsigned long long)o->micro_batch);
    unsigned long long context = o->context ? o->context : 256, batch = o->batch;
    if (!batch) batch = align_up(4096, context);
    snprintf(text, sizeof text,
             "experiment: {name: bench}\nmodel: {preset: \"%.20s\", context: %llu}\n"
             "data: {corpus: none}\ntrain: {steps: 1, batch_tokens: %llu, precision: \"%.20s\", "
             "micro_batch: %s}\nouter: {every: 1}\n",
             o->preset ? o->preset : "2m", context, batch,
             o->precision ? o->precision
             : o->gpu     ? "bf16"
                          : "fp32",
             micro_batch);
    return experiment_parse(o->gpu ? "shoal bench gpu" : "shoal bench cpu",
                            bytes_of(text, strlen(text)), x, w);
}

static enum err vectors_take(struct bench *k, struct why *w)
{
    const size_t bytes = k->layout.parameters * sizeof(float);
    float **const all[] = {&k->v.parameters, &k->v.moment1, &k->v.moment2, &k->gradients};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        void *vector;
        enum err e = k->b.alloc(k->b.self, bytes, &vector, w);
        if (e) return e;
        *all[i] = vector;
    }
    k->v.gradients = k->gradients;
    return init_device(&k->layout, k->x.seed, &k->b, k->v.parameters, w);
}

static void vectors_give(struct bench *k)
{
    float *const all[] = {k->v.parameters, k->v.moment1, k->v.moment2, k->gradients};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]) k->b.free(k->b.self, all[i], k->layout.parameters * sizeof(float));
}

static enum err step(struct bench *k, double *loss, struct why *w)
{
    const size_t context = k->x.model.context, sequences = experiment_batch_sequences(&k->x);
    double total = 0, norm;
    enum err e = ERR_OK;
    model_clear_gradients(k->model, k->gradients);
    for (size_t done = 0; !e && done < sequences;) {
        size_t count = k->micro_batch < sequences - done ? k->micro_batch : sequences - done;
        double sum;
        e = model_loss_and_gradients(
            k->model, k->v.parameters, k->gradients,
            &(struct model_batch){k->tokens + done * (context + 1), count, context},
            1.0f / (float)k->x.train.batch_tokens, &sum, w);
        total += sum;
        done += count;
    }
    if (!e) e = k->b.norm2(k->b.self, k->gradients, k->layout.parameters, &norm, w);
    *loss = total / (double)k->x.train.batch_tokens;
    if (!e && !isfinite(*loss + norm)) e = why(w, ERR_NUMBER, "the loss is not a number");
    if (!e) adamw_step(&k->b, &k->layout, &k->x, &k->v, ++k->steps, 1e-4, norm);
    return e;
}

static enum err step_took(struct result *r, double seconds, struct why *w)
{
    if (r->steps == r->room) {
        const uint64_t room = r->room ? 2 * r->room : 1024;
        double *more = realloc(r->step_s, room * sizeof *more);
        if (!more)
            return why(w, ERR_MEMORY, "no memory for the times of %llu steps",
                       (unsigned long long)room);
        r->step_s = more;
        r->room = room;
    }
    r->step_s[r->steps++] = seconds;
    return ERR_OK;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum err measure(struct bench *k, const struct wishes *o, struct result *r, struct why *w)
{
    const double least = o->seconds ? (double)o->seconds : 5;
    r->peak = device_peak(&k->b);
    enum err e = step(k, &r->loss, w); /* to touch memory and warm the caches */
    const instant began = clock_now();
    while (!e && (r->seconds < least || r->steps < 3)) {
        const double before = r->seconds;
        e = step(k, &r->loss, w);
        r->seconds = span_in_s(instant_since(clock_now(), began));
        if (!e) e = step_took(r, r->seconds - before, w);
    }
    if (e) return e;
    qsort(r->step_s, r->steps, sizeof *r->step_s, ascending);
    r->peak_bytes = machine_memory_peak();
    r->tokens_per_s = (double)(r->steps * k->x.train.batch_tokens) / r->seconds;
    r->flops = r->tokens_per_s * model_flops_per_token(&k->x.model);
    return ERR_OK;
}

static enum err trace_step(struct bench *k, struct result *r, struct why *w)
{
    double loss;
    enum err e = bench_trace_begin(&k->b, w);
    if (e) return e;
    const instant began = clock_now();
    e = step(k, &loss, w);
    if (!e) e = k->b.norm2(k->b.self, k->gradients, 1, &loss, w); /* waits for AdamW too */
    r->traced_s = span_in_s(instant_since(clock_now(), began));
    r->traced_count = bench_trace_end(&k->b, r->traced);
    return e;
}

static double share_of(const struct result *r) { return r->peak ? r->flops / r->peak : 0; }

static json_t *ops_json(const struct bench *k, const struct result *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->op_count; i++) {
        const struct bench_op *op = &r->ops[i];
        const double amount = op->bytes ? op->bytes : op->flops, speed = amount / op->seconds;
        const double most = op->flops ? r->peak : device_memory_peak(&k->b);
        json_t *one = json_object();
        object_text(one, "op", op->name);
        if (op->head_dim) object_u64(one, "head_dim", op->head_dim);
        object_f64(one, "seconds", op->seconds);
        object_f64(one, op->flops ? "flops_per_second" : "bytes_per_second", speed);
        if (most && !op->host) object_f64(one, "share", speed / most);
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *trace_json(const struct result *r)
{
    json_t *trace = json_object(), *ops = json_array();
    for (size_t i = 0; i < r->traced_count; i++) {
        json_t *one = json_object();
        object_text(one, "op", r->traced[i].name);
        object_u64(one, "calls", r->traced[i].calls);
        object_f64(one, "seconds", r->traced[i].seconds);
        json_array_append_new(ops, one);
    }
    object_f64(trace, "step_seconds", r->traced_s);
    json_object_set_new(trace, "ops", ops);
    return trace;
}

static enum err report_json(const struct bench *k, const struct wishes *o, const struct result *r,
                            const char *name, size_t threads, struct why *w)
{
    json_t *out = json_object();
    object_text(out, "model", name);
    object_u64(out, "parameters", k->layout.parameters);
    object_u64(out, "context", k->x.model.context);
    object_u64(out, "batch_tokens", k->x.train.batch_tokens);
    object_u64(out, "micro_batch", k->micro_batch);
    object_text(out, "precision", precision_word(k->x.train.precision));
    object_u64(out, "threads", threads);
    object_text(out, "backend", device_describe(&k->b));
    if (device_choice(&k->b)) object_text(out, "choice", device_choice(&k->b));
    object_u64(out, "steps", r->steps);
    object_f64(out, "seconds", r->seconds);
    object_f64(out, "tokens_per_second", r->tokens_per_s);
    object_f64(out, "step_seconds_best", r->step_s[0]);
    object_f64(out, "step_seconds_median", r->step_s[r->steps / 2]);
    object_u64(out, "peak_bytes", r->peak_bytes);
    object_f64(out, "flops_per_token", model_flops_per_token(&k->x.model));
    object_f64(out, "flops", r->flops);
    object_f64(out, "peak_flops", r->peak);
    object_f64(out, "share", share_of(r));
    if (o->gpu) object_f64(out, "mfu", share_of(r));
    object_f64(out, "loss", r->loss);
    if (r->op_count) object_f64(out, "memory_peak", device_memory_peak(&k->b));
    if (r->op_count) json_object_set_new(out, "ops", ops_json(k, r));
    if (r->traced_count) json_object_set_new(out, "trace", trace_json(r));
    return object_print(out, w);
}

static void trace_lines(const struct result *r)
{
    for (size_t i = 0; i < r->traced_count; i++)
        printf("trace    %-24s %9.3f ms  %5.1f %% of a step  %6zu calls\n", r->traced[i].name,
               r->traced[i].seconds * 1e3, 100 * r->traced[i].seconds / r->traced_s,
               r->traced[i].calls);
}

static void op_line(const struct bench_op *op)
{
    char name[40];
    if (op->head_dim) snprintf(name, sizeof name, "%s of %zu", op->name, op->head_dim);
    else snprintf(name, sizeof name, "%s", op->name);
    printf("op       %-24s %9.3f ms  %8.1f %s\n", name, op->seconds * 1e3,
           (op->flops ? op->flops : op->bytes) / op->seconds * 1e-9,
           op->flops ? "GFLOP/s" : "GB/s");
}

static enum err report(const struct bench *k, const struct wishes *o, const struct result *r,
                       size_t threads, struct why *w)
{
    const char *name = o->experiment ? k->x.name : o->preset ? o->preset : "2m";
    const double per_token = model_flops_per_token(&k->x.model);
    if (o->json) return report_json(k, o, r, name, threads, w);
    printf("model    %s: %zu parameters, context %u, %u sequences at once\n", name,
           k->layout.parameters, (unsigned)k->x.model.context, (unsigned)k->micro_batch);
    printf("machine  %zu threads, %s, %s\n", threads, device_describe(&k->b),
           precision_word(k->x.train.precision));
    if (device_choice(&k->b))
        printf("kernels  %s; %s\n", device_describe(&k->b), device_choice(&k->b));
    printf("steps    %llu of %llu tokens in %.2f s\n", (unsigned long long)r->steps,
           (unsigned long long)k->x.train.batch_tokens, r->seconds);
    printf("speed    %.0f tokens/s, %.1f GFLOP/s (%.2f MFLOP a token)\n", r->tokens_per_s,
           r->flops * 1e-9, per_token * 1e-6);
    printf("memory   %.0f MiB of this process at most\n", (double)r->peak_bytes * 0x1p-20);
    if (r->peak)
        printf("peak     %.1f GFLOP/s; share %.1f %%\n", r->peak * 1e-9, 100 * share_of(r));
    else printf("peak     not known of this GPU\n");
    for (size_t i = 0; i < r->op_count; i++) op_line(&r->ops[i]);
    trace_lines(r);
    return ERR_OK;
}

static enum err tokens_make(struct bench *k, struct why *w)
{
    const size_t context = k->x.model.context, sequences = experiment_batch_sequences(&k->x);
    const size_t count = sequences * (context + 1);
    struct rng rng = rng_init(k->x.seed);
    k->tokens = malloc(count * sizeof *k->tokens);
    if (!k->tokens) return why(w, ERR_MEMORY, "no memory for %zu tokens", count);
    for (size_t i = 0; i < count; i++) k->tokens[i] = bench_token(&rng, k->x.model.vocab);
    return ERR_OK;
}

/* Opens everything that a step of k->x uses. bench_give closes it, also after an error. */
static enum err bench_take(struct bench *k, const struct device_options *d, struct pool *pool,
                           struct why *w)
{
    enum err e = device_open(&k->b, d, pool, w);
    if (e) return e;
    k->x.train.precision = device_precision(&k->b);
    k->layout = layout_of(&k->x.model);
    k->micro_batch = budget_micro_batch(&k->x, &k->b, 1);
    e = vectors_take(k, w);
    if (!e)
        e = model_open(&k->model, &k->x.model, &k->b, k->micro_batch,
                       budget_use(k->x.train.recompute),
                       budget_at_once(&k->x, 1, k->micro_batch) ? k->gradients : NULL, NULL, w);
    if (e) return e;
    k->v.bf16_weights = model_bf16_weights(k->model);
    return tokens_make(k, w);
}

static void bench_give(struct bench *k)
{
    model_close(k->model);
    vectors_give(k);
    k->model = NULL;
    memset(&k->v, 0, sizeof k->v);
    k->gradients = NULL;
}

static void bench_close(struct bench *k)
{
    if (k->b.self) device_close(&k->b);
    free(k->tokens);
}

static int bench(int argc, char **argv, bool gpu)
{
    struct bench *k = calloc(1, sizeof *k);
    struct wishes o = {.gpu = gpu};
    struct result r = {0};
    struct pool *pool = NULL;
    struct why w;
    int code;
    if (!take_options(argc, argv, &o, &code)) return free(k), code;
    enum err e = k ? ERR_OK : why(&w, ERR_MEMORY, "no memory");
    if (!e) e = experiment_of(&o, &k->x, &w);
    const size_t threads = o.threads ? o.threads : machine_processors();
    if (!e) e = pool_open(&pool, threads, 0, &w);
    if (!e) {
        const struct device_options d = {.kind = gpu ? DEVICE_CUDA : DEVICE_CPU,
                                         .index = (uint32_t)o.device,
                                         .precision = k->x.train.precision,
                                         .kernels = k->x.machine.kernels,
                                         .shape = &k->x.model,
                                         .cublaslt = k->x.machine.cublaslt};
        e = bench_take(k, &d, pool, &w);
    }
    if (!e) e = measure(k, &o, &r, &w);
    if (!e && o.trace) e = trace_step(k, &r, &w);
    if (k) bench_give(k);
    if (!e && o.ops)
        e = bench_ops(&k->b, o.ops, o.context || o.experiment ? k->x.model.context : OPS_CONTEXT,
                      r.ops, &r.op_count, &w);
    if (!e) e = report(k, &o, &r, threads, &w);
    if (k) bench_close(k);
    free(r.step_s);
    pool_close(pool);
    free(k);
    return e ? command_failed(gpu ? "bench gpu" : "bench cpu", &w) : 0;
}

/* A batch of 524288 tokens would take a CPU minutes: a step of one micro-batch of some thousand
 * tokens is a fair sample, slightly slow because each includes AdamW. */
#define SAMPLE_TOKENS 4096

enum err bench_speed(const struct experiment *x, double *tokens_per_s, struct why *w)
{
    struct bench *k = calloc(1, sizeof *k);
    struct pool *pool = NULL;
    struct result r = {0};
    const struct wishes o = {.seconds = 3};
    if (!k) return why(w, ERR_MEMORY, "no memory to measure");
    k->x = *x;
    uint64_t sample = align_up(SAMPLE_TOKENS, x->model.context);
    if (k->x.train.batch_tokens > sample) k->x.train.batch_tokens = sample;
    uint64_t sequences = experiment_batch_sequences(&k->x);
    if (k->x.train.micro_batch > sequences) k->x.train.micro_batch = (uint32_t)sequences;
    const struct device_options d = {.kind = x->machine.device,
                                     .index = x->machine.gpus_count ? x->machine.gpus[0] : 0,
                                     .precision = x->train.precision,
                                     .kernels = x->machine.kernels,
                                     .shape = &x->model,
                                     .cublaslt = x->machine.cublaslt};
    enum err e =
        pool_open(&pool, x->machine.threads ? x->machine.threads : machine_processors(), 0, w);
    if (!e) e = bench_take(k, &d, pool, w);
    if (!e) e = measure(k, &o, &r, w);
    *tokens_per_s = r.tokens_per_s;
    bench_give(k);
    bench_close(k);
    free(r.step_s);
    pool_close(pool);
    free(k);
    return e ? why_while(w, e, "measuring this machine's speed") : ERR_OK;
}

int bench_cpu(int argc, char **argv) { return bench(argc, argv, false); }
int bench_gpu(int argc, char **argv) { return bench(argc, argv, true); }
