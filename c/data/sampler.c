#include "data/sampler.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/rng.h"

/* Four make a Feistel network of random functions a strong permutation (Luby, Rackoff, 1988). */
#define ROUNDS 6

/* Streams of one pass: the turn of the ring, then a key for each round of the permutation. */
enum { STREAM_TURN, STREAM_ROUND };

enum err sampler_init(struct sampler *s, const struct corpus *corpus, uint64_t seed,
                      const uint8_t identity[SAMPLER_IDENTITY_BYTES], uint32_t context,
                      struct why *w)
{
    assert(context > 0);
    static const char *const names[] = {"training", "validation"};
    for (int i = 0; i < CORPUS_SPLITS; i++)
        if (corpus->tokens[i] <= context)
            return why(
                w, ERR_USAGE,
                "the corpus has %llu %s tokens, a sequence of context %u needs %u: prepare more "
                "text or lower model.context",
                (unsigned long long)corpus->tokens[i], names[i], context, context + 1);
    *s = (struct sampler){.corpus = corpus,
                          .context = context,
                          .windows = corpus->tokens[CORPUS_TRAIN] / context,
                          .key = seed};
    struct reader r = reader_init(bytes_of(identity, SAMPLER_IDENTITY_BYTES));
    for (uint64_t i = 0; reader_left(&r); i++) s->key = rng_at(s->key ^ reader_u64(&r), i);
    return ERR_OK;
}

/* Maps `index` of [0, count) by the bijection of [0, count) that belongs to `key`. */
static uint64_t permute(uint64_t key, uint64_t count, uint64_t index)
{
    unsigned half = 0;
    while (half < 32 && count > 1ull << 2 * half) half++;
    uint64_t mask = (1ull << half) - 1;
    do {
        uint64_t left = index >> half, right = index & mask;
        for (uint64_t i = 0; i < ROUNDS; i++) {
            uint64_t next = left ^ (rng_at(rng_at(key, STREAM_ROUND + i), right) & mask);
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= count); /* ends: a bijection returns to [0, count) when iterated from there */
    return index;
}

static void fill_one(const struct sampler *s, uint64_t position, uint32_t *tokens)
{
    uint64_t ring = s->corpus->tokens[CORPUS_TRAIN];
    uint64_t key = rng_at(s->key, position / s->windows); /* of the pass */
    struct rng turn = rng_init(rng_at(key, STREAM_TURN));
    uint64_t window = permute(key, s->windows, position % s->windows);
    uint64_t first = rng_below(&turn, ring) + window * s->context;
    if (first >= ring) first -= ring;
    size_t count = (size_t)s->context + 1;
    size_t left = ring - first < count ? (size_t)(ring - first) : count;
    corpus_tokens(s->corpus, CORPUS_TRAIN, first, left, tokens);
    corpus_tokens(s->corpus, CORPUS_TRAIN, 0, count - left, tokens + left);
}

void sampler_fill(const struct sampler *s, uint64_t position, size_t sequences, uint32_t *tokens)
{
    for (size_t i = 0; i < sequences; i++)
        fill_one(s, position + i, tokens + i * ((size_t)s->context + 1));
}

uint64_t sampler_validation_count(const struct corpus *corpus, uint32_t context)
{
    uint64_t n = corpus->tokens[CORPUS_VALIDATION];
    return n ? (n - 1) / context : 0;
}

void sampler_validation(const struct corpus *corpus, uint32_t context, uint64_t index,
                        uint32_t *tokens)
{
    assert(index < sampler_validation_count(corpus, context));
    corpus_tokens(corpus, CORPUS_VALIDATION, index * context, (size_t)context + 1, tokens);
}
