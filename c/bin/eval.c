/* eval.c -- `shoal eval`: how well a checkpoint's model predicts held-out text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "bin/command.h"
#include "data/corpus.h"
#include "data/sampler.h"
#include "node/checkpoint_model.h"

#define SEQUENCES 8 /* at once */

struct wishes {
    const char *checkpoint, *data;
    uint64_t tokens;
    bool json;
};

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    const struct option_row rows[] = {
        COMMAND_CHECKPOINT(&o->checkpoint),
        {"data", .text = &o->data, .value = "CORPUS", .help = "the corpus, a folder",
         .missing = "name the corpus: --data CORPUS"},
        {"tokens", .whole = &o->tokens, .least = 1, .most = UINT64_MAX, .value = "N",
         .help = "use at most N tokens", .otherwise = "all"},
        COMMAND_JSON(&o->json),
        {0}};
    struct options table = {.command = "shoal eval",
                            .about = "Loss (nats a token) and perplexity on the held-out part of "
                                     "a corpus.",
                            .rows = rows};
    o->tokens = UINT64_MAX;
    return command_options("eval", &table, argc, argv, code);
}

static enum err evaluate(struct checkpoint_model *l, const struct corpus *c, uint64_t tokens_max,
                         double *loss, uint64_t *tokens, struct why *w)
{
    uint32_t context = l->head.shape.context;
    uint64_t windows = sampler_validation_count(c, context), done = 0;
    if (windows > tokens_max / context) windows = tokens_max / context ? tokens_max / context : 1;
    uint32_t *rows = malloc((size_t)SEQUENCES * (context + 1) * sizeof *rows);
    if (!rows) return why(w, ERR_MEMORY, "no memory to evaluate");
    double sum = 0;
    enum err e = ERR_OK;
    while (done < windows && !e) {
        size_t n = windows - done < SEQUENCES ? (size_t)(windows - done) : SEQUENCES;
        for (size_t i = 0; i < n; i++)
            sampler_validation(c, context, done + i, rows + i * (context + 1));
        struct model_batch batch = {rows, n, context};
        double part;
        e = model_loss(l->model, l->parameters, &batch, &part, w);
        if (!e) sum += part;
        done += n;
    }
    free(rows);
    *tokens = done * context;
    *loss = sum / (double)*tokens;
    return e;
}

/* A checkpoint of `train` has steps and no epochs. */
static enum err print(const struct wishes *o, const struct checkpoint_model *l, double loss,
                      uint64_t tokens, struct why *w)
{
    static const uint8_t alone[CRYPTO_KEY_BYTES];
    bool of_swarm = memcmp(l->head.identity, alone, sizeof alone) != 0;
    if (o->json) {
        json_t *out = json_object();
        object_text(out, "checkpoint", l->path);
        object_f64(out, "loss", loss);
        object_f64(out, "perplexity", exp(loss));
        object_u64(out, "tokens", tokens);
        object_u64(out, "epoch", l->head.epoch);
        object_u64(out, "step", l->head.step);
        return object_print(out, w);
    }
    printf("loss %.6f nats a token, perplexity %.4f, on %llu tokens, after %s %llu\n", loss,
           exp(loss), (unsigned long long)tokens, of_swarm ? "epoch" : "step",
           (unsigned long long)(of_swarm ? l->head.epoch : l->head.step));
    return ERR_OK;
}

static enum err run(const struct wishes *o, struct checkpoint_model *l, struct corpus **c,
                    struct why *w)
{
    enum err e = checkpoint_model_open(l, o->checkpoint, SEQUENCES, w);
    if (!e) e = corpus_open(o->data, c, w);
    if (!e) e = checkpoint_model_check_tokenizer_file(l, (*c)->tokenizer, w);
    if (e) return e;
    if ((*c)->vocab > l->head.shape.vocab)
        return why(
            w, ERR_USAGE,
            "%s has a vocabulary of %u, the model one of %u: it was trained with another tokenizer",
            o->data, (*c)->vocab, l->head.shape.vocab);
    if (!sampler_validation_count(*c, l->head.shape.context))
        return why(w, ERR_USAGE, "%s holds out less text than the model's context of %u tokens",
                   o->data, l->head.shape.context);
    double loss;
    uint64_t tokens;
    e = evaluate(l, *c, o->tokens, &loss, &tokens, w);
    if (e) return e;
    return print(o, l, loss, tokens, w);
}

int eval_main(int argc, char **argv)
{
    struct why w = {0};
    struct wishes o = {0};
    struct checkpoint_model l = {0};
    struct corpus *c = NULL;
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    enum err e = run(&o, &l, &c, &w);
    if (c) corpus_close(c);
    checkpoint_model_close(&l);
    return e ? command_failed("eval", &w) : 0;
}
