/* bench_ops.h -- measures the speed of each operation of a backend: part of `shoal bench cpu` and
 * `shoal bench gpu`. */
#ifndef SHOAL_BIN_BENCH_OPS_H
#define SHOAL_BIN_BENCH_OPS_H

#include "backend.h"
#include "base/rng.h"

#define BENCH_OPS_MAX 32

struct bench_op {
    const char *name;
    size_t head_dim; /* of attention; 0: not attention */
    double seconds;  /* of one call */
    /* Bytes that it must move to and from memory: each operand once; 0: memory does not limit
     * it. */
    double bytes;
    /* Of its matrix products; causal attention: 4 x (length^2 / 2) x head_dim per head, 2.5 times
     * as many backward; 0: negligible. */
    double flops;
    bool host; /* the bytes go between the host's memory and the device's */
};

/* A random token distributed as in text (Zipf): token n occurs about 1 / (n + 1) as often as token
 * 0. With a vocabulary of 32000 token 0 is one in fifteen: the embedding's backward adds the rows
 * of one token one by one, which takes time. */
uint32_t bench_token(struct rng *rng, size_t vocab);

/* Calls each operation, at the sizes of the 1b preset and with operands of `mebibytes` in total,
 * until its time is known to about one percent; attention over sequences of `length`. ERR_MEMORY,
 * ERR_DEVICE. */
enum err bench_ops(const struct backend *b, size_t mebibytes, size_t length,
                   struct bench_op out[BENCH_OPS_MAX], size_t *count, struct why *w);

#endif
