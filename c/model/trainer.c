#include "model/trainer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/whole.h"
#include "config/complain.h"
#include "data/corpus.h"
#include "data/sampler.h"
#include "model/adamw.h"
#include "model/budget.h"
#include "model/init.h"
#include "model/schedule.h"

/* One device with everything that an inner step needs. */
struct rank {
    const struct backend *b;
    struct model *model;
    void *memory; /* one allocation that holds all of these */
    size_t bytes;
    float *parameters, *moment1, *moment2, *gradients;
    bool busy; /* its model has queued work whose loss is not collected yet */
};

struct trainer {
    const struct experiment *x;
    const struct backend *b; /* of rank 0 */
    const struct corpus *corpus;
    struct sampler sampler;
    struct trainer_state state; /* its vectors are rank 0's */
    struct rank ranks[BACKEND_RANKS_MAX];
    size_t ranks_count;
    bool stale;       /* the other ranks lack rank 0's latest parameters */
    uint32_t *tokens; /* host: [micro_batch, context + 1] */
    uint32_t micro_batch;
    float *copies[TRAINER_VECTORS]; /* in host memory, for a backend that is not the host */
};

static size_t vector_bytes(const struct experiment *x)
{
    return layout_of(&x->model).parameters * sizeof(float);
}

/* Does each rank get at least one micro-batch? */
static enum err check_ranks(const struct experiment *x, size_t ranks, struct why *w)
{
    const uint64_t sequences = experiment_batch_sequences(x);
    const uint64_t pieces = ceil_div(sequences, x->train.micro_batch ? x->train.micro_batch : 1);
    if (sequences < ranks)
        return why(w, ERR_USAGE,
                   "%s: train.batch_tokens makes %llu sequences of model.context %u, too few for "
                   "%zu GPUs: raise it to %llu or name fewer GPUs in machine.device, as cuda:0",
                   x->path, (unsigned long long)sequences, (unsigned)x->model.context, ranks,
                   (unsigned long long)ranks * x->model.context);
    if (pieces < ranks)
        return why(w, ERR_USAGE,
                   "%s: train.micro_batch %u parts a batch of %llu sequences in %llu, too few for "
                   "%zu GPUs: set it to %llu or lower, or to auto, or name fewer GPUs in "
                   "machine.device, as cuda:0",
                   x->path, (unsigned)x->train.micro_batch, (unsigned long long)sequences,
                   (unsigned long long)pieces, ranks, (unsigned long long)(sequences / ranks));
    return ERR_OK;
}

enum err trainer_fits(const struct experiment *x, const struct corpus *c, struct why *w)
{
    static const uint8_t nobody[SAMPLER_IDENTITY_BYTES];
    struct sampler s;
    if (c->vocab > x->model.vocab)
        return experiment_complain(
            x, "model.vocab", w, ERR_USAGE,
            "the tokenizer of the corpus %s has %u tokens and this is %u: set it to at least %u",
            x->data.corpus, (unsigned)c->vocab, (unsigned)x->model.vocab, (unsigned)c->vocab);
    if (x->data.validation != 0 && x->data.validation != c->validation)
        return experiment_complain(
            x, "data.validation", w, ERR_USAGE,
            "%g, but the corpus %s was made with --validation %g, which decides: leave this key "
            "out, or prepare the corpus again",
            x->data.validation, x->data.corpus, c->validation);
    enum err e = sampler_init(&s, c, x->seed, nobody, x->model.context, w);
    return e ? experiment_complain(x, "data.corpus", w, e, "%s: %s", x->data.corpus, w->text)
             : ERR_OK;
}

static enum err check(const struct experiment *x, const struct backend *b, size_t ranks,
                      const struct corpus *c, struct why *w)
{
    assert(ranks >= 1 && ranks <= BACKEND_RANKS_MAX);
    for (size_t i = 0; i < ranks; i++)
        assert(ranks == 1 || (b[0].all_reduce && b[0].activation_bytes == b[i].activation_bytes));
    assert(b->activation_bytes == (x->train.precision == PRECISION_BF16 ? 2 : 4));
    enum err e = trainer_fits(x, c, w);
    if (e) return e;
    if (x->train.micro_batch > experiment_batch_sequences(x))
        return why(
            w, ERR_USAGE,
            "%s: train.micro_batch is %u, but a batch of %llu tokens has only %llu sequences",
            x->path, (unsigned)x->train.micro_batch, (unsigned long long)x->train.batch_tokens,
            (unsigned long long)experiment_batch_sequences(x));
    e = check_ranks(x, ranks, w);
    for (size_t i = 0; !e && b->memory && i < ranks; i++)
        e = budget_check(x, b, ranks, b[i].memory(b[i].self), "the GPU", w);
    return e;
}

/* Genesis: parameters from the seed, everything else zero. */
static enum err genesis(struct trainer *t, struct why *w)
{
    enum err e =
        init_device(model_layout(t->ranks[0].model), t->x->seed, t->b, t->state.parameters, w);
    if (!e) trainer_parameters_changed(t);
    return e;
}

/* Allocates all of a rank's memory in one piece and divides it: parameters, moments, gradients, and
 * the model's memory. */
static enum err rank_open(struct rank *rank, const struct trainer *t, const struct backend *b,
                          struct why *w)
{
    float **const vectors[] = {&rank->parameters, &rank->moment1, &rank->moment2, &rank->gradients};
    const size_t each = align_up(vector_bytes(t->x), BACKEND_ALIGNMENT);
    const enum model_use use = budget_use(t->x->train.recompute);
    const bool at_once = budget_at_once(t->x, t->ranks_count, t->micro_batch);
    const size_t model = model_bytes(&t->x->model, b, t->micro_batch, use, at_once);
    rank->b = b;
    rank->bytes = 4 * each + model;
    enum err e = b->alloc(b->self, rank->bytes, &rank->memory, w);
    uint8_t *at = rank->memory;
    for (size_t i = 0; !e && i < sizeof vectors / sizeof vectors[0]; i++, at += each)
        *vectors[i] = (float *)at;
    if (!e)
        e = model_open(&rank->model, &t->x->model, b, t->micro_batch, use,
                       at_once ? rank->gradients : NULL, at, w);
    if (e == ERR_MEMORY) why_while(w, e, "set train.micro_batch lower or train.recompute to block");
    return e;
}

static void rank_close(struct rank *rank)
{
    model_close(rank->model);
    if (rank->memory) rank->b->free(rank->b->self, rank->memory, rank->bytes);
}

enum err trainer_open(const struct experiment *x, const struct backend *b, size_t ranks,
                      const struct corpus *c, const uint8_t identity[32], struct trainer **out,
                      struct why *w)
{
    enum err e = check(x, b, ranks, c, w);
    if (e) return e;
    struct trainer *t = calloc(1, sizeof *t);
    if (!t) return why(w, ERR_MEMORY, "no memory for a trainer");
    *t = (struct trainer){.x = x,
                          .b = b,
                          .corpus = c,
                          .ranks_count = ranks,
                          .micro_batch = budget_micro_batch(x, b, ranks)};
    t->tokens = malloc((size_t)t->micro_batch * (x->model.context + 1) * sizeof(uint32_t));
    if (!t->tokens) e = why(w, ERR_MEMORY, "no memory for a micro-batch");
    for (size_t i = 0; !e && !b->host && i < TRAINER_VECTORS; i++) {
        t->copies[i] = malloc(vector_bytes(x));
        if (!t->copies[i]) e = why(w, ERR_MEMORY, "no memory for the host's copies of a model");
    }
    if (!e) e = sampler_init(&t->sampler, c, x->seed, identity, x->model.context, w);
    for (size_t i = 0; !e && i < ranks; i++) e = rank_open(&t->ranks[i], t, &b[i], w);
    const struct rank *first = &t->ranks[0];
    t->state.parameters = first->parameters;
    t->state.moment1 = first->moment1;
    t->state.moment2 = first->moment2;
    if (!e) e = genesis(t, w);
    if (e) {
        trainer_close(t);
        return e;
    }
    *out = t;
    return ERR_OK;
}

void trainer_close(struct trainer *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->ranks_count; i++) rank_close(&t->ranks[i]);
    for (size_t i = 0; i < TRAINER_VECTORS; i++) free(t->copies[i]);
    free(t->tokens);
    free(t);
}

/* Copies rank 0's parameters to all ranks if necessary. */
static enum err share_parameters(struct trainer *t, struct why *w)
{
    float *parameters[BACKEND_RANKS_MAX];
    if (t->ranks_count == 1 || !t->stale) return ERR_OK;
    for (size_t i = 0; i < t->ranks_count; i++) {
        parameters[i] = t->ranks[i].parameters;
        model_parameters_changed(t->ranks[i].model);
    }
    enum err e =
        t->b->broadcast(t->b->self, parameters, model_layout(t->ranks[0].model)->parameters, w);
    t->stale = e != ERR_OK;
    return e;
}

/* Gradients of each rank = the sum over all ranks. */
static enum err add_gradients(struct trainer *t, struct why *w)
{
    float *gradients[BACKEND_RANKS_MAX];
    if (t->ranks_count == 1) return ERR_OK;
    for (size_t i = 0; i < t->ranks_count; i++) gradients[i] = t->ranks[i].gradients;
    return t->b->all_reduce(t->b->self, gradients, model_layout(t->ranks[0].model)->parameters, w);
}

/* Waits for the rank's queued work and adds its losses to `total`. */
static enum err collect(struct rank *rank, double *total, struct why *w)
{
    double sum;
    if (!rank->busy) return ERR_OK;
    rank->busy = false;
    enum err e = model_loss_sum(rank->model, &sum, w);
    if (!e) *total += sum;
    return e;
}

/* `sequences` sequences of the training or the held-out text, starting at `first`. */
struct text {
    uint64_t first, sequences;
    bool training;
};

static void fill(struct trainer *t, const struct text *from, uint64_t done, size_t count)
{
    const uint32_t context = t->x->model.context;
    const uint64_t first = from->first + done;
    if (from->training) sampler_fill(&t->sampler, first, count, t->tokens);
    else
        for (size_t i = 0; i < count; i++)
            sampler_validation(t->corpus, context, first + i, t->tokens + i * (context + 1));
}

/* Computes the sum of the text's losses and, for training text, each rank's part of the gradients.
 * Micro-batches are dealt to the ranks in turn; losses are added in that order. */
static enum err deal(struct trainer *t, const struct text *from, double *total, struct why *w)
{
    const float scale = (float)(1.0 / (double)t->x->train.batch_tokens);
    size_t turn = 0;
    enum err e = share_parameters(t, w);
    *total = 0;
    for (uint64_t done = 0; !e && done < from->sequences; turn++) {
        struct rank *rank = &t->ranks[turn % t->ranks_count];
        const uint64_t left = from->sequences - done;
        const size_t count = t->micro_batch < left ? t->micro_batch : left;
        const struct model_batch batch = {t->tokens, count, t->x->model.context};
        fill(t, from, done, count);
        e = collect(rank, total, w);
        if (e) break;
        model_queue(rank->model, rank->parameters, from->training ? rank->gradients : NULL, &batch,
                    scale);
        rank->busy = true;
        done += count;
    }
    for (size_t i = 0; i < t->ranks_count; i++, turn++) {
        enum err failed = collect(&t->ranks[turn % t->ranks_count], total, e ? NULL : w);
        if (!e) e = failed;
    }
    return e;
}

/* Mean loss of the batch and its gradients, the same in each rank. Advances the position in any
 * case. */
static enum err accumulate(struct trainer *t, double *loss, struct why *w)
{
    const struct text batch = {t->state.position, experiment_batch_sequences(t->x), true};
    double total;
    t->state.position += batch.sequences;
    t->state.tokens += t->x->train.batch_tokens;
    for (size_t i = 0; i < t->ranks_count; i++)
        model_clear_gradients(t->ranks[i].model, t->ranks[i].gradients);
    enum err e = deal(t, &batch, &total, w);
    *loss = total / (double)t->x->train.batch_tokens;
    return e ? e : add_gradients(t, w);
}

static void update(struct trainer *t, double lr, double gradient_norm)
{
    t->state.steps++;
    for (size_t i = 0; i < t->ranks_count; i++) {
        const struct rank *rank = &t->ranks[i];
        const struct adamw_vectors v = {rank->parameters, rank->moment1, rank->moment2,
                                        rank->gradients, model_bf16_weights(rank->model)};
        adamw_step(rank->b, model_layout(rank->model), t->x, &v, t->state.steps, lr, gradient_norm);
    }
}

enum err trainer_step(struct trainer *t, double schedule_step, struct trainer_report *out,
                      struct why *w)
{
    struct trainer_report r = {.lr = schedule_lr(t->x, schedule_step),
                               .tokens = t->x->train.batch_tokens};
    enum err e = accumulate(t, &r.loss, w);
    if (!e)
        e = t->b->norm2(t->b->self, t->ranks[0].gradients,
                        model_layout(t->ranks[0].model)->parameters, &r.gradient_norm, w);
    if (e) return e;
    *out = r;
    if (!isfinite(r.loss) || !isfinite(r.gradient_norm))
        return why(
            w, ERR_NUMBER,
            "the loss is %g and the norm of the gradient %g: nothing was learned from this batch",
            r.loss, r.gradient_norm);
    update(t, r.lr, r.gradient_norm);
    return ERR_OK;
}

enum err trainer_evaluate(struct trainer *t, uint64_t tokens_max, double *loss,
                          uint64_t *tokens_used, struct why *w)
{
    const uint32_t context = t->x->model.context;
    uint64_t windows = sampler_validation_count(t->corpus, context);
    if (windows == 0)
        return why(w, ERR_USAGE,
                   "%s: the held-out text of the corpus is shorter than one sequence of %u tokens: "
                   "prepare it with a larger --validation or lower model.context",
                   t->x->path, (unsigned)context);
    uint64_t wanted = tokens_max / context;
    if (wanted == 0) wanted = 1;
    if (windows > wanted) windows = wanted;
    double total;
    const struct text held_out = {0, windows, false};
    enum err e = deal(t, &held_out, &total, w);
    if (e) return e;
    *tokens_used = windows * context;
    *loss = total / (double)*tokens_used;
    return ERR_OK;
}

static float *vector_of(const struct rank *rank, enum trainer_vector v)
{
    float *const vectors[] = {rank->parameters, rank->moment1, rank->moment2};
    return vectors[v];
}

float *trainer_host(struct trainer *t, enum trainer_vector v)
{
    return t->b->host ? vector_of(&t->ranks[0], v) : t->copies[v];
}

enum err trainer_pull(struct trainer *t, struct why *w)
{
    enum err e = ERR_OK;
    for (int v = 0; !e && !t->b->host && v < TRAINER_VECTORS; v++)
        e = t->b->download(t->b->self, t->copies[v], vector_of(&t->ranks[0], v), vector_bytes(t->x),
                           w);
    return e;
}

void trainer_push(struct trainer *t)
{
    for (size_t i = 0; i < t->ranks_count; i++)
        for (int v = 0; v < TRAINER_VECTORS; v++) {
            const struct rank *rank = &t->ranks[i];
            float *to = vector_of(rank, v), *from = trainer_host(t, v);
            if (to != from) rank->b->upload(rank->b->self, to, from, vector_bytes(t->x));
        }
    trainer_parameters_changed(t);
}

void trainer_parameters_changed(struct trainer *t)
{
    t->stale = true;
    model_parameters_changed(t->ranks[0].model);
}

void trainer_forget(struct trainer *t)
{
    for (size_t i = 0; i < t->ranks_count; i++) {
        const struct rank *rank = &t->ranks[i];
        rank->b->zero(rank->b->self, rank->moment1, vector_bytes(t->x));
        rank->b->zero(rank->b->self, rank->moment2, vector_bytes(t->x));
    }
    t->state.steps = 0;
}

struct trainer_state *trainer_state(struct trainer *t) { return &t->state; }
const struct layout *trainer_layout(const struct trainer *t)
{
    return model_layout(t->ranks[0].model);
}
const struct backend *trainer_backend(const struct trainer *t) { return t->b; }
uint32_t trainer_micro_batch(const struct trainer *t) { return t->micro_batch; }
