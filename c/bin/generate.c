/* generate.c -- `shoal generate`: text from a checkpoint's model, the same for the same seed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "bin/command.h"
#include "bin/loaded.h"
#include "data/tokenizer.h"
#include "data/utf8.h"

struct wishes {
    const char *checkpoint, *prompt, *data;
    uint64_t tokens, top_k, seed;
    double temperature;
};

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    *o = (struct wishes){.tokens = 64, .top_k = 40, .seed = 1, .temperature = 0.8};
    const struct option_row rows[] = {
        COMMAND_CHECKPOINT(&o->checkpoint),
        {"PROMPT", .argument = true, .text = &o->prompt, .empty = true,
         .missing = "give a prompt behind the checkpoint"},
        {"tokens", .whole = &o->tokens, .least = 1, .most = 1000000, .value = "N",
         .help = "how many tokens at most; it ends before at an end of text, or a full context"},
        {"temperature", .real = &o->temperature, .low = 0, .high = 100, .value = "T",
         .help = "0 takes the likeliest token each time"},
        {"top-k", .whole = &o->top_k, .least = 1, .most = 1000000, .value = "K",
         .help = "draw from the K likeliest"},
        {"seed", .whole = &o->seed, .least = 0, .most = UINT64_MAX, .value = "S",
         .help = "another seed, another text"},
        {"data", .text = &o->data, .value = "CORPUS",
         .help = "take the tokenizer from there, instead of where the run had it"},
        {0}};
    struct options table = {.command = "shoal generate",
                            .about = "Goes on with PROMPT. Write -- before a prompt that begins "
                                     "with a dash.",
                            .rows = rows};
    return command_options("generate", &table, argc, argv, code);
}

struct candidate {
    float logit;
    uint32_t id;
};

static int likelier(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Draws from the softmax over the top_k likeliest at this temperature; `room` holds `count` candidates. */
static uint32_t draw(const float *logits, size_t count, const struct wishes *o,
                     struct candidate *room, struct rng *chance)
{
    for (size_t i = 0; i < count; i++) room[i] = (struct candidate){logits[i], (uint32_t)i};
    qsort(room, count, sizeof *room, likelier);
    if (o->temperature == 0) return room[0].id;
    size_t k = o->top_k < count ? (size_t)o->top_k : count;
    double sum = 0;
    for (size_t i = 0; i < k; i++) sum += exp((room[i].logit - room[0].logit) / o->temperature);
    double left = rng_unit(chance) * sum;
    for (size_t i = 0; i < k; i++) {
        left -= exp((room[i].logit - room[0].logit) / o->temperature);
        if (left < 0) return room[i].id;
    }
    return room[k - 1].id;
}

/* Prints what is whole in `held`; a start that later bytes may complete stays there. Leads are C2 .. F4 (RFC 3629). */
static void print_whole(uint8_t held[4], size_t *held_count)
{
    while (*held_count) {
        uint8_t out[4];
        size_t length;
        uint32_t c = utf8_next(held, *held_count, &length);
        bool lead = held[0] >= 0xc2 && held[0] <= 0xf4;
        if (c == UTF8_INVALID && length == *held_count && lead) return;
        fwrite(out, 1, utf8_write(c == UTF8_INVALID ? UTF8_REPLACEMENT : c, out), stdout);
        *held_count -= length;
        memmove(held, held + length, *held_count);
    }
}

/* A token may begin or end within a character, and hold bytes that are none. */
static void print_token(struct bytes token, uint8_t held[4], size_t *held_count)
{
    for (size_t i = 0; i < token.count; i++) {
        held[(*held_count)++] = token.data[i];
        print_whole(held, held_count);
    }
    fflush(stdout);
}

static enum err go_on(struct loaded *l, struct tokenizer *t, const struct wishes *o,
                      const uint32_t *prompt, size_t count, struct why *w)
{
    size_t vocab = l->head.shape.vocab, context = l->head.shape.context, held_count = 0;
    float *logits = malloc(vocab * sizeof *logits);
    struct candidate *room = malloc(vocab * sizeof *room);
    struct rng chance = rng_init(o->seed);
    uint8_t held[4];
    enum err e = logits && room ? ERR_OK : why(w, ERR_MEMORY, "no memory to generate");
    if (!e) e = model_feed(l->model, l->parameters, prompt, count, logits, w);
    fputs(o->prompt, stdout);
    for (uint64_t i = 0; i < o->tokens && !e; i++) {
        uint32_t next = draw(logits, tokenizer_vocab(t), o, room, &chance);
        if (next == tokenizer_end_of_text(t)) break;
        print_token(tokenizer_token(t, next), held, &held_count);
        if (model_fed(l->model) == context) break;
        e = model_feed(l->model, l->parameters, &next, 1, logits, w);
    }
    putchar('\n');
    free(room);
    free(logits);
    return e;
}

static enum err run(const struct wishes *o, struct loaded *l, struct tokenizer **t, struct why *w)
{
    char path[EXPERIMENT_PATH_BYTES + 32];
    enum err e = loaded_open(l, o->checkpoint, 1, w);
    if (e) return e;
    snprintf(path, sizeof path, "%s/tokenizer.json", o->data ? o->data : l->head.corpus);
    e = tokenizer_read(path, t, w);
    if (e)
        return o->data ? e : why_while(w, e, "finding the tokenizer (name its corpus with --data)");
    if (tokenizer_vocab(*t) > l->head.shape.vocab)
        return why(w, ERR_USAGE, "%s is not the tokenizer that this model was trained with", path);
    size_t count = strlen(o->prompt);
    uint32_t *ids = malloc((count + 1) * sizeof *ids);
    if (!ids) return why(w, ERR_MEMORY, "no memory for the prompt");
    ids[0] = tokenizer_end_of_text(*t); /* as a document of the training text begins */
    e = tokenizer_encode(*t, NULL, bytes_of(o->prompt, count), ids + 1, &count, w);
    if (!e && count + 1 > l->head.shape.context)
        e = why(w, ERR_USAGE,
                "the prompt has %zu tokens, more than the model's context of %u less one", count,
                l->head.shape.context);
    if (!e) e = go_on(l, *t, o, ids, count + 1, w);
    free(ids);
    return e;
}

int generate_main(int argc, char **argv)
{
    struct why w = {0};
    struct wishes o;
    struct loaded l = {0};
    struct tokenizer *t = NULL;
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    enum err e = run(&o, &l, &t, &w);
    if (t) tokenizer_close(t);
    loaded_close(&l);
    return e ? command_failed("generate", &w) : 0;
}
