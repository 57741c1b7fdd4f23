/* cpu.h -- the CPU backend: vector kernels (AVX2, AVX-512, AVX-512 with AVX512-BF16, and AMX),
 * divided among the threads of a pool.
 *
 * It computes in fp32, or keeps activations in bf16 and sums in fp32. bf16 works on every machine;
 * without AVX512-BF16 or AMX it saves memory but no time, since numbers are widened before they are
 * multiplied. Subnormal numbers are preserved, except in bf16 activations with AVX512-BF16 or AMX,
 * whose instructions treat them as 0. */
#ifndef SHOAL_CPU_CPU_H
#define SHOAL_CPU_CPU_H

#include "backend.h"
#include "base/pool.h"

/* Fills the table. The pool is lent until cpu_close: no op may run while the caller uses it for
 * something else. ERR_DEVICE below x86-64-v3. */
enum err cpu_open(struct backend *out, struct pool *pool, bool bf16, struct why *w);
void cpu_close(struct backend *b);

/* The same with these kernels, "AVX2", "AVX-512", "AVX-512 BF16" or "AMX", instead of the widest
 * supported ones (choose.h finds the fastest). ERR_DEVICE if they are not supported. */
enum err cpu_open_as(struct backend *out, struct pool *pool, const char *kernels, bool bf16,
                     struct why *w);

/* Floating-point operations per second of all threads on fused multiply-adds in registers, with the
 * widest vectors, and on pairs of bf16 where products use them: an upper bound for products.
 * Measured for about a tenth of a second in processor time, so other programs do not lower it. */
double cpu_peak(const struct backend *b);

/* What it runs on, for the log: "AVX-512 BF16". */
const char *cpu_describe(const struct backend *b);

/* How it was chosen, for the log (choose.h, cpu_open_fastest). */
const char *cpu_choice(const struct backend *b); /* empty if there was nothing to choose */
/* Sets and copies that text, for kernels chosen by the caller. */
void cpu_chosen(struct backend *b, const char *how);

#endif
