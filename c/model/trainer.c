#include "model/trainer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "data/corpus.h"
#include "data/sampler.h"
#include "model/adamw.h"
#include "model/init.h"
#include "model/schedule.h"

#define INIT_BLOCK                                                                                 \
    ((size_t)1 << 20) /* genesis parameters made at a time on their way to the device */

struct trainer {
    const struct experiment *x;
    const struct backend *b;
    const struct corpus *corpus;
    struct sampler sampler;
    struct model *model;
    struct trainer_state state;
    float *gradients;
    uint32_t *tokens; /* host: [micro_batch, context + 1] */
    uint32_t micro_batch;
    float *copies[TRAINER_VECTORS]; /* in host memory, of a backend that is not the host */
};

static size_t vector_bytes(const struct experiment *x)
{
    return layout_of(&x->model).parameters * sizeof(float);
}

static uint64_t batch_sequences(const struct experiment *x)
{
    return x->train.batch_tokens / x->model.context;
}

static enum model_use use_of(const struct experiment *x)
{
    static const enum model_use uses[] = {MODEL_TRAIN, MODEL_TRAIN_NORM, MODEL_TRAIN_BLOCK};
    return uses[x->train.recompute];
}

uint32_t trainer_micro_batch_auto(const struct experiment *x, const struct backend *b)
{
    const uint64_t sequences = batch_sequences(x);
    uint64_t best = 1;
    for (uint64_t n = 2; n <= sequences && n * x->model.context <= TRAINER_AUTO_TOKENS; n++)
        if (sequences % n == 0 && model_bytes(&x->model, b, n, use_of(x)) <= TRAINER_AUTO_BYTES)
            best = n;
    return (uint32_t)best;
}

static uint32_t micro_batch_of(const struct experiment *x, const struct backend *b)
{
    return x->train.micro_batch ? x->train.micro_batch : trainer_micro_batch_auto(x, b);
}

size_t trainer_bytes(const struct experiment *x, const struct backend *b)
{
    return 4 * vector_bytes(x) + model_bytes(&x->model, b, micro_batch_of(x, b), use_of(x));
}

static enum err check(const struct experiment *x, const struct backend *b, const struct corpus *c,
                      struct why *w)
{
    assert(b->activation_bytes == (x->train.precision == PRECISION_BF16 ? 2 : 4));
    if (c->vocab > x->model.vocab)
        return why(
            w, ERR_USAGE,
            "%s: the corpus's tokenizer has %u tokens and model.vocab is %u: set it to at least %u",
            x->path, (unsigned)c->vocab, (unsigned)x->model.vocab, (unsigned)c->vocab);
    if (x->train.micro_batch > batch_sequences(x))
        return why(
            w, ERR_USAGE,
            "%s: train.micro_batch is %u, but a batch of %llu tokens has only %llu sequences",
            x->path, (unsigned)x->train.micro_batch, (unsigned long long)x->train.batch_tokens,
            (unsigned long long)batch_sequences(x));
    return ERR_OK;
}

/* Genesis: parameters from the seed, everything else zero. */
static enum err genesis(struct trainer *t, struct why *w)
{
    const struct layout *l = model_layout(t->model);
    float *block = malloc(INIT_BLOCK * sizeof(float));
    if (!block) return why(w, ERR_MEMORY, "no memory for the first parameters");
    for (size_t first = 0; first < l->parameters; first += INIT_BLOCK) {
        size_t left = l->parameters - first, count = left < INIT_BLOCK ? left : INIT_BLOCK;
        init_parameters(l, t->x->seed, first, count, block);
        t->b->upload(t->b->self, t->state.parameters + first, block, count * sizeof(float));
    }
    free(block);
    return ERR_OK;
}

enum err trainer_open(const struct experiment *x, const struct backend *b, const struct corpus *c,
                      const uint8_t identity[32], struct trainer **out, struct why *w)
{
    enum err e = check(x, b, c, w);
    if (e) return e;
    struct trainer *t = calloc(1, sizeof *t);
    if (!t) return why(w, ERR_MEMORY, "no memory for a trainer");
    *t = (struct trainer){.x = x, .b = b, .corpus = c, .micro_batch = micro_batch_of(x, b)};
    float **const vectors[] = {&t->state.parameters, &t->state.moment1, &t->state.moment2,
                               &t->gradients};
    t->tokens = malloc((size_t)t->micro_batch * (x->model.context + 1) * sizeof(uint32_t));
    if (!t->tokens) e = why(w, ERR_MEMORY, "no memory for a micro-batch");
    for (size_t i = 0; !e && i < sizeof vectors / sizeof vectors[0]; i++) {
        void *vector;
        e = b->take(b->self, vector_bytes(x), &vector, w);
        if (!e) *vectors[i] = vector;
    }
    for (size_t i = 0; !e && !b->host && i < TRAINER_VECTORS; i++) {
        t->copies[i] = malloc(vector_bytes(x));
        if (!t->copies[i]) e = why(w, ERR_MEMORY, "no memory for the host's copies of a model");
    }
    if (!e) e = sampler_init(&t->sampler, c, x->seed, identity, x->model.context, w);
    if (!e) {
        e = model_open(&t->model, &x->model, b, t->micro_batch, use_of(x), w);
        if (e == ERR_MEMORY)
            why_while(w, e, "set train.micro_batch lower or train.recompute to block");
    }
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
    void *const vectors[] = {t->state.parameters, t->state.moment1, t->state.moment2, t->gradients};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        if (vectors[i]) t->b->give(t->b->self, vectors[i], vector_bytes(t->x));
    for (size_t i = 0; i < TRAINER_VECTORS; i++) free(t->copies[i]);
    model_close(t->model);
    free(t->tokens);
    free(t);
}

/* Mean loss of the batch and its gradients, micro-batch after micro-batch. Moves the position on in any case. */
static enum err accumulate(struct trainer *t, double *loss, struct why *w)
{
    const uint64_t sequences = batch_sequences(t->x);
    const float scale = (float)(1.0 / (double)t->x->train.batch_tokens);
    const uint64_t first = t->state.position;
    double total = 0;
    t->state.position += sequences;
    t->state.tokens += t->x->train.batch_tokens;
    t->b->zero(t->b->self, t->gradients, vector_bytes(t->x));
    for (uint64_t done = 0; done < sequences;) {
        size_t count = t->micro_batch < sequences - done ? t->micro_batch : sequences - done;
        struct model_batch batch = {t->tokens, count, t->x->model.context};
        double sum;
        sampler_fill(&t->sampler, first + done, count, t->tokens);
        enum err e = model_loss_and_gradients(t->model, t->state.parameters, t->gradients, &batch,
                                              scale, &sum, w);
        if (e) return e;
        total += sum;
        done += count;
    }
    *loss = total / (double)t->x->train.batch_tokens;
    return ERR_OK;
}

static void update(struct trainer *t, double lr, double gradient_norm)
{
    const struct adamw_vectors v = {t->state.parameters, t->state.moment1, t->state.moment2,
                                    t->gradients, model_copies(t->model)};
    adamw_step(t->b, model_layout(t->model), t->x, &v, ++t->state.steps, lr, gradient_norm);
}

enum err trainer_step(struct trainer *t, double schedule_step, struct trainer_report *out,
                      struct why *w)
{
    struct trainer_report r = {.lr = schedule_lr(t->x, schedule_step),
                               .tokens = t->x->train.batch_tokens};
    enum err e = accumulate(t, &r.loss, w);
    if (!e)
        e = t->b->norm2(t->b->self, t->gradients, model_layout(t->model)->parameters,
                        &r.gradient_norm, w);
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
                   "raise data.validation or lower model.context",
                   t->x->path, (unsigned)context);
    uint64_t wanted = tokens_max / context;
    if (wanted == 0) wanted = 1;
    if (windows > wanted) windows = wanted;
    double total = 0;
    for (uint64_t done = 0; done < windows;) {
        size_t count = t->micro_batch < windows - done ? t->micro_batch : windows - done;
        for (size_t i = 0; i < count; i++)
            sampler_validation(t->corpus, context, done + i, t->tokens + i * (context + 1));
        double sum;
        enum err e = model_loss(t->model, t->state.parameters,
                                &(struct model_batch){t->tokens, count, context}, &sum, w);
        if (e) return e;
        total += sum;
        done += count;
    }
    *tokens_used = windows * context;
    *loss = total / (double)*tokens_used;
    return ERR_OK;
}

static float *vector_of(struct trainer *t, enum trainer_vector v)
{
    float *const vectors[] = {t->state.parameters, t->state.moment1, t->state.moment2};
    return vectors[v];
}

float *trainer_host(struct trainer *t, enum trainer_vector v)
{
    return t->b->host ? vector_of(t, v) : t->copies[v];
}

enum err trainer_pull(struct trainer *t, struct why *w)
{
    enum err e = ERR_OK;
    for (int v = 0; !e && !t->b->host && v < TRAINER_VECTORS; v++)
        e = t->b->download(t->b->self, t->copies[v], vector_of(t, v), vector_bytes(t->x), w);
    return e;
}

void trainer_push(struct trainer *t)
{
    for (int v = 0; !t->b->host && v < TRAINER_VECTORS; v++)
        t->b->upload(t->b->self, vector_of(t, v), t->copies[v], vector_bytes(t->x));
    trainer_parameters_changed(t);
}

void trainer_parameters_changed(struct trainer *t) { model_parameters_changed(t->model); }

struct trainer_state *trainer_state(struct trainer *t) { return &t->state; }
const struct layout *trainer_layout(const struct trainer *t) { return model_layout(t->model); }
const struct backend *trainer_backend(const struct trainer *t) { return t->b; }
uint32_t trainer_micro_batch(const struct trainer *t) { return t->micro_batch; }
