/* choose.h -- which kernels compute a model fastest on this processor: by measurement, for names
 * deceive. (AVX512-BF16 doubles products on AMD's processors; on Intel's it makes them slower than
 * AVX-512, which widens the numbers first.)
 *
 * Every set that the processor has computes the products and the attention of one layer of the
 * model, no wider than CHOOSE_WIDTH and no longer than CHOOSE_ROWS, in turns for a tenth of a
 * second, and the shortest processor time of each counts: what other programs take meanwhile does
 * not. Of two that are about as fast the later one of kernels.c is taken, so that chance decides
 * nothing. What was chosen is kept in a file of the user's cache, by processor, shape, precision
 * and threads, and not measured again: another run has the same bits. */
#ifndef SHOAL_CPU_CHOOSE_H
#define SHOAL_CPU_CHOOSE_H

#include "backend.h"
#include "base/pool.h"

#define CHOOSE_SETS       4
#define CHOOSE_ROWS       256
#define CHOOSE_WIDTH      1024
#define CHOOSE_TEXT_BYTES 200

struct choice {
    const char *name; /* of the set, for kernels_named */
    bool measured;    /* now; else it was alone, or the cache knew */
    /* What each took, in the order of kernels.c; of those measured now. */
    struct choice_time {
        const char *name;
        double seconds;
    } times[CHOOSE_SETS];
    size_t count;
    char text[CHOOSE_TEXT_BYTES]; /* for the log: "measured: AVX-512 3.1 ms, AMX 0.9 ms" */
};

/* `cache`: the file, NULL for the user's own ($XDG_CACHE_HOME or $HOME/.cache, shoal/kernels); one
 * that cannot be read or written costs a measurement. The pool is used meanwhile. ERR_MEMORY,
 * ERR_DEVICE below x86-64-v3. */
enum err choose_kernels(struct pool *pool, bool bf16, const struct op_sizes *sizes,
                        const char *cache, struct choice *out, struct why *w);

/* The last of them that took no more than CHOOSE_EVEN times the shortest. */
#define CHOOSE_EVEN 1.2
const char *choose_fastest(const struct choice_time *times, size_t count);

#endif
