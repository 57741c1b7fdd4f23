/* generate.c -- `shoal generate`: text from a checkpoint's model, the same for the same seed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "base/rng.h"
#include "base/whole.h"
#include "bin/command.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include "node/checkpoint_model.h"

struct wishes {
    const char *checkpoint, *prompt, *data;
    uint64_t tokens, top_k, seed;
    double temperature, top_p;
    bool json;
};

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    *o = (struct wishes){.tokens = 64, .top_k = 40, .seed = 1, .temperature = 0.8, .top_p = 1};
    const struct option_row rows[] = {
        COMMAND_CHECKPOINT(&o->checkpoint),
        {"PROMPT", .argument = true, .text = &o->prompt, .empty = true,
         .missing = "give a prompt behind the checkpoint"},
        {"tokens", .whole = &o->tokens, .least = 1, .most = 1000000, .value = "N",
         .help = "how many tokens at most; it ends before at an end of text"},
        {"temperature", .real = &o->temperature, .low = 0, .high = 100, .value = "T",
         .help = "0 takes the likeliest token each time"},
        {"top-k", .whole = &o->top_k, .least = 1, .most = 1000000, .value = "K",
         .help = "draw from the K likeliest"},
        {"top-p", .real = &o->top_p, .low = 0, .high = 1, .value = "P",
         .help = "and of these from the fewest that have a probability of P together"},
        {"seed", .whole = &o->seed, .least = 0, .most = UINT64_MAX, .value = "S",
         .help = "another seed, another text"},
        {"data", .text = &o->data, .value = "CORPUS",
         .help = "take the tokenizer from there, instead of where the run had it"},
        COMMAND_JSON(&o->json),
        {0}};
    struct options table = {.command = "shoal generate",
                            .about = "Goes on with PROMPT; of one longer than the model's context, "
                                     "with its end. When the context is full the model sees its "
                                     "newer half. Write -- before a prompt that begins with a "
                                     "dash.",
                            .rows = rows};
    return command_options("generate", &table, argc, argv, code);
}

struct candidate {
    float logit;
    uint32_t id;
};

static bool likelier(struct candidate a, struct candidate b)
{
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

static int by_likelihood(const void *a, const void *b)
{
    return likelier(*(const struct candidate *)a, *(const struct candidate *)b) ? -1 : 1;
}

/* The k likeliest in order, in `room` of at least `count`: by insertion for small k, because
 * sorting a whole vocabulary takes longer than running a small model. */
static void find_likeliest(const float *logits, size_t count, size_t k, struct candidate *room)
{
    if (k > 256) {
        for (size_t i = 0; i < count; i++) room[i] = (struct candidate){logits[i], (uint32_t)i};
        qsort(room, count, sizeof *room, by_likelihood);
        return;
    }
    for (size_t i = 0, n = 0; i < count; i++) {
        struct candidate x = {logits[i], (uint32_t)i};
        if (n == k && !likelier(x, room[k - 1])) continue;
        size_t at = n < k ? n++ : k - 1;
        for (; at > 0 && likelier(x, room[at - 1]); at--) room[at] = room[at - 1];
        room[at] = x;
    }
}

/* How many of the k likeliest together have top_p of their probability; at least 1. */
static size_t nucleus(const double *weights, size_t k, double sum, double top_p)
{
    double have = 0;
    size_t n = 0;
    while (n < k && (n == 0 || have < top_p * sum)) have += weights[n++];
    return n;
}

/* Draws from the softmax over the top_k likeliest at this temperature, restricted to top_p. */
static uint32_t draw(const float *logits, size_t count, const struct wishes *o,
                     struct candidate *room, double *weights, struct rng *chance)
{
    size_t k = o->temperature == 0 ? 1 : (size_t)min_u64(o->top_k, count);
    find_likeliest(logits, count, k, room);
    if (k == 1) return room[0].id;
    double sum = 0, all = 0;
    for (size_t i = 0; i < k; i++)
        sum += weights[i] = exp((room[i].logit - room[0].logit) / o->temperature);
    size_t n = o->top_p < 1 ? nucleus(weights, k, sum, o->top_p) : k;
    for (size_t i = 0; i < n; i++) all += weights[i];
    double left = rng_unit(chance) * all;
    for (size_t i = 0; i < n; i++) {
        left -= weights[i];
        if (left < 0) return room[i].id;
    }
    return room[n - 1].id;
}

/* Prints the complete characters in `held`; a prefix that later bytes may complete stays there.
 * Leading bytes are C2 .. F4 (RFC 3629). */
static void print_whole(FILE *to, uint8_t held[4], size_t *held_count)
{
    while (*held_count) {
        uint8_t out[4];
        size_t length;
        uint32_t c = utf8_next(held, *held_count, &length);
        bool lead = held[0] >= 0xc2 && held[0] <= 0xf4;
        if (c == UTF8_INVALID && length == *held_count && lead) return;
        fwrite(out, 1, utf8_write(c == UTF8_INVALID ? UTF8_REPLACEMENT : c, out), to);
        *held_count -= length;
        memmove(held, held + length, *held_count);
    }
}

/* A token may begin or end within a character, and hold invalid bytes. */
static void print_token(FILE *to, struct bytes token, uint8_t held[4], size_t *held_count)
{
    for (size_t i = 0; i < token.count; i++) {
        held[(*held_count)++] = token.data[i];
        print_whole(to, held, held_count);
    }
    fflush(to);
}

/* The text so far, as much of it as the model sees. */
struct window {
    uint32_t *ids;
    size_t count, context;
};

/* Appends a token; a full window keeps its newer half, which the model processes again. */
static enum err feed_next(struct checkpoint_model *l, struct window *v, uint32_t next,
                          float *logits, struct why *w)
{
    if (v->count < v->context) {
        v->ids[v->count++] = next;
        return model_feed(l->model, l->parameters, &next, 1, logits, w);
    }
    size_t kept = v->context / 2;
    memmove(v->ids, v->ids + v->count - kept, kept * sizeof *v->ids);
    v->ids[kept] = next;
    v->count = kept + 1;
    model_restart(l->model);
    return model_feed(l->model, l->parameters, v->ids, v->count, logits, w);
}

/* Prints the continuation of the prompt; `made`: number of tokens. */
static enum err go_on(struct checkpoint_model *l, struct tokenizer *t, const struct wishes *o,
                      struct window *v, FILE *to, uint64_t *made, struct why *w)
{
    size_t vocab = l->head.shape.vocab, held_count = 0;
    float *logits = malloc(vocab * sizeof *logits);
    double *weights = malloc(vocab * sizeof *weights);
    struct candidate *room = malloc(vocab * sizeof *room);
    struct rng chance = rng_init(o->seed);
    uint8_t held[4];
    enum err e = logits && weights && room ? ERR_OK : why(w, ERR_MEMORY, "no memory to generate");
    if (!e) e = model_feed(l->model, l->parameters, v->ids, v->count, logits, w);
    for (*made = 0; *made < o->tokens && !e; ++*made) {
        uint32_t next = draw(logits, tokenizer_vocab(t), o, room, weights, &chance);
        if (next == tokenizer_end_of_text(t)) break;
        print_token(to, tokenizer_token(t, next), held, &held_count);
        if (*made + 1 < o->tokens) e = feed_next(l, v, next, logits, w);
    }
    free(room);
    free(weights);
    free(logits);
    return e;
}

static enum err print_text(struct checkpoint_model *l, struct tokenizer *t, const struct wishes *o,
                           struct window *v, struct why *w)
{
    uint64_t made;
    fputs(o->prompt, stdout);
    enum err e = go_on(l, t, o, v, stdout, &made, w);
    putchar('\n');
    return e;
}

static enum err print_json(struct checkpoint_model *l, struct tokenizer *t, const struct wishes *o,
                           struct window *v, struct why *w)
{
    uint64_t made = 0;
    const size_t prompt = v->count;
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    if (!to) return why(w, ERR_MEMORY, "no memory for the text");
    enum err e = go_on(l, t, o, v, to, &made, w);
    fclose(to);
    if (!e) {
        json_t *out = json_object();
        object_text(out, "checkpoint", l->path);
        object_text(out, "prompt", o->prompt);
        object_text(out, "text", text);
        object_u64(out, "prompt_tokens", prompt);
        object_u64(out, "tokens", made);
        object_u64(out, "seed", o->seed);
        e = object_print(out, w);
    }
    free(text);
    return e;
}

static enum err run(const struct wishes *o, struct checkpoint_model *l, struct tokenizer **t,
                    struct why *w)
{
    char path[EXPERIMENT_PATH_BYTES + 32];
    enum err e = checkpoint_model_open(l, o->checkpoint, 1, w);
    if (e) return e;
    snprintf(path, sizeof path, "%s/tokenizer.json", o->data ? o->data : l->head.corpus);
    e = tokenizer_read(path, t, w);
    if (e)
        return o->data ? e : why_while(w, e, "finding the tokenizer (name its corpus with --data)");
    e = checkpoint_model_check_tokenizer_file(l, path, w);
    if (e) return e;
    if (tokenizer_vocab(*t) > l->head.shape.vocab)
        return why(w, ERR_USAGE, "%s is not the tokenizer that this model was trained with", path);
    size_t count = strlen(o->prompt), context = l->head.shape.context;
    uint32_t *ids = malloc((count + 1 + context) * sizeof *ids);
    if (!ids) return why(w, ERR_MEMORY, "no memory for the prompt");
    ids[0] = tokenizer_end_of_text(*t); /* as a document of the training text begins */
    e = tokenizer_encode(*t, NULL, bytes_of(o->prompt, count), ids + 1, &count, w);
    struct window v = {ids, count + 1, context};
    if (!e && v.count > context) {
        fprintf(stderr,
                "shoal generate: the prompt has %zu tokens and the model sees %zu: it goes on from "
                "the last of them\n",
                count, context);
        memmove(ids, ids + v.count - context, context * sizeof *ids);
        v.count = context;
    }
    if (!e) e = (o->json ? print_json : print_text)(l, *t, o, &v, w);
    free(ids);
    return e;
}

int generate_main(int argc, char **argv)
{
    struct why w = {0};
    struct wishes o;
    struct checkpoint_model l = {0};
    struct tokenizer *t = NULL;
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    enum err e = run(&o, &l, &t, &w);
    if (t) tokenizer_close(t);
    checkpoint_model_close(&l);
    return e ? command_failed("generate", &w) : 0;
}
