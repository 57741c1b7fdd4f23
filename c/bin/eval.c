/* eval.c -- `shoal eval`: how well a checkpoint's model predicts held-out text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/command.h"
#include "bin/loaded.h"
#include "data/corpus.h"
#include "data/sampler.h"

static const char usage[] = "usage: shoal eval CHECKPOINT --data CORPUS [--tokens N] [--json]\n"
                            "\n"
                            "Loss (nats a token) and perplexity on the held-out part of CORPUS. "
                            "CHECKPOINT is a file, or a folder whose\n"
                            "newest is taken.\n"
                            "\n"
                            "  --tokens N   use at most N tokens; default all\n"
                            "  --json       print a JSON object\n";

#define SEQUENCES 8 /* at once */

struct options {
    const char *checkpoint, *data;
    uint64_t tokens;
    bool json;
};

static enum err parse(int argc, char **argv, struct options *o, struct why *w)
{
    o->tokens = UINT64_MAX;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        char *end = NULL;
        if (!strcmp(a, "--json")) o->json = true;
        else if (!strcmp(a, "--data") && value) o->data = argv[++i];
        else if (!strcmp(a, "--tokens")) {
            o->tokens = value && *value != '-' ? strtoull(value, &end, 10) : 0;
            if (!o->tokens || *end)
                return why(w, ERR_USAGE, "--tokens needs a whole number above 0");
            i++;
        } else if (a[0] == '-' || o->checkpoint)
            return why(w, ERR_USAGE, "'%s' is not understood; see shoal eval --help", a);
        else o->checkpoint = a;
    }
    if (!o->checkpoint) return why(w, ERR_USAGE, "name a checkpoint; see shoal eval --help");
    return o->data ? ERR_OK : why(w, ERR_USAGE, "name the corpus: --data CORPUS");
}

static enum err evaluate(struct loaded *l, const struct corpus *c, uint64_t tokens_max,
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

static enum err run(const struct options *o, struct loaded *l, struct corpus **c, struct why *w)
{
    enum err e = loaded_open(l, o->checkpoint, SEQUENCES, w);
    if (!e) e = corpus_open(o->data, c, w);
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
    const char *form =
        o->json ? "{\"loss\": %.6f, \"perplexity\": %.4f, \"tokens\": %llu, \"epoch\": %llu}\n"
                : "loss %.6f nats a token, perplexity %.4f, on %llu tokens, after epoch %llu\n";
    printf(form, loss, exp(loss), (unsigned long long)tokens, (unsigned long long)l->head.epoch);
    return ERR_OK;
}

int eval_main(int argc, char **argv)
{
    if (command_help(argc, argv, usage)) return 0;
    struct why w = {0};
    struct options o = {0};
    struct loaded l = {0};
    struct corpus *c = NULL;
    enum err e = parse(argc, argv, &o, &w);
    if (!e) e = run(&o, &l, &c, &w);
    if (c) corpus_close(c);
    loaded_close(&l);
    return e ? command_failed("eval", &w) : 0;
}
