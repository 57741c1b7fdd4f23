/* choose.h -- chooses by measurement the kernels, and the precision if either is allowed, that
 * compute a model fastest on this processor, since instruction sets alone do not tell. (AVX512-BF16
 * doubles the speed of products on AMD's processors; on Intel's they are slower than with AVX-512,
 * which widens the numbers first.)
 *
 * Each set that the processor supports computes the products and the attention of one layer of the
 * model, limited to CHOOSE_WIDTH and CHOOSE_ROWS, in turns for a tenth of a second. The minimum
 * processor time of each counts, so other programs do not matter. Of two about equally fast sets
 * the later one is chosen (first those of bf16, then those of fp32, both in the order of
 * kernels.c), so that noise does not decide. The choice is stored in a file of the user's cache, by
 * processor, shape, precision and threads, and not measured again: the next run has the same
 * bits. */
#ifndef SHOAL_CPU_CHOOSE_H
#define SHOAL_CPU_CHOOSE_H

#include "backend.h"
#include "base/pool.h"

#define CHOOSE_SETS       8    /* four in each precision */
#define CHOOSE_ROWS       256  /* maximum tokens of the measured sequence */
#define CHOOSE_WIDTH      1024 /* maximum elements of a measured row */
#define CHOOSE_TEXT_BYTES 320

/* The candidates; at least one precision. */
struct choice_of {
    bool fp32, bf16;
    const char *kernels; /* the only candidate; NULL: all that this processor supports */
};

struct choice {
    const char *name; /* of the set, for kernels_named */
    bool bf16;
    bool measured; /* by this call; otherwise the only candidate, or from the cache */
    /* The time of each candidate, if measured by this call. */
    struct choice_time {
        const char *name;
        bool bf16;
        double seconds;
    } times[CHOOSE_SETS];
    size_t count;
    /* For the log: "measured: AVX-512 3.1 ms, AMX 0.9 ms", each preceded by its precision if both
     * were candidates. */
    char text[CHOOSE_TEXT_BYTES];
};

/* `cache`: the file, NULL for the user's own ($XDG_CACHE_HOME or $HOME/.cache, shoal/kernels); if
 * it cannot be read or written, the choice is measured again. Uses the pool during the call.
 * ERR_MEMORY; ERR_DEVICE below x86-64-v3, or if the set is not supported. */
enum err choose_kernels(struct pool *pool, const struct choice_of *of, const struct op_sizes *sizes,
                        const char *cache, struct choice *out, struct why *w);

/* Index of the last of `count` > 0 times that is at most CHOOSE_EVEN times the shortest. */
#define CHOOSE_EVEN 1.2
size_t choose_fastest(const struct choice_time *times, size_t count);

/* Opens the fastest candidate for a model of these sizes; cpu_choice (cpu.h) describes the choice,
 * and activation_bytes tells its precision. */
enum err cpu_open_fastest(struct backend *out, struct pool *pool, const struct choice_of *of,
                          const struct op_sizes *sizes, struct why *w);

#endif
