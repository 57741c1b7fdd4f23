/* bench_ops.h -- how fast a backend's operations are, one by one: part of `shoal bench cpu` and
 * `shoal bench gpu`. */
#ifndef SHOAL_BIN_BENCH_OPS_H
#define SHOAL_BIN_BENCH_OPS_H

#include "backend.h"
#include "base/rng.h"

#define BENCH_OPS_MAX 32

struct bench_op {
    const char *name;
    size_t head_dim; /* of attention; 0: it has none */
    double seconds;  /* of one call */
    /* That it must move to and from memory: its operands once each; 0: not what limits it. */
    double bytes;
    /* Of its products; causal attention: 4 x (length^2 / 2) x head_dim a head, 2.5 times as many
     * backward; 0: it has none worth counting. */
    double flops;
    bool host; /* the bytes go between the host's memory and the device's */
};

/* A token as text has them: the n-th most frequent is n, and comes about 1 / (n + 1) as often as
 * the first (Zipf). Of 32000 the first is one in fifteen: the rows of one token's gradient are
 * added up one by one, and that takes its time. */
uint32_t bench_token(struct rng *rng, size_t vocab);

/* Calls each operation, at the sizes of the 1b preset and with operands of `mebibytes` in all,
 * until its time is known to a per cent or so; attention over sequences of `length`. ERR_MEMORY,
 * ERR_DEVICE. */
enum err bench_ops(const struct backend *b, size_t mebibytes, size_t length,
                   struct bench_op out[BENCH_OPS_MAX], size_t *count, struct why *w);

#endif
