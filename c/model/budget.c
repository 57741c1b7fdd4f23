#include "model/budget.h"

#include <stdio.h>

#include "base/whole.h"
#include "model/layout.h"

size_t budget_of_gpu(size_t memory)
{
    const size_t kept = memory / 16;
    return memory - (kept < ((size_t)1 << 30) ? kept : (size_t)1 << 30);
}

enum model_use budget_use(enum recompute r)
{
    static const enum model_use uses[] = {MODEL_TRAIN, MODEL_TRAIN_BLOCK};
    return uses[r];
}

bool budget_at_once(const struct experiment *x, size_t ranks, uint32_t micro_batch)
{
    return experiment_batch_sequences(x) <= ranks * micro_batch;
}

size_t budget_bytes(const struct experiment *x, const struct backend *b, size_t ranks,
                    enum recompute r, uint32_t micro_batch)
{
    return 4 * layout_of(&x->model).parameters * sizeof(float) +
           model_bytes(&x->model, b, micro_batch, budget_use(r),
                       budget_at_once(x, ranks, micro_batch));
}

/* The busiest rank, which the others wait for, has at most a sixteenth more work than necessary. */
static bool is_even(uint64_t sequences, uint64_t micro_batch, size_t ranks)
{
    const uint64_t most = ceil_div(ceil_div(sequences, micro_batch), ranks) * micro_batch;
    return most * 16 <= ceil_div(sequences, ranks) * 17;
}

/* May a micro-batch have this many sequences, with at most `tokens` tokens? One is always
 * allowed. */
static bool divides(const struct experiment *x, uint64_t n, size_t ranks, uint64_t tokens)
{
    const uint64_t sequences = experiment_batch_sequences(x);
    return n == 1 || (n * x->model.context <= tokens && n * ranks <= sequences &&
                      sequences % n == 0 && is_even(sequences, n, ranks));
}

/* The largest allowed micro-batch that fits into `bytes`, up to `most`; 0: none. */
static uint32_t largest(const struct experiment *x, const struct backend *b, enum recompute r,
                        size_t ranks, uint64_t tokens, uint64_t most, size_t bytes)
{
    for (uint64_t n = most; n >= 1; n--)
        if (divides(x, n, ranks, tokens) && budget_bytes(x, b, ranks, r, (uint32_t)n) <= bytes)
            return (uint32_t)n;
    return 0;
}

uint32_t budget_micro_batch(const struct experiment *x, const struct backend *b, size_t ranks)
{
    if (x->train.micro_batch) return x->train.micro_batch;
    const uint64_t tokens = b->host ? BUDGET_TOKENS_HOST : BUDGET_TOKENS_GPU;
    const size_t vectors = 4 * layout_of(&x->model).parameters * sizeof(float);
    const size_t bytes =
        b->memory ? budget_of_gpu(b->memory(b->self)) : vectors + BUDGET_BYTES_HOST;
    const uint64_t most = tokens / x->model.context;
    const uint32_t n = largest(x, b, x->train.recompute, ranks, tokens, most, bytes);
    return n ? n : 1;
}

bool budget_fit(const struct experiment *x, const struct backend *b, size_t ranks, size_t bytes,
                struct budget *out)
{
    const uint64_t most =
        x->train.micro_batch ? x->train.micro_batch : BUDGET_TOKENS_GPU / x->model.context;
    const uint64_t enough = ceil_div(BUDGET_TOKENS_HOST, x->model.context);
    *out = (struct budget){0};
    for (int r = (int)x->train.recompute; r <= RECOMPUTE_BLOCK; r++) {
        const uint32_t n =
            largest(x, b, (enum recompute)r, ranks, BUDGET_TOKENS_GPU, most ? most : 1, bytes);
        if (n > out->micro_batch)
            *out = (struct budget){(enum recompute)r, n,
                                   budget_bytes(x, b, ranks, (enum recompute)r, n)};
        if (n >= enough || n == most) break;
    }
    return out->micro_batch > 0;
}

/* "19.5 GiB", "700.0 MiB" */
static const char *size_text(size_t bytes, char out[24])
{
    const bool large = bytes >= (size_t)1 << 30;
    snprintf(out, 24, "%.1f %s", (double)bytes / (large ? 0x1p30 : 0x1p20), large ? "GiB" : "MiB");
    return out;
}

enum err budget_check_host(const struct experiment *x, const struct backend *b, size_t ranks,
                           uint64_t others, uint64_t room, struct why *w)
{
    const uint64_t vectors = layout_of(&x->model).parameters * sizeof(float);
    const uint32_t n = budget_micro_batch(x, b, ranks);
    const uint64_t training =
        b->host ? budget_bytes(x, b, ranks, x->train.recompute, n) : 3 * vectors;
    char all[24], needs[24], rest[24], has[24], remedy[160] = "take a smaller model";
    struct budget fit;
    if (training + others <= room) return ERR_OK;
    if (b->host && room > others && budget_fit(x, b, ranks, (size_t)(room - others), &fit))
        snprintf(remedy, sizeof remedy, "set train.recompute to %s and train.micro_batch to %u",
                 recompute_word(fit.recompute), (unsigned)fit.micro_batch);
    return why(w, ERR_MEMORY,
               "%s: a worker takes %s of memory (training %s, anchor, averaging and transfer %s), "
               "and this machine (or its container, or ulimit -v) has %s left: %s, or give it "
               "more memory",
               x->path, size_text(training + others, all), size_text(training, needs),
               size_text(others, rest), size_text(room, has), remedy);
}

enum err budget_check(const struct experiment *x, const struct backend *b, size_t ranks,
                      size_t memory, const char *device, struct why *w)
{
    const size_t room = budget_of_gpu(memory);
    const uint32_t n = budget_micro_batch(x, b, ranks);
    const size_t needed = budget_bytes(x, b, ranks, x->train.recompute, n);
    char needs[24], has[24], fits[24];
    struct budget fit;
    if (needed <= room) return ERR_OK;
    size_text(needed, needs);
    size_text(room, has);
    if (!budget_fit(x, b, ranks, room, &fit))
        return why(w, ERR_MEMORY,
                   "%s: training takes %s, and %s has room for %s, whatever train.micro_batch and "
                   "train.recompute say: take a smaller model or a GPU with more memory",
                   x->path, size_text(budget_bytes(x, b, ranks, RECOMPUTE_BLOCK, 1), needs), device,
                   has);
    return why(
        w, ERR_MEMORY,
        "%s: %u sequences at once take %s, and %s has room for %s: set train.recompute to %s "
        "and train.micro_batch to %u, which take %s",
        x->path, (unsigned)n, needs, device, has, recompute_word(fit.recompute),
        (unsigned)fit.micro_batch, size_text(fit.bytes, fits));
}
