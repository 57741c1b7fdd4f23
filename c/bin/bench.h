/* bench.h -- `shoal bench WHAT`: one function per subject. */
#ifndef SHOAL_BIN_BENCH_H
#define SHOAL_BIN_BENCH_H

#include "config/experiment.h"

/* argv[0] is the subject's name; each returns the exit code. */
int bench_cpu(int argc, char **argv);
int bench_gpu(int argc, char **argv);
int bench_net(int argc, char **argv);

/* Measures for some seconds how many tokens per second this machine trains of the experiment's
 * model, on machine.device (its first GPU). */
enum err bench_speed(const struct experiment *x, double *tokens_per_s, struct why *w);

#endif
