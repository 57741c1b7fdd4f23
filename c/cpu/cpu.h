/* cpu.h -- the CPU backend: vector kernels (AVX2, AVX-512, AVX-512 with AVX512-BF16, and AMX
 * besides), shared out to the threads of a pool.
 *
 * It computes in fp32, or keeps activations in bf16 and sums in fp32. bf16 works on every machine;
 * where neither AVX512-BF16 nor AMX is there it saves memory but no time, for numbers are widened
 * before they are multiplied. Subnormal numbers are kept, but for activations in bf16 with
 * AVX512-BF16 or AMX, whose instructions take them for 0. */
#ifndef SHOAL_CPU_CPU_H
#define SHOAL_CPU_CPU_H

#include "backend.h"
#include "base/pool.h"

/* Fills the table. The pool is lent until cpu_close: no op may run while the caller uses it for
 * something else. ERR_DEVICE below x86-64-v3. */
enum err cpu_open(struct backend *out, struct pool *pool, bool bf16, struct why *w);
void cpu_close(struct backend *b);

/* The same with these kernels, "AVX2", "AVX-512", "AVX-512 BF16" or "AMX", instead of the widest
 * that the machine has (choose.h tells the fastest). ERR_DEVICE where it lacks them. */
enum err cpu_open_as(struct backend *out, struct pool *pool, const char *kernels, bool bf16,
                     struct why *w);

/* Floating-point operations a second that all threads together reach on fused multiply-adds in
 * registers, the widest vectors there are, and of pairs of bf16 where products are of those: what
 * no product can exceed. Measured for about a tenth of a second, by processor time: what other
 * programs take meanwhile does not lower it. */
double cpu_peak(const struct backend *b);

/* What it runs on, for the log: "AVX-512 BF16". */
const char *cpu_describe(const struct backend *b);

/* How it was chosen, for the log (choose.h, cpu_open_fastest). */
const char *cpu_choice(const struct backend *b); /* empty where none was to be made */
/* Sets that text, which is copied: for kernels that the caller has chosen. */
void cpu_chosen(struct backend *b, const char *how);

#endif
