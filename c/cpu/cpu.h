/* cpu.h -- the CPU backend: matrix products by OpenBLAS, the rest in vector C (AVX2, AVX-512 where the machine has it).
 *
 * OpenBLAS is asked for one thread and called from the pool's threads, on blocks cut by shape alone. Its own choice of
 * a core type is corrected where it does not know the machine (a Zen 4 or 5 taken for a Haswell runs at half speed),
 * unless OPENBLAS_CORETYPE is set. Subnormal numbers are kept (no flush to zero). */
#ifndef SHOAL_CPU_CPU_H
#define SHOAL_CPU_CPU_H

#include "backend.h"
#include "base/pool.h"

/* Fills the table. The pool is lent until cpu_close: no op may run while the caller uses it for something else. */
enum err cpu_open(struct backend *out, struct pool *pool, struct why *w);
void cpu_close(struct backend *b);

/* The same with these vector kernels, "AVX2" or "AVX-512", instead of the widest that the machine has: for tests and
 * comparisons. ERR_DEVICE where it lacks them. */
enum err cpu_open_as(struct backend *out, struct pool *pool, const char *kernels, struct why *w);

/* Processors this process may run on (sched_getaffinity(2)): what machine.threads: auto means. At least 1. */
size_t cpu_threads(void);

/* Floating-point operations a second that all threads together reach on fused multiply-adds in registers, the widest
 * vectors there are: what no product can exceed. Measured for about a tenth of a second, by processor time: what other
 * programs take meanwhile does not lower it. */
double cpu_peak(const struct backend *b);

/* What it runs on, for the log: "AVX-512, OpenBLAS SkylakeX". */
const char *cpu_describe(const struct backend *b);

#endif
