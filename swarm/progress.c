#include "progress.h"

uint64_t progress_epoch(uint64_t *epochs, size_t n)
{
    if (n == 0) return 0;
    for (size_t i = 1; i < n; i++) /* n <= 20 */
        for (size_t j = i; j > 0 && epochs[j] > epochs[j - 1]; j--) {
            uint64_t e = epochs[j];
            epochs[j] = epochs[j - 1];
            epochs[j - 1] = e;
        }
    size_t needed = n <= 3 ? n / 2 + 1 : (n + 2) / 3;
    return epochs[needed - 1];
}

uint64_t progress_tokens(const struct progress_share *p, span round_age, uint64_t part)
{
    uint64_t most = 2 * part;
    uint64_t ms = span_in_ms(p->age);
    uint64_t limit = p->current ? 2 * PROGRESS_PERIOD_MS : span_in_ms(round_age);
    if (ms > limit) ms = limit;
    uint64_t tokens = p->current ? p->tokens : 0;
    uint64_t more = (uint64_t)p->tokens_per_s * ms / 1000; /* 2^32 * 10^4: no overflow */
    return tokens > most || more > most - tokens ? most : tokens + more;
}

struct progress_sum progress_sum(const struct progress_share *all, size_t n, span round_age,
                                 uint64_t part)
{
    struct progress_sum s = {.target = part * n};
    for (size_t i = 0; i < n; i++) {
        s.done += progress_tokens(&all[i], round_age, part);
        s.rate += all[i].tokens_per_s;
    }
    return s;
}

bool progress_ready(const struct progress_sum *s, const struct round_progress *mine, uint64_t every,
                    bool count_steps, bool called)
{
    if (mine->steps == 0 || mine->tokens == 0) return false;
    if (count_steps) return mine->steps >= every;
    return s->done >= s->target || mine->steps >= 2 * every || (called && s->done >= s->target / 2);
}

uint32_t progress_eta_ms(const struct progress_sum *s, const struct round_progress *mine,
                         uint64_t every, bool count_steps)
{
    uint64_t ms = UINT32_MAX;
    if (count_steps) {
        if (mine->steps >= every) return 0;
        if (mine->step_ms) ms = (every - mine->steps) * mine->step_ms;
    } else {
        if (s->done >= s->target) return 0;
        if (s->rate) ms = (uint64_t)((double)(s->target - s->done) / (double)s->rate * 1e3);
    }
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}
