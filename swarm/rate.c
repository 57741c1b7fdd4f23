#include "rate.h"

/* SPEC.md, "Averaging". */
#define TRAIN_SHORTEST span_ms(1) /* below it, the processor's time is measured, not the line's */
#define TRAINS_ENOUGH  4

void rate_train(struct rate *r, uint64_t bytes, span took)
{
    double kbps = (double)bytes * 8e6 / (double)span_max(took, TRAIN_SHORTEST).ns;
    r->kbps[r->next] = kbps < 1 ? 1 : kbps > UINT32_MAX ? UINT32_MAX : (uint32_t)kbps;
    r->next = (r->next + 1) % RATE_TRAINS;
    if (r->count < RATE_TRAINS) r->count++;
}

uint32_t rate_kbps(const struct rate *r, uint32_t guess)
{
    if (r->count < TRAINS_ENOUGH) return guess;
    uint32_t sorted[RATE_TRAINS];
    for (uint32_t i = 0; i < r->count; i++) {
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] < r->kbps[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = r->kbps[i];
    }
    return sorted[r->count / 4];
}
