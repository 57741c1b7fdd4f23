/* schedule.h -- the learning rate as a function of the global step (which may be fractional).
 *
 *     warmup    lr * (step + 1) / warmup                       while step < warmup
 *     cosine    final + (1 - final) * (1 + cos(pi * x)) / 2
 *     wsd       1, then final + (1 - final) * (1 - sqrt(y))
 *     constant  1
 *
 * The last three are factors of lr; x is the completed share of the run after warmup, y that of the
 * last `decay` of the run. wsd's tail is the "1-sqrt" cooldown of arXiv 2405.18392. */
#ifndef SHOAL_MODEL_SCHEDULE_H
#define SHOAL_MODEL_SCHEDULE_H

#include "config/experiment.h"

/* The learning rate of the step that starts at `step` >= 0; after the end of the run, the final
 * one. */
double schedule_lr(const struct experiment *x, double step);

#endif
