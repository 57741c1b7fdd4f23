/* trainer_test.c -- inner training on a corpus that is prepared for the test. */
#include "small.h"

#include "config/schema.h"
#include "data/sampler.h"

struct fixture {
    struct corpus *corpus;
    struct device d;
    struct experiment x;
};

static struct fixture fixture_open(size_t threads)
{
    return (struct fixture){make_corpus(), device_make(threads), experiment_small()};
}
static void fixture_close(struct fixture *f)
{
    device_drop(&f->d);
    drop_corpus(f->corpus);
}

static struct trainer *trainer_of(struct fixture *f, const uint8_t identity[32])
{
    struct trainer *t;
    struct why w;
    cr_assert_eq(trainer_open(&f->x, &f->d.b, 1, f->corpus, identity, &t, &w), ERR_OK, "%s",
                 w.text);
    return t;
}

static double step(struct trainer *t, uint64_t at)
{
    struct trainer_report r;
    struct why w;
    cr_assert_eq(trainer_step(t, (double)at, &r, &w), ERR_OK, "%s", w.text);
    return r.loss;
}

TEST_EACH(trainer, learns_and_counts_what_it_read)
{
    struct fixture f = fixture_open(2);
    struct trainer *t = trainer_of(&f, nobody);
    struct trainer_report r;
    double first = step(t, 0);
    for (uint64_t i = 1; i < 59; i++) step(t, i);
    cr_assert_eq(trainer_step(t, 59, &r, NULL), ERR_OK);
    cr_assert_float_eq(first, log(272), 0.1); /* genesis knows nothing */
    cr_assert_lt(r.loss, 1.5, "loss %g", r.loss);
    cr_assert_eq(r.lr, 1e-2);
    cr_assert_eq(r.tokens, 192);
    cr_assert_eq(trainer_state(t)->steps, 60);
    cr_assert_eq(trainer_state(t)->position, 60 * 12);
    cr_assert_eq(trainer_state(t)->tokens, 60 * 192);
    trainer_close(t);
    fixture_close(&f);
}

static void go_on_from_a_saved_state(void)
{
    struct fixture f = fixture_open(2);
    struct trainer *whole = trainer_of(&f, nobody), *second;
    const size_t bytes = trainer_layout(whole)->parameters * sizeof(float);
    struct trainer_state *a = trainer_state(whole), *b;
    for (uint64_t i = 0; i < 5; i++) step(whole, i);
    second = trainer_of(&f, nobody);
    b = trainer_state(second);
    memcpy(b->parameters, a->parameters, bytes);
    memcpy(b->moment1, a->moment1, bytes);
    memcpy(b->moment2, a->moment2, bytes);
    b->steps = a->steps;
    b->position = a->position;
    b->tokens = a->tokens;
    for (uint64_t i = 5; i < 10; i++) cr_assert_eq(step(whole, i), step(second, i));
    cr_assert_eq(memcmp(a->parameters, b->parameters, bytes), 0);
    cr_assert_eq(memcmp(a->moment1, b->moment1, bytes), 0);
    cr_assert_eq(memcmp(a->moment2, b->moment2, bytes), 0);
    trainer_close(whole);
    trainer_close(second);
    fixture_close(&f);
}

TEST_EACH(trainer, goes_on_bit_for_bit_from_a_saved_state) { go_on_from_a_saved_state(); }

TEST_EACH(trainer, goes_on_bit_for_bit_in_bf16_too)
{
    device_bf16 = true;
    go_on_from_a_saved_state();
}

Test(trainer, learns_nothing_from_a_step_whose_loss_is_not_a_number)
{
    struct fixture f = fixture_open(1);
    struct trainer *t = trainer_of(&f, nobody);
    struct trainer_state *s = trainer_state(t);
    const size_t count = trainer_layout(t)->parameters, bytes = count * sizeof(float);
    struct trainer_report r;
    struct why w;
    step(t, 0);
    float *before = malloc(3 * bytes), *after = malloc(3 * bytes), kept = s->parameters[count - 1];
    s->parameters[count - 1] = INFINITY; /* a gain of the last norm */
    for (int i = 0; i < 2; i++) {
        float *to = i ? after : before;
        memcpy(to, s->parameters, bytes);
        memcpy(to + count, s->moment1, bytes);
        memcpy(to + 2 * count, s->moment2, bytes);
        if (i == 0) cr_assert_eq(trainer_step(t, 1, &r, &w), ERR_NUMBER);
    }
    cr_assert_eq(memcmp(before, after, 3 * bytes), 0);
    cr_assert_eq(s->steps, 1);
    cr_assert_eq(s->position, 24); /* other text next time */
    s->parameters[count - 1] = kept;
    step(t, 1);
    free(before), free(after);
    trainer_close(t);
    fixture_close(&f);
}

Test(trainer, gives_nearly_the_same_with_another_micro_batch)
{
    struct fixture f = fixture_open(1);
    struct trainer_report r[2][8];
    for (uint32_t i = 0; i < 2; i++) {
        f.x.train.micro_batch = i ? 5 : 12; /* 5 leaves a rest of 2 */
        struct trainer *t = trainer_of(&f, nobody);
        cr_assert_eq(trainer_micro_batch(t), f.x.train.micro_batch);
        for (int n = 0; n < 8; n++) cr_assert_eq(trainer_step(t, n, &r[i][n], NULL), ERR_OK);
        trainer_close(t);
    }
    for (int n = 0; n < 8; n++) {
        cr_assert_float_eq(r[0][n].loss / r[1][n].loss, 1, 1e-5);
        cr_assert_float_eq(r[0][n].gradient_norm / r[1][n].gradient_norm, 1, 1e-4);
    }
    fixture_close(&f);
}

Test(trainer, of_another_identity_reads_other_text)
{
    struct fixture f = fixture_open(1);
    const uint8_t somebody[32] = {1};
    struct trainer *a = trainer_of(&f, nobody), *b = trainer_of(&f, somebody);
    cr_assert_eq(memcmp(trainer_state(a)->parameters, trainer_state(b)->parameters,
                        trainer_layout(a)->parameters * sizeof(float)),
                 0);
    cr_assert_neq(step(a, 0), step(b, 0));
    trainer_close(a);
    trainer_close(b);
    fixture_close(&f);
}

Test(trainer, evaluates_held_out_windows_in_order_and_touches_nothing)
{
    struct fixture f = fixture_open(2);
    struct trainer *t = trainer_of(&f, nobody), *untouched = trainer_of(&f, nobody);
    struct model *m;
    const uint64_t windows = sampler_validation_count(f.corpus, 16);
    double loss, wanted = 0, again;
    uint64_t used;
    uint32_t tokens[17];
    cr_assert_gt(windows, 30);
    cr_assert_eq(trainer_evaluate(t, 29 * 16 + 15, &loss, &used, NULL), ERR_OK);
    cr_assert_eq(used, 29 * 16);
    cr_assert_eq(model_open(&m, &f.x.model, &f.d.b, 1, MODEL_READ, NULL, NULL, NULL), ERR_OK);
    for (uint64_t i = 0; i < 29; i++) {
        double sum;
        sampler_validation(f.corpus, 16, i, tokens);
        model_loss(m, trainer_state(t)->parameters, &(struct model_batch){tokens, 1, 16}, &sum,
                   NULL);
        wanted += sum / (29 * 16);
    }
    cr_assert_float_eq(loss / wanted, 1, 1e-6);
    cr_assert_eq(trainer_evaluate(t, 29 * 16, &again, &used, NULL), ERR_OK);
    cr_assert_eq(again, loss);
    cr_assert_eq(trainer_evaluate(t, 1, &again, &used, NULL), ERR_OK);
    cr_assert_eq(used, 16);
    cr_assert_eq(trainer_evaluate(t, UINT64_MAX, &again, &used, NULL), ERR_OK);
    cr_assert_eq(used, windows * 16);
    for (uint64_t i = 0; i < 3; i++) cr_assert_eq(step(t, i), step(untouched, i));
    model_close(m);
    trainer_close(t);
    trainer_close(untouched);
    fixture_close(&f);
}

static void refused(struct fixture *f, enum err kind, const char *says)
{
    struct trainer *t;
    struct why w;
    cr_assert_eq(trainer_open(&f->x, &f->d.b, 1, f->corpus, nobody, &t, &w), kind);
    cr_assert_not_null(strstr(w.text, says), "%s", w.text);
    f->x = experiment_small();
}

Test(trainer, refuses_what_cannot_be_with_one_sentence)
{
    struct fixture f = fixture_open(1);
    f.x.model.vocab = 260;
    refused(&f, ERR_USAGE, "set it to at least 270");
    f.x.train.micro_batch = 13;
    refused(&f, ERR_USAGE, "has only 12 sequences");
    f.x.model.context = 1 << 14;
    f.x.train.batch_tokens = 1 << 14;
    refused(&f, ERR_USAGE, "");
    fixture_close(&f);
}

Test(trainer, picks_a_micro_batch_that_divides_the_batch)
{
    struct device d = device_make(1);
    struct experiment x = experiment_small();
    cr_assert_eq(budget_micro_batch(&x, &d.b, 1), 12);
    x.train.batch_tokens = 3 * 4096;
    cr_assert_eq(budget_micro_batch(&x, &d.b, 1), 256);
    x.train.batch_tokens = 257 * 16;
    cr_assert_eq(budget_micro_batch(&x, &d.b, 1), 1);
    x.model.context = 8192;
    x.train.batch_tokens = 4 * 8192;
    cr_assert_eq(budget_micro_batch(&x, &d.b, 1), 1);
    device_drop(&d);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif

/* 103 million parameters: genesis, and a step on one sequence with the loss of a model that knows
 * nothing, ln 32000. */
Test(trainer, loads_the_60m_preset_and_takes_a_step)
{
#ifdef UNDER_SANITIZER
    cr_skip_test(
        "the sanitizers' shadow of 1.7 GB is too slow; the small models run the same code");
#endif
    struct fixture f = fixture_open(2);
    for (const struct schema_preset *p = schema_presets; p->name; p++)
        if (!strcmp(p->name, "60m")) f.x.model = p->shape;
    f.x.model.context = 64;
    f.x.model.rope_theta = 10000;
    f.x.model.rms_eps = 1e-5;
    f.x.train.batch_tokens = 64;
    f.x.train.optimizer.lr = 1e-3;
    struct trainer *t = trainer_of(&f, nobody);
    const struct layout *l = trainer_layout(t);
    const float *p = trainer_state(t)->parameters, gain = p[l->parameters - 1];
    cr_assert_eq(l->parameters, 102898688);
    cr_assert_float_eq(step(t, 0), log(32000), 0.3);
    /* AdamW's first step moves what has a gradient by lr, a little less where the gradient is as
     * small as eps. */
    const double moved = fabs(p[l->parameters - 1] - gain);
    cr_assert(moved > 5e-4 && moved < 1.001e-3, "moved by %g", moved);
    trainer_close(t);
    fixture_close(&f);
}
