/* ranks_test.c -- several devices as the ranks of one trainer: they learn as one does, to the same
 * bits each time and in each rank, and what happens to rank 0 between steps reaches the others.
 *
 * On the CPU the test adds up by itself; the CUDA backend uses NCCL, on fibers what stands in for
 * it (test/cuda). */
#include "small.h"

#define LANES_MOST 3

#ifdef SHOAL_CUDA
#define STEPS 2 /* fibers take their time */

static void lanes_open_devices(struct device *d, size_t count)
{
    const char *library = getenv("NCCL_BIN"); /* on fibers */
    struct cuda_options o = {.bf16 = device_bf16, .cublaslt = device_cublaslt};
    struct backend joined[LANES_MOST];
    struct why w;
    if (library) setenv("FIBER_DEVICES", "3", 1);
    if (cuda_devices() < (int)count) cr_skip("there are too few GPUs");
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(pool_open(&d[i].pool, 1, 0, &w), ERR_OK, "%s", w.text);
        o.device = (int)i;
        cr_assert_eq(cuda_open(&joined[i], &o, &w), ERR_OK, "%s", w.text);
    }
    if (count > 1)
        cr_assert_eq(cuda_join(joined, count, library ? library : "", &w), ERR_OK, "%s", w.text);
    for (size_t i = 0; i < count; i++) d[i].b = joined[i];
}
#else
#define STEPS 6

static size_t lanes_opened;

static enum err sum_of_ranks(void *self, float *const *x, size_t count, struct why *w)
{
    (void)self, (void)w;
    for (size_t i = 0; i < count; i++) {
        float sum = x[0][i];
        for (size_t rank = 1; rank < lanes_opened; rank++) sum += x[rank][i];
        for (size_t rank = 0; rank < lanes_opened; rank++) x[rank][i] = sum;
    }
    return ERR_OK;
}

static enum err copy_to_ranks(void *self, float *const *x, size_t count, struct why *w)
{
    (void)self, (void)w;
    for (size_t rank = 1; rank < lanes_opened; rank++) memcpy(x[rank], x[0], count * sizeof(float));
    return ERR_OK;
}

static void lanes_open_devices(struct device *d, size_t count)
{
    for (size_t i = 0; i < count; i++) d[i] = device_make(1);
    lanes_opened = count;
    d[0].b.all_reduce = sum_of_ranks;
    d[0].b.broadcast = copy_to_ranks;
}
#endif

/* A trainer of some ranks, and what can be seen of each from outside. */
static struct ranks {
    size_t count;
    struct device d[LANES_MOST];
    struct backend b[LANES_MOST];
    struct op_adamw seen[LANES_MOST]; /* the latest, with the addresses of a rank's vectors */
    size_t broadcasts, gradients;     /* how often; micro-batches in which rank 0 computed some */
    struct trainer *t;
} ranks;

static size_t rank_of(const void *self)
{
    size_t i = 0;
    while (ranks.d[i].b.self != self) i++;
    return i;
}

static void seen_adamw(void *self, const struct op_adamw *o)
{
    ranks.seen[rank_of(self)] = *o;
    ranks.d[0].b.adamw(self, o);
}

static void seen_embed_backward(void *self, const struct op_embed_backward *o)
{
    ranks.gradients += rank_of(self) == 0;
    ranks.d[0].b.embed_backward(self, o);
}

static enum err seen_broadcast(void *self, float *const *x, size_t count, struct why *w)
{
    ranks.broadcasts++;
    return ranks.d[0].b.broadcast(self, x, count, w);
}

static void lanes_open(const struct experiment *x, const struct corpus *c, size_t count)
{
    struct why w;
    ranks = (struct ranks){.count = count};
    lanes_open_devices(ranks.d, count);
    for (size_t i = 0; i < count; i++) {
        ranks.b[i] = ranks.d[i].b;
        ranks.b[i].adamw = seen_adamw;
        ranks.b[i].embed_backward = seen_embed_backward;
        ranks.b[i].broadcast = seen_broadcast;
    }
    cr_assert_eq(trainer_open(x, ranks.b, count, c, nobody, &ranks.t, &w), ERR_OK, "%s", w.text);
}

static void lanes_close(void)
{
    trainer_close(ranks.t);
    for (size_t i = ranks.count; i-- > 0;) device_drop(&ranks.d[i]);
}

static double step(uint64_t at)
{
    struct trainer_report r;
    struct why w;
    cr_assert_eq(trainer_step(ranks.t, (double)at, &r, &w), ERR_OK, "%s", w.text);
    return r.loss;
}

static size_t elements(void) { return trainer_layout(ranks.t)->parameters; }

/* A vector of a rank, copied; the caller frees. */
static float *vector_of(size_t rank, const float *vector)
{
    const struct backend *b = &ranks.b[rank];
    float *copy = malloc(elements() * sizeof(float));
    cr_assert_eq(b->download(b->self, copy, vector, elements() * sizeof(float), NULL), ERR_OK);
    return copy;
}

/* Do all ranks hold the same parameters and moments, bit for bit? After a step. */
static void lanes_agree(void)
{
    for (size_t i = 1; i < ranks.count; i++)
        for (int v = 0; v < 3; v++) {
            const struct op_adamw *a = &ranks.seen[0], *b = &ranks.seen[i];
            float *of_a[] = {a->parameters, a->moment1, a->moment2};
            float *of_b[] = {b->parameters, b->moment1, b->moment2};
            float *one = vector_of(0, of_a[v]), *other = vector_of(i, of_b[v]);
            cr_assert_neq(of_a[v], of_b[v]);
            cr_assert_eq(memcmp(one, other, elements() * sizeof(float)), 0,
                         "vector %d of rank %zu is not rank 0's", v, i);
            free(one), free(other);
        }
}

struct result {
    double loss[STEPS], held_out;
    float *parameters;
};

static struct result train(const struct experiment *x, const struct corpus *c, size_t count)
{
    struct result r;
    uint64_t used;
    struct why w;
    lanes_open(x, c, count);
    for (uint64_t i = 0; i < STEPS; i++) {
        r.loss[i] = step(i);
        lanes_agree();
    }
    cr_assert_eq(trainer_evaluate(ranks.t, 5 * 16, &r.held_out, &used, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(ranks.broadcasts, count > 1, "genesis alone is sent to the others");
    r.parameters = vector_of(0, trainer_state(ranks.t)->parameters);
    lanes_close();
    return r;
}

/* Sums in another order differ by some 1e-7 of them; AdamW's first steps pass that on where a
 * gradient is next to nothing, to a small share of lr. */
static void learn_as_one(const struct experiment *x, struct corpus *c, double loss_bound,
                         double parameter_bound)
{
    struct result one = train(x, c, 1);
    for (size_t count = 2; count <= LANES_MOST; count++) {
        struct result many = train(x, c, count), again = train(x, c, count);
        const size_t n = layout_of(&x->model).parameters;
        for (int i = 0; i < STEPS; i++) {
            cr_assert_float_eq(many.loss[i] / one.loss[i], 1, loss_bound);
            cr_assert_eq(many.loss[i], again.loss[i]);
        }
        cr_assert_eq(many.loss[0], one.loss[0], "losses are added up in the order of one rank");
        cr_assert_float_eq(many.held_out / one.held_out, 1, loss_bound);
        cr_assert_eq(many.held_out, again.held_out);
        cr_assert_leq(golden_error(many.parameters, one.parameters, n), parameter_bound);
        cr_assert_eq(memcmp(many.parameters, again.parameters, n * sizeof(float)), 0);
        free(many.parameters), free(again.parameters);
    }
    free(one.parameters);
}

Test(ranks, learn_as_one_does_and_to_the_same_bits_each_time)
{
    struct corpus *c = make_corpus();
    struct experiment x = experiment_small();
    x.train.micro_batch = 2; /* 6 of them: all ranks have as much to do */
    learn_as_one(&x, c, 1e-5, 1e-3);
    x.train.micro_batch = 5; /* 5, 5 and 2 */
    learn_as_one(&x, c, 1e-5, 1e-3);
    drop_corpus(c);
}

#ifdef SHOAL_CUDA
Test(ranks, in_bf16_learn_as_one_does)
{
    struct corpus *c = make_corpus();
    struct experiment x = experiment_small();
    x.train.precision = PRECISION_BF16;
    device_bf16 = true;
    x.train.batch_tokens = 4 * 16;
    x.train.micro_batch = 1;
    learn_as_one(&x, c, 0.02, 0.2);
    drop_corpus(c);
}

/* Nothing waits by chance: whatever is queued runs as late as it can, or as early. */
Test(ranks, wait_for_each_other_and_no_more_than_that)
{
    static const char *const orders[] = {"now", "behind", "ahead"};
    struct corpus *c = make_corpus();
    struct experiment x = experiment_small();
    struct result r[3];
    x.train.micro_batch = 3;
    for (int i = 0; i < 3; i++) {
        setenv("FIBER_STREAMS", orders[i], 1);
        r[i] = train(&x, c, 2);
        cr_assert_eq(memcmp(r[i].parameters, r[0].parameters,
                            layout_of(&x.model).parameters * sizeof(float)),
                     0, "another order of the streams, %s, gives other parameters", orders[i]);
        cr_assert_eq(memcmp(r[i].loss, r[0].loss, sizeof r[0].loss), 0);
    }
    for (int i = 0; i < 3; i++) free(r[i].parameters);
    drop_corpus(c);
}
#endif

Test(ranks, are_dealt_micro_batches_in_turn)
{
    struct corpus *c = make_corpus();
    struct experiment x = experiment_small();
    x.train.micro_batch = 1;
    lanes_open(&x, c, 3);
    step(0);
    cr_assert_eq(ranks.gradients, 4);
    lanes_close();
    lanes_open(&x, c, 2);
    step(0);
    cr_assert_eq(ranks.gradients, 6);
    lanes_close();
    drop_corpus(c);
}

/* As an outer step and a joiner's state do. */
Test(ranks, all_take_over_what_is_written_to_the_first)
{
    struct corpus *c = make_corpus();
    struct experiment x = experiment_small();
    double loss[2];
    x.train.micro_batch = 2;
#ifdef SHOAL_CUDA
    x.train.precision = PRECISION_BF16;
    device_bf16 = true; /* each rank has copies of the matrices too */
#endif
    for (int i = 0; i < 2; i++) { /* once on one rank, once on three */
        lanes_open(&x, c, i ? 3 : 1);
        const struct backend *b = trainer_backend(ranks.t);
        float *mine = trainer_state(ranks.t)->parameters, *genesis = vector_of(0, mine);
        step(0);
        for (size_t n = 0; n < elements(); n++) genesis[n] *= 0.5f;
        b->upload(b->self, mine, genesis, elements() * sizeof(float));
        trainer_parameters_changed(ranks.t);
        trainer_forget(ranks.t);
        loss[i] = step(1);
        lanes_agree();
        cr_assert_eq(trainer_state(ranks.t)->steps, 1);
        cr_assert_eq(ranks.broadcasts, i ? 2 : 0);
        free(genesis);
        lanes_close();
    }
    cr_assert_eq(loss[0], loss[1]);
    drop_corpus(c);
}

Test(ranks, read_what_was_written_to_the_first_when_they_evaluate)
{
    struct corpus *c = make_corpus();
    struct experiment x = experiment_small();
    double loss[2], at_genesis;
    uint64_t used;
    x.train.micro_batch = 4;
    for (int i = 0; i < 2; i++) {
        lanes_open(&x, c, i ? 2 : 1);
        const struct backend *b = trainer_backend(ranks.t);
        float *mine = trainer_state(ranks.t)->parameters, *other = vector_of(0, mine);
        for (size_t n = 0; n < elements(); n++) other[n] *= 3;
        cr_assert_eq(trainer_evaluate(ranks.t, 20 * 16, &at_genesis, &used, NULL), ERR_OK);
        b->upload(b->self, mine, other, elements() * sizeof(float));
        trainer_parameters_changed(ranks.t);
        cr_assert_eq(trainer_evaluate(ranks.t, 20 * 16, &loss[i], &used, NULL), ERR_OK);
        cr_assert_neq(loss[i], at_genesis);
        free(other);
        lanes_close();
    }
    cr_assert_eq(loss[0], loss[1]);
    drop_corpus(c);
}

Test(ranks, go_on_bit_for_bit_from_a_saved_state)
{
    struct corpus *c = make_corpus();
    struct experiment x = experiment_small();
    double loss[2][2];
    float *saved[TRAINER_VECTORS];
    lanes_open(&x, c, 3);
    step(0);
    cr_assert_eq(trainer_pull(ranks.t, NULL), ERR_OK);
    const size_t n = elements();
    for (int v = 0; v < TRAINER_VECTORS; v++) {
        saved[v] = malloc(n * sizeof(float));
        memcpy(saved[v], trainer_host(ranks.t, v), n * sizeof(float));
    }
    const struct trainer_state was = *trainer_state(ranks.t);
    for (int i = 0; i < 2; i++) loss[0][i] = step((uint64_t)i + 1);
    float *whole = vector_of(0, trainer_state(ranks.t)->parameters);
    lanes_close();
    lanes_open(&x, c, 3);
    struct trainer_state *is = trainer_state(ranks.t);
    for (int v = 0; v < TRAINER_VECTORS; v++) {
        memcpy(trainer_host(ranks.t, v), saved[v], n * sizeof(float));
        free(saved[v]);
    }
    trainer_push(ranks.t);
    is->steps = was.steps;
    is->position = was.position;
    for (int i = 0; i < 2; i++) loss[1][i] = step((uint64_t)i + 1);
    lanes_agree();
    float *parts = vector_of(0, is->parameters);
    cr_assert_eq(memcmp(loss[0], loss[1], sizeof loss[0]), 0);
    cr_assert_eq(memcmp(whole, parts, n * sizeof(float)), 0);
    free(whole), free(parts);
    lanes_close();
    drop_corpus(c);
}

Test(ranks, learn_nothing_together_from_a_step_whose_loss_is_not_a_number)
{
    struct corpus *c = make_corpus();
    struct experiment x = experiment_small();
    struct trainer_report r;
    lanes_open(&x, c, 2);
    const struct backend *b = trainer_backend(ranks.t);
    float *mine = trainer_state(ranks.t)->parameters, bad = INFINITY;
    step(0);
    float *kept = vector_of(0, mine);
    b->upload(b->self, mine + elements() - 1, &bad, sizeof bad);
    trainer_parameters_changed(ranks.t);
    cr_assert_eq(trainer_step(ranks.t, 1, &r, NULL), ERR_NUMBER);
    cr_assert_eq(trainer_state(ranks.t)->steps, 1);
    b->upload(b->self, mine, kept, elements() * sizeof(float));
    trainer_parameters_changed(ranks.t);
    step(1);
    lanes_agree();
    free(kept);
    lanes_close();
    drop_corpus(c);
}

static void refused(const struct experiment *x, const struct corpus *c, const char *says)
{
    struct device d[LANES_MOST];
    struct backend b[LANES_MOST];
    struct trainer *t;
    struct why w;
    lanes_open_devices(d, 3);
    for (size_t i = 0; i < 3; i++) b[i] = d[i].b;
    cr_assert_eq(trainer_open(x, b, 3, c, nobody, &t, &w), ERR_USAGE);
    cr_assert(!strcmp(w.text, says), "%s", w.text);
    for (size_t i = 3; i-- > 0;) device_drop(&d[i]);
}

Test(ranks, that_would_have_nothing_to_do_are_refused_with_one_sentence)
{
    struct corpus *c = make_corpus();
    struct experiment x = experiment_small();
    x.train.batch_tokens = 2 * 16;
    refused(&x, c,
            "small.yaml: train.batch_tokens makes 2 sequences of model.context 16, too few for 3 "
            "GPUs: raise it to 48 or name fewer GPUs in machine.device, as cuda:0");
    x.train.batch_tokens = 12 * 16;
    x.train.micro_batch = 6;
    refused(&x, c,
            "small.yaml: train.micro_batch 6 parts a batch of 12 sequences in 2, too few for 3 "
            "GPUs: set it to 4 or lower, or to auto, or name fewer GPUs in machine.device, as "
            "cuda:0");
    drop_corpus(c);
}

Test(ranks, get_a_micro_batch_that_leaves_none_idle)
{
    struct device d = device_make(1);
    struct experiment x = experiment_small();
    cr_assert_eq(budget_micro_batch(&x, &d.b, 2), 6);
    cr_assert_eq(budget_micro_batch(&x, &d.b, 3), 4);
    cr_assert_eq(budget_micro_batch(&x, &d.b, 5), 1); /* 3 each at most; by 2 it would be 4 */
    cr_assert_eq(budget_micro_batch(&x, &d.b, 12), 1);
    x.train.batch_tokens = 15 * 16;
    cr_assert_eq(budget_micro_batch(&x, &d.b, 2), 1); /* 8 at most; by 3 or 5 it would be 9, 10 */
    x.train.batch_tokens = 512 * 16;
    cr_assert_eq(budget_micro_batch(&x, &d.b, 3), 16); /* 176 at most, and 171 need be */
    device_drop(&d);
}
