/* schedule.h -- the learning rate as a function of the global step (which may lie between two
 * steps).
 *
 *     warmup    lr * (step + 1) / warmup                                  while step < warmup
 *     cosine    final + (1 - final) * (1 + cos(pi * x)) / 2               x: share of the rest of the run that is over
 *     wsd       1, then final + (1 - final) * (1 - sqrt(y))               y: share of the last `decay` of the run that is over
 *     constant  1
 *
 * The last three are factors of lr. wsd's tail is the "1-sqrt" cooldown of arXiv 2405.18392. */
#ifndef SHOAL_MODEL_SCHEDULE_H
#define SHOAL_MODEL_SCHEDULE_H

#include "config/experiment.h"

/* The learning rate of the step that starts at `step` >= 0; past the end of the run, that of its
 * end. */
double schedule_lr(const struct experiment *x, double step);

#endif
