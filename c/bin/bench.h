/* bench.h -- `shoal bench WHAT`: one function a subject. */
#ifndef SHOAL_BIN_BENCH_H
#define SHOAL_BIN_BENCH_H

/* argv[0] is the subject's name; returns the exit code. */
int bench_cpu(int argc, char **argv);
int bench_gpu(int argc, char **argv);
int bench_net(int argc, char **argv);

#endif
