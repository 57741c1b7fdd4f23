#include "model/schedule.h"

#include <assert.h>
#include <math.h>

/* The factor of lr at a step after warmup, warmup <= step <= steps. */
static double factor(const struct experiment *e, double step)
{
    double steps = (double)e->train.steps, warmup = (double)e->train.schedule.warmup;
    double final = e->train.schedule.final;
    double tail = e->train.schedule.decay * steps; /* wsd's cooldown is a share of the whole run */
    switch (e->train.schedule.kind) {
    case SCHEDULE_CONSTANT:
        return 1;
    case SCHEDULE_COSINE:
        if (step >= steps) return final;
        return final + (1 - final) * (1 + cos(M_PI * (step - warmup) / (steps - warmup))) / 2;
    case SCHEDULE_WSD:
        if (step <= steps - tail) return 1;
        return final + (1 - final) * (1 - sqrt((step - (steps - tail)) / tail));
    }
    assert(!"a schedule that is none");
    return 0;
}

double schedule_lr(const struct experiment *e, double step)
{
    assert(step >= 0);
    double warmup = (double)e->train.schedule.warmup;
    double share = step < warmup ? fmin(1, (step + 1) / warmup)
                                 : factor(e, fmin(step, (double)e->train.steps));
    return e->train.optimizer.lr * share;
}
