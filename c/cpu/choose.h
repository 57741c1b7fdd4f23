/* choose.h -- which kernels, and which precision where either will do, compute a model fastest on
 * this processor: by measurement, for names deceive. (AVX512-BF16 doubles products on AMD's
 * processors; on Intel's it makes them slower than AVX-512, which widens the numbers first.)
 *
 * Every set that the processor has computes the products and the attention of one layer of the
 * model, no wider than CHOOSE_WIDTH and no longer than CHOOSE_ROWS, in turns for a tenth of a
 * second, and the shortest processor time of each counts: what other programs take meanwhile does
 * not. Of two that are about as fast the later one is taken (those of bf16 come first, then those
 * of fp32, both in the order of kernels.c), so that chance decides nothing. What was chosen is
 * kept in a file of the user's cache, by processor, shape, precision and threads, and not measured
 * again: another run has the same bits. */
#ifndef SHOAL_CPU_CHOOSE_H
#define SHOAL_CPU_CHOOSE_H

#include "backend.h"
#include "base/pool.h"

#define CHOOSE_SETS       8    /* four in either precision */
#define CHOOSE_ROWS       256  /* tokens of a sequence */
#define CHOOSE_WIDTH      1024 /* elements of a row */
#define CHOOSE_TEXT_BYTES 320

/* What is at choice; at least one precision. */
struct choice_of {
    bool fp32, bf16;
    const char *kernels; /* the only set at choice; NULL: all that this processor has */
};

struct choice {
    const char *name; /* of the set, for kernels_named */
    bool bf16;
    bool measured; /* now; else it was alone, or the cache knew */
    /* What each took; of those measured now. */
    struct choice_time {
        const char *name;
        bool bf16;
        double seconds;
    } times[CHOOSE_SETS];
    size_t count;
    /* For the log: "measured: AVX-512 3.1 ms, AMX 0.9 ms", each after its precision where both were
     * at choice. */
    char text[CHOOSE_TEXT_BYTES];
};

/* `cache`: the file, NULL for the user's own ($XDG_CACHE_HOME or $HOME/.cache, shoal/kernels); one
 * that cannot be read or written costs a measurement. The pool is used meanwhile. ERR_MEMORY,
 * ERR_DEVICE below x86-64-v3, or where it lacks the set. */
enum err choose_kernels(struct pool *pool, const struct choice_of *of, const struct op_sizes *sizes,
                        const char *cache, struct choice *out, struct why *w);

/* Index of the last of `count` > 0 times that is no more than CHOOSE_EVEN times the shortest. */
#define CHOOSE_EVEN 1.2
size_t choose_fastest(const struct choice_time *times, size_t count);

/* Opens what is the fastest, of those at choice, for a model of these sizes, and says in
 * cpu_choice (cpu.h) how it was chosen; its precision is what activation_bytes says. */
enum err cpu_open_fastest(struct backend *out, struct pool *pool, const struct choice_of *of,
                          const struct op_sizes *sizes, struct why *w);

#endif
