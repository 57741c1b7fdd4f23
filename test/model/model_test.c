/* model_test.c -- the whole model: loss and every gradient against PyTorch in float64, finite
 * differences, generation, fifty steps of training, and the same bits again. */
#include <stdbool.h>

#include "model/adamw.h"
#include "model/init.h"
#include "model/model.h"
#include "model/schedule.h"
#include "small.h"

/* Errors relative to the largest element of a tensor. A gradient goes through two layers of the ops
 * whose own tolerance is 2e-6 (ops_test.c), and loses some to cancellation between heads and
 * positions. Measured: 2e-6. */
#define GRADIENT 6e-6

struct fixture {
    struct golden g;
    struct device d;
    struct model_shape shape;
    struct layout layout;
    struct model *model;
    float *parameters, *gradients; /* in backend memory, which is the host's here: see at() */
};

static float *vector(struct fixture *f)
{
    void *p;
    cr_assert_eq(f->d.b.alloc(f->d.b.self, f->layout.parameters * sizeof(float), &p, NULL), ERR_OK);
    return p;
}

static struct fixture fixture_open(const char *file, size_t threads, size_t sequences,
                                   enum model_use use)
{
    struct fixture f = {.g = golden_open(file), .d = device_make(threads)};
    struct why w;
    size_t n;
    uint32_t *s = golden_integers(&f.g, &n, "shape");
    f.shape = (struct model_shape){.layers = s[0],
                                   .dim = s[1],
                                   .heads = s[2],
                                   .kv_heads = s[3],
                                   .ffn = s[4],
                                   .vocab = s[5],
                                   .context = s[6],
                                   .tied = s[7],
                                   .rope_theta = 10000,
                                   .rms_eps = 1e-5};
    free(s);
    f.layout = layout_of(&f.shape);
    f.parameters = vector(&f);
    f.gradients = vector(&f);
    cr_assert_eq(model_open(&f.model, &f.shape, &f.d.b, sequences, use, NULL, NULL, &w), ERR_OK,
                 "%s", w.text);
    return f;
}

static void fixture_close(struct fixture *f)
{
    const size_t bytes = f->layout.parameters * sizeof(float);
    model_close(f->model);
    f->d.b.free(f->d.b.self, f->parameters, bytes);
    f->d.b.free(f->d.b.self, f->gradients, bytes);
    device_drop(&f->d);
    golden_close(&f->g);
}

static void load_parameters(struct fixture *f)
{
    for (size_t t = 0; t < f->layout.tensor_count; t++) {
        struct layout_tensor tensor = layout_at(&f->layout, t);
        size_t n;
        float *values = golden_floats(&f->g, &n, tensor.name);
        cr_assert_eq(n, tensor.rows * tensor.columns, "%s", tensor.name);
        f->d.b.upload(f->d.b.self, f->parameters + tensor.offset, values, n * sizeof(float));
        free(values);
    }
}

static float *downloaded(struct fixture *f, const float *device)
{
    const size_t bytes = f->layout.parameters * sizeof(float);
    float *host = malloc(bytes);
    cr_assert_eq(f->d.b.download(f->d.b.self, host, device, bytes, NULL), ERR_OK);
    return host;
}

static void compare_with_pytorch(const char *file)
{
    struct fixture f = fixture_open(file, 2, 3, MODEL_TRAIN);
    size_t n;
    uint32_t *tokens = golden_integers(&f.g, &n, "tokens");
    float *wanted = golden_floats(&f.g, &n, "loss");
    struct model_batch batch = {tokens, 3, 13};
    double loss, alone;
    load_parameters(&f);
    cr_assert_eq(
        model_loss_and_gradients(f.model, f.parameters, f.gradients, &batch, 0.125f, &loss, NULL),
        ERR_OK);
    cr_assert_float_eq(loss / wanted[0], 1, 1e-6);
    cr_assert_eq(model_loss(f.model, f.parameters, &batch, &alone, NULL), ERR_OK);
    cr_assert_eq(alone, loss);
    float *gradients = downloaded(&f, f.gradients);
    for (size_t t = 0; t < f.layout.tensor_count; t++) {
        struct layout_tensor tensor = layout_at(&f.layout, t);
        char name[LAYOUT_NAME_BYTES + 8];
        snprintf(name, sizeof name, "%s.grad", tensor.name);
        float *right = golden_floats(&f.g, &n, name);
        double error = golden_error(gradients + tensor.offset, right, n);
        cr_assert_leq(error, GRADIENT, "%s is off by %.1e", name, error);
        free(right);
    }
    free(gradients), free(tokens), free(wanted);
    fixture_close(&f);
}

TEST_EACH(model, loss_and_all_gradients_are_those_of_pytorch)
{
    compare_with_pytorch("model_untied.bin");
}

TEST_EACH(model, with_a_tied_head_too) { compare_with_pytorch("model_tied.bin"); }

static void make_tokens(uint64_t seed, uint32_t vocab, size_t count, uint32_t *out)
{
    struct rng rng = rng_init(seed);
    for (size_t i = 0; i < count; i++) out[i] = (uint32_t)rng_below(&rng, vocab);
}

/* 108 sequences at once fill a chunk of the CPU's head (1024 rows) and leave a rest; in four
 * micro-batches, none. */
TEST_EACH(model, gradients_accumulate_over_micro_batches)
{
    enum { SEQUENCES = 108, PART = 27, ROW = 14 };
    struct fixture f = fixture_open("model_untied.bin", 1, SEQUENCES, MODEL_TRAIN);
    uint32_t tokens[SEQUENCES * ROW];
    const struct model_batch all = {tokens, SEQUENCES, ROW - 1};
    double whole, part, sum = 0;
    make_tokens(5, f.shape.vocab, SEQUENCES * ROW, tokens);
    load_parameters(&f);
    model_loss_and_gradients(f.model, f.parameters, f.gradients, &all, 0.5f, &whole, NULL);
    float *at_once = downloaded(&f, f.gradients);
    model_clear_gradients(f.model, f.gradients);
    for (size_t s = 0; s < SEQUENCES; s += PART, sum += part)
        model_loss_and_gradients(f.model, f.parameters, f.gradients,
                                 &(struct model_batch){tokens + s * ROW, PART, ROW - 1}, 0.5f,
                                 &part, NULL);
    float *in_parts = downloaded(&f, f.gradients);
    cr_assert_float_eq(sum / whole, 1, 1e-6);
    for (size_t t = 0; t < f.layout.tensor_count; t++) {
        struct layout_tensor tensor = layout_at(&f.layout, t);
        double error = golden_error(in_parts + tensor.offset, at_once + tensor.offset,
                                    tensor.rows * tensor.columns);
        cr_assert_leq(error, GRADIENT, "%s is off by %.1e", tensor.name, error);
    }

    struct model *replacing;
    cr_assert_eq(
        model_open(&replacing, &f.shape, &f.d.b, SEQUENCES, MODEL_TRAIN, f.gradients, NULL, NULL),
        ERR_OK);
    model_loss_and_gradients(replacing, f.parameters, f.gradients, &all, 0.5f, &whole, NULL);
    float *replaced = downloaded(&f, f.gradients);
    cr_assert_eq(memcmp(replaced, at_once, f.layout.parameters * sizeof(float)), 0);
    model_close(replacing);
    free(at_once), free(in_parts), free(replaced);
    fixture_close(&f);
}

/* Central differences, one tensor after the other, along the tensor's own gradient g bent by as
 * long a random vector: (L(p + h u) - L(p - h u)) / 2h = g . u for |u| = 1. With h = 3e-3 the third
 * derivative costs some h^2 = 1e-5 of the slope where it is as large as the slope itself, and
 * rounding of losses (39 of them, 4e-7 each, over 2h, against slopes of 1 and more) some 1e-4. */
TEST_EACH(model, gradients_are_what_finite_differences_say)
{
    struct fixture f = fixture_open("model_tied.bin", 1, 3, MODEL_TRAIN);
    size_t n;
    uint32_t *tokens = golden_integers(&f.g, &n, "tokens");
    struct model_batch batch = {tokens, 3, 13};
    const size_t count = f.layout.parameters;
    const double h = 3e-3;
    double loss, above, below;
    load_parameters(&f);
    model_loss_and_gradients(f.model, f.parameters, f.gradients, &batch, 1, &loss, NULL);
    float *g = downloaded(&f, f.gradients), *start = downloaded(&f, f.parameters);
    float *moved = downloaded(&f, f.parameters);
    double *u = malloc(count * sizeof(double));
    struct rng rng = rng_init(11);
    for (size_t t = 0; t < f.layout.tensor_count; t++) {
        struct layout_tensor tensor = layout_at(&f.layout, t);
        const size_t first = tensor.offset, last = first + tensor.rows * tensor.columns;
        double slope = 0, length = 0, own = 0;
        for (size_t i = first; i < last; i++) own += (double)g[i] * g[i];
        for (size_t i = first; i < last; i++) {
            u[i] = g[i] + sqrt(12 * own / (double)(last - first)) * (rng_unit(&rng) - 0.5);
            length += u[i] * u[i];
        }
        for (size_t i = first; i < last; i++) slope += g[i] * (u[i] /= sqrt(length));
        for (int sign = -1; sign <= 1; sign += 2) {
            for (size_t i = first; i < last; i++) moved[i] = (float)(start[i] + sign * h * u[i]);
            f.d.b.upload(f.d.b.self, f.parameters, moved, count * sizeof(float));
            model_loss(f.model, f.parameters, &batch, sign > 0 ? &above : &below, NULL);
        }
        memcpy(moved + first, start + first, (last - first) * sizeof(float));
        double difference = (above - below) / (2 * h);
        cr_assert_float_eq(difference / slope, 1, 6e-4, "%s: %g by differences, %g by gradients",
                           tensor.name, difference, slope);
    }
    free(u), free(moved), free(start), free(g), free(tokens);
    fixture_close(&f);
}

static void feed_like_pytorch(const char *file, size_t piece)
{
    struct fixture f = fixture_open(file, 2, 1, MODEL_READ);
    size_t n;
    uint32_t *tokens = golden_integers(&f.g, &n, "tokens");
    float *wanted = golden_floats(&f.g, &n, "last_logits"), *logits = malloc(f.shape.vocab * 4);
    load_parameters(&f);
    for (size_t s = 0; s < 3; s++) {
        model_restart(f.model);
        for (size_t done = 0; done < 13; done += piece) {
            size_t count = piece < 13 - done ? piece : 13 - done;
            cr_assert_eq(
                model_feed(f.model, f.parameters, tokens + 14 * s + done, count, logits, NULL),
                ERR_OK);
        }
        cr_assert_eq(model_fed(f.model), 13);
        cr_assert_leq(golden_error(logits, wanted + s * f.shape.vocab, f.shape.vocab), GRADIENT);
    }
    free(logits), free(wanted), free(tokens);
    fixture_close(&f);
}

TEST_EACH(model, logits_of_a_sequence_fed_at_once_are_those_of_pytorch)
{
    feed_like_pytorch("model_untied.bin", 13);
}

TEST_EACH(model, logits_of_a_sequence_fed_token_by_token_are_those_of_pytorch)
{
    feed_like_pytorch("model_tied.bin", 1);
    feed_like_pytorch("model_untied.bin", 5);
}

/* 300 tokens are two passes of the layers; token by token they are 300. */
TEST_EACH(model, a_long_prompt_gives_what_its_tokens_one_by_one_give)
{
    struct fixture f = fixture_open("model_untied.bin", 1, 1, MODEL_READ);
    struct model_shape shape = f.shape;
    struct model *m;
    uint32_t tokens[300];
    float *at_once = malloc(shape.vocab * 4), *one_by_one = malloc(shape.vocab * 4);
    shape.context = 301;
    make_tokens(8, shape.vocab, 300, tokens);
    load_parameters(&f);
    cr_assert_eq(model_open(&m, &shape, &f.d.b, 1, MODEL_READ, NULL, NULL, NULL), ERR_OK);
    cr_assert_eq(model_feed(m, f.parameters, tokens, 300, at_once, NULL), ERR_OK);
    cr_assert_eq(model_fed(m), 300);
    model_restart(m);
    for (size_t i = 0; i < 300; i++) model_feed(m, f.parameters, tokens + i, 1, one_by_one, NULL);
    cr_assert_leq(golden_error(at_once, one_by_one, shape.vocab), GRADIENT);
    model_close(m);
    free(at_once), free(one_by_one);
    fixture_close(&f);
}

TEST_EACH(model, genesis_is_what_its_definition_says_in_another_language)
{
    struct fixture f = fixture_open("model_training.bin", 1, 4, MODEL_TRAIN);
    size_t n;
    float *wanted = golden_floats(&f.g, &n, "genesis"), *made = malloc(n * sizeof(float));
    cr_assert_eq(n, f.layout.parameters);
    init_parameters(&f.layout, 0x5eed, 0, n, made);
    cr_assert_eq(memcmp(made, wanted, n * sizeof(float)), 0);
    /* Any part of it alone is the same. */
    memset(made, 0, n * sizeof(float));
    for (size_t first = 0; first < n; first += 777)
        init_parameters(&f.layout, 0x5eed, first, n - first < 777 ? n - first : 777, made + first);
    cr_assert_eq(memcmp(made, wanted, n * sizeof(float)), 0);
    free(made), free(wanted);
    fixture_close(&f);
}

/* How the golden run was made (test/golden/model.py, training()). */
static struct experiment golden_experiment(const struct fixture *f)
{
    struct experiment x = {.model = f->shape, .seed = 0x5eed};
    x.train.steps = 50;
    x.train.batch_tokens = 8 * f->shape.context;
    optimizer_small(&x);
    x.train.schedule.kind = SCHEDULE_COSINE;
    x.train.schedule.warmup = 5;
    x.train.schedule.final = 0.1;
    return x;
}

struct run {
    double losses[50], norms[50], rates[50];
    float *parameters;
};

static struct run train_fifty_steps(size_t threads)
{
    struct fixture f = fixture_open("model_training.bin", threads, 4, MODEL_TRAIN);
    struct experiment x = golden_experiment(&f);
    const size_t count = f.layout.parameters, row = f.shape.context + 1;
    struct adamw_vectors v = {f.parameters, vector(&f), vector(&f), f.gradients,
                              model_bf16_weights(f.model)};
    struct run r;
    size_t n;
    uint32_t *tokens = golden_integers(&f.g, &n, "tokens");
    float *genesis = malloc(count * sizeof(float));
    init_parameters(&f.layout, x.seed, 0, count, genesis);
    f.d.b.upload(f.d.b.self, f.parameters, genesis, count * sizeof(float));
    for (int step = 0; step < 50; step++) {
        double sum[2];
        f.d.b.zero(f.d.b.self, f.gradients, count * sizeof(float));
        for (size_t half = 0; half < 2; half++) {
            struct model_batch batch = {tokens + ((size_t)step * 8 + half * 4) * row, 4, row - 1};
            model_loss_and_gradients(f.model, f.parameters, f.gradients, &batch,
                                     1.0f / (float)x.train.batch_tokens, &sum[half], NULL);
        }
        r.losses[step] = (sum[0] + sum[1]) / (double)x.train.batch_tokens;
        r.rates[step] = schedule_lr(&x, step);
        f.d.b.norm2(f.d.b.self, f.gradients, count, &r.norms[step], NULL);
        adamw_step(&f.d.b, &f.layout, &x, &v, (uint64_t)step + 1, r.rates[step], r.norms[step]);
    }
    r.parameters = downloaded(&f, f.parameters);
    free(genesis), free(tokens);
    f.d.b.free(f.d.b.self, v.moment1, count * sizeof(float));
    f.d.b.free(f.d.b.self, v.moment2, count * sizeof(float));
    fixture_close(&f);
    return r;
}

/* Training amplifies rounding: AdamW divides a small gradient by its own small size. Measured over
 * the fifty steps: losses within 3e-6 of fp64, norms within 2e-5 but for one spike of 1e-4. A wrong
 * decay or correction is off by 1e-3 and more within ten steps. */
TEST_EACH(model, fifty_steps_of_training_have_the_losses_of_pytorch)
{
    struct golden g = golden_open("model_training.bin");
    struct run r = train_fifty_steps(2);
    size_t n;
    float *losses = golden_floats(&g, &n, "losses"),
          *norms = golden_floats(&g, &n, "gradient_norms");
    float *rates = golden_floats(&g, &n, "rates");
    for (int i = 0; i < 50; i++) {
        cr_assert_float_eq(r.rates[i] / rates[i], 1, 1e-6, "lr of step %d", i);
        cr_assert_float_eq(r.losses[i] / losses[i], 1, 2e-5, "step %d: loss %.6f, PyTorch %.6f", i,
                           r.losses[i], losses[i]);
        cr_assert_float_eq(r.norms[i] / norms[i], 1, 5e-4, "step %d: norm %.6f, PyTorch %.6f", i,
                           r.norms[i], norms[i]);
    }
    free(losses), free(norms), free(rates), free(r.parameters);
    golden_close(&g);
}

#ifndef SHOAL_CUDA /* of the host's threads: fibers would take minutes */
TEST_EACH(model, training_gives_the_same_bits_with_any_number_of_threads)
{
    struct run one = train_fifty_steps(1), again = train_fifty_steps(1),
               five = train_fifty_steps(5);
    struct fixture f = fixture_open("model_training.bin", 1, 1, MODEL_TRAIN);
    const size_t bytes = f.layout.parameters * sizeof(float);
    cr_assert_eq(memcmp(one.losses, again.losses, sizeof one.losses), 0);
    cr_assert_eq(memcmp(one.losses, five.losses, sizeof one.losses), 0);
    cr_assert_eq(memcmp(one.parameters, again.parameters, bytes), 0);
    cr_assert_eq(memcmp(one.parameters, five.parameters, bytes), 0);
    free(one.parameters), free(again.parameters), free(five.parameters);
    fixture_close(&f);
}
#endif

/* How a model is opened. */
struct way {
    enum model_use use;
    size_t sequences;
    bool tied, within; /* within: gradients' memory */
};

/* With 9 sequences 360 rows, 600 columns of gate and up, 1030 tokens: every op is cut into several
 * pieces. */
static float *gradients_of(struct device d, uint32_t head_dim, const struct way *way, size_t *count)
{
    enum { SEQUENCES = 9, LENGTH = 40 };
    const struct model_shape shape = {.layers = 2,
                                      .dim = 6 * head_dim,
                                      .heads = 6,
                                      .kv_heads = 3,
                                      .ffn = 300,
                                      .vocab = 1030,
                                      .context = LENGTH,
                                      .tied = way->tied,
                                      .rope_theta = 10000,
                                      .rms_eps = 1e-5};
    const struct layout l = layout_of(&shape);
    struct model *m;
    uint32_t tokens[SEQUENCES * (LENGTH + 1)];
    void *parameters, *gradients;
    const size_t bytes = l.parameters * sizeof(float);
    float *host = malloc(bytes);
    double loss;
    make_tokens(2, shape.vocab, SEQUENCES * (LENGTH + 1), tokens);
    const struct model_batch batch = {tokens, way->sequences, LENGTH};
    init_parameters(&l, 1, 0, l.parameters, host);
    cr_assert_eq(d.b.alloc(d.b.self, bytes, &parameters, NULL), ERR_OK);
    cr_assert_eq(d.b.alloc(d.b.self, bytes, &gradients, NULL), ERR_OK);
    d.b.upload(d.b.self, parameters, host, bytes);
    cr_assert_eq(model_open(&m, &shape, &d.b, way->sequences, way->use,
                            way->within ? gradients : NULL, NULL, NULL),
                 ERR_OK);
    if (way->within) { /* whatever was there before, nothing of it is left */
        memset(host, 0xff, bytes);
        d.b.upload(d.b.self, gradients, host, bytes);
        cr_assert_eq(model_loss_and_gradients(m, parameters, gradients, &batch, 0.1f, &loss, NULL),
                     ERR_OK);
        cr_assert_eq(model_loss(m, parameters, &batch, &loss, NULL), ERR_OK);
    }
    cr_assert_eq(model_loss_and_gradients(m, parameters, gradients, &batch, 1, &loss, NULL),
                 ERR_OK);
    cr_assert_eq(d.b.download(d.b.self, host, gradients, bytes, NULL), ERR_OK);
    model_close(m);
    d.b.free(d.b.self, parameters, bytes);
    d.b.free(d.b.self, gradients, bytes);
    const size_t alone = model_bytes(&shape, &d.b, way->sequences, way->use, false);
    const size_t within = model_bytes(&shape, &d.b, way->sequences, way->use, true);
    cr_assert(within < alone || way->sequences == SEQUENCES, "%zu of %zu bytes", within, alone);
    device_drop(&d);
    *count = l.parameters;
    return host;
}

static float *gradients_of_many_pieces(struct device d, uint32_t head_dim, size_t *count)
{
    return gradients_of(d, head_dim, &(struct way){.use = MODEL_TRAIN, .sequences = 9}, count);
}

/* The same bits in all these ways as in the first. */
static void compare_ways(const struct way *ways, size_t ways_count)
{
    size_t count;
    float *first = gradients_of(device_make(2), 24, &ways[0], &count);
    for (const struct way *way = &ways[1]; way < ways + ways_count; way++) {
        float *other = gradients_of(device_make(2), 24, way, &count);
        cr_assert_eq(memcmp(first, other, count * sizeof(float)), 0, "use %d, %zu sequences%s%s",
                     (int)way->use, way->sequences, way->tied ? ", tied" : "",
                     way->within ? ", within" : "");
        free(other);
    }
    free(first);
}

static void compare_recomputed(void)
{
    static const struct way ways[] = {{.use = MODEL_TRAIN, .sequences = 9},
                                      {.use = MODEL_TRAIN_BLOCK, .sequences = 9}};
    compare_ways(ways, sizeof ways / sizeof *ways);
}

TEST_EACH(model, gradients_have_the_same_bits_when_less_is_remembered) { compare_recomputed(); }

/* Of one sequence both layers find room, of two only the second. */
TEST_EACH(model, gradients_have_the_same_bits_when_layers_remember_where_these_will_be)
{
    for (size_t sequences = 1; sequences <= 2; sequences++)
        for (int tied = 0; tied < 2; tied++) {
            const struct way ways[] = {{MODEL_TRAIN, sequences, tied, false},
                                       {MODEL_TRAIN, sequences, tied, true},
                                       {MODEL_TRAIN_BLOCK, sequences, tied, true}};
            compare_ways(ways, sizeof ways / sizeof *ways);
        }
}

TEST_EACH(model, remembering_less_takes_less_memory)
{
    const struct model_shape s = {.layers = 12,
                                  .dim = 1024,
                                  .heads = 16,
                                  .kv_heads = 16,
                                  .ffn = 2688,
                                  .vocab = 32000,
                                  .context = 1024,
                                  .rope_theta = 10000,
                                  .rms_eps = 1e-5};
    struct device d = device_make(1);
    const size_t all = model_bytes(&s, &d.b, 4, MODEL_TRAIN, false);
    const size_t block = model_bytes(&s, &d.b, 4, MODEL_TRAIN_BLOCK, false);
    /* Eleven layers' arrays of 4096 rows: all but the stream. */
    const size_t one = d.b.activation_bytes, rows = 4096;
    cr_assert_eq(all - block,
                 11 * rows * (3 * 1024 * one + 2 * 1024 * one + 2 * 2688 * one + 18 * 4));
    device_drop(&d);
}

/* What may differ between two runs on one device: how many threads share out the pieces, or the
 * order of a GPU's threads (test/cuda/fiber.h reads the variable). */
#define ORDERS 3
static struct device device_in_order(size_t order)
{
    static const char *const schedules[] = {"threads", "warps", "reverse"};
    static const size_t threads[] = {1, 2, 7};
    setenv("FIBER_SCHEDULE", schedules[order], 1);
    return device_make(threads[order]);
}

/* Two devices, or two sets of kernels, differ by rounding only: 5e-6 as in ops_test.c, through two
 * layers. */
static void compare_with_cpu(uint32_t head_dim, double tolerance)
{
    size_t count;
    float *cpu = gradients_of_many_pieces(device_open_cpu(2), head_dim, &count), *first = NULL;
    for (size_t order = 0; order < ORDERS; order++) {
        float *found = gradients_of_many_pieces(device_in_order(order), head_dim, &count);
        double error = golden_error(found, cpu, count);
        cr_assert(error <= tolerance, "order %zu: off by %.2e", order, error);
        if (first) cr_assert_eq(memcmp(found, first, count * sizeof(float)), 0, "order %zu", order);
        free(first);
        first = found;
    }
    free(first), free(cpu);
}

TEST_EACH(model, gradients_of_a_whole_step_are_those_of_the_cpu_in_whichever_order_threads_run)
{
    compare_with_cpu(24, 1e-5);
}

/* bf16 keeps 8 bits: a number is off by 2^-9 of itself on the average, and a gradient went through
 * some ten of them. */
static void compare_bf16(uint32_t head_dim)
{
    device_bf16 = true;
    compare_with_cpu(head_dim, 1e-2);
}

TEST_EACH(model, gradients_in_bf16_are_those_of_the_cpu_within_its_rounding) { compare_bf16(24); }

TEST_EACH(model, with_attention_on_tensor_cores_too) { compare_bf16(32); }

TEST_EACH(model, gradients_in_bf16_have_the_same_bits_when_less_is_remembered)
{
    device_bf16 = true;
    compare_recomputed();
}

/* The nearest bf16, ties to even, by arithmetic on the bits; NaN as the device writes it. */
static uint16_t nearest_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

TEST_EACH(model, copies_are_the_nearest_in_bf16_and_end_where_the_matrices_do)
{
    enum { N = 1003, MATRICES = 701 };
    device_bf16 = true;
    struct device d = device_make(1);
    const struct backend *b = &d.b;
    if (!b->bf16_weights) {
        const bool rounds = b->round != NULL;
        device_drop(&d);
        cr_assert(!rounds);
        cr_skip("this backend has no bf16_weights");
    }
    float host[N], *v[4];
    uint16_t copies[N];
    void *copied;
    for (size_t i = 0; i < N; i++) host[i] = sinf((float)i) * (i % 7 ? 1 : 1e-30f);
    host[0] = 0x1.01p0f, host[1] = 0x1.03p0f, host[2] = INFINITY, host[3] = -0x1.fffffep127f;
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(b->alloc(b->self, N * sizeof(float), (void **)&v[i], NULL), ERR_OK);
        b->upload(b->self, v[i], host, i == 2 ? 0 : N * sizeof(float)); /* its square's mean: 0 */
    }
    cr_assert_eq(b->alloc(b->self, N * sizeof(uint16_t), &copied, NULL), ERR_OK);
    b->round(b->self, &(struct op_round){copied, v[0], MATRICES});
    cr_assert_eq(b->download(b->self, copies, copied, sizeof copies, NULL), ERR_OK);
    for (size_t i = 0; i < N; i++)
        cr_assert_eq(copies[i], i < MATRICES ? nearest_bf16(host[i]) : 0, "%zu", i);
    struct op_adamw o = adamw_of_step(1, 0.1f, 1);
    o.parameters = v[0], o.moment1 = v[1], o.moment2 = v[2], o.gradient = v[3];
    o.bf16_weights = copied;
    o.count = N, o.decayed_count = MATRICES;
    b->adamw(b->self, &o);
    float after[N];
    cr_assert_eq(b->download(b->self, after, v[0], sizeof after, NULL), ERR_OK);
    cr_assert_eq(b->download(b->self, copies, copied, sizeof copies, NULL), ERR_OK);
    for (size_t i = 4; i < N; i++) {
        cr_assert_neq(after[i], host[i], "%zu", i);
        cr_assert_eq(copies[i], i < MATRICES ? nearest_bf16(after[i]) : 0, "%zu", i);
    }
    for (size_t i = 0; i < 4; i++) b->free(b->self, v[i], N * sizeof(float));
    b->free(b->self, copied, N * sizeof(uint16_t));
    device_drop(&d);
}

TEST_EACH(model, works_with_new_parameters_once_told_that_they_changed)
{
    device_bf16 = true;
    struct fixture f = fixture_open("model_untied.bin", 1, 3, MODEL_TRAIN);
    size_t n;
    uint32_t *tokens = golden_integers(&f.g, &n, "tokens");
    const struct model_batch batch = {tokens, 3, 13};
    double at_zero, told;
    cr_assert_eq(model_loss(f.model, f.parameters, &batch, &at_zero, NULL), ERR_OK);
    cr_assert_float_eq(at_zero, 39 * log(f.shape.vocab), 1e-2); /* every token as likely */
    load_parameters(&f);
    model_parameters_changed(f.model);
    cr_assert_eq(model_loss(f.model, f.parameters, &batch, &told, NULL), ERR_OK);
    float *wanted = golden_floats(&f.g, &n, "loss");
    cr_assert_float_eq(told / wanted[0], 1, 1e-2);
    free(tokens), free(wanted);
    fixture_close(&f);
}

TEST_EACH(model, fifty_steps_in_bf16_stay_within_a_fiftieth_of_a_nat)
{
    device_bf16 = true;
    struct golden g = golden_open("model_training.bin");
    struct run r = train_fifty_steps(1);
    size_t n;
    float *losses = golden_floats(&g, &n, "losses");
    for (int i = 0; i < 50; i++)
        cr_assert_float_eq(r.losses[i], losses[i], 0.02, "step %d: loss %.4f, PyTorch in fp64 %.4f",
                           i, r.losses[i], losses[i]);
    free(losses), free(r.parameters);
    golden_close(&g);
}
