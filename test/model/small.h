/* small.h -- a corpus that is prepared for the test, an experiment small enough to train on it, and
 * trainers of it. */
#ifndef SHOAL_TEST_MODEL_SMALL_H
#define SHOAL_TEST_MODEL_SMALL_H

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/corpus.h"
#include "data/prepare.h"
#include "golden.h"
#include "model/budget.h"
#include "model/trainer.h"
#include "test/folder.h"

#define SMALL_FILES 40

/* SMALL_FILES texts of 300 words each that a bigram model could learn, and the corpus made of
 * them. */
static inline struct corpus *make_corpus(void)
{
    static const char *const words[] = {"the ", "sea ", "is ",   "wide ",  "and ",    "ships ",
                                        "go ",  "far ", "over ", "water ", "slowly ", "home "};
    static char names[SMALL_FILES][96];
    const char *texts[SMALL_FILES];
    struct rng rng = rng_init(3);
    struct manifest m;
    struct corpus *c;
    struct why w;
    char out[96];
    folder_make();
    for (size_t i = 0; i < SMALL_FILES; i++) {
        snprintf(names[i], sizeof names[i], "%s/%zu.txt", folder, i);
        texts[i] = names[i];
        FILE *f = fopen(names[i], "w");
        size_t at = 0;
        for (int n = 0; n < 300; n++) {
            at = (at + 1 + rng_below(&rng, 2)) % (sizeof words / sizeof words[0]);
            fputs(words[at], f);
        }
        fclose(f);
    }
    snprintf(out, sizeof out, "%s/corpus", folder);
    struct prepare p = {.texts = texts,
                        .text_count = SMALL_FILES,
                        .out = out,
                        .vocab = 270,
                        .validation = 0.2,
                        .threads = 1,
                        .program = "test"};
    cr_assert_eq(prepare_run(&p, &m, &w), ERR_OK, "%s", w.text);
    manifest_fini(&m);
    cr_assert_eq(corpus_open(out, &c, &w), ERR_OK, "%s", w.text);
    return c;
}

static inline void drop_corpus(struct corpus *c)
{
    corpus_close(c);
    folder_drop();
}

static inline void optimizer_small(struct experiment *x)
{
    x->train.optimizer.lr = 1e-2;
    x->train.optimizer.beta1 = 0.9;
    x->train.optimizer.beta2 = 0.95;
    x->train.optimizer.eps = 1e-8;
    x->train.optimizer.weight_decay = 0.1;
    x->train.optimizer.clip = 1;
}

static inline struct experiment experiment_small(void)
{
    struct experiment x = {.path = "small.yaml", .seed = 5};
    x.model = (struct model_shape){.layers = 2,
                                   .dim = 32,
                                   .heads = 4,
                                   .kv_heads = 2,
                                   .ffn = 48,
                                   .vocab = 272,
                                   .context = 16,
                                   .rope_theta = 10000,
                                   .rms_eps = 1e-5};
    x.train.steps = 60;
    x.train.batch_tokens = 12 * 16;
    optimizer_small(&x);
    x.train.schedule.kind = SCHEDULE_CONSTANT;
    x.train.precision = device_bf16 ? PRECISION_BF16 : PRECISION_FP32;
    return x;
}

static const uint8_t nobody[32];

#endif
