/* whole.h -- small arithmetic with whole numbers. */
#ifndef SHOAL_BASE_WHOLE_H
#define SHOAL_BASE_WHOLE_H

#include <stdint.h>

static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* How many pieces of `each` > 0 hold n; n + each may not overflow. */
static inline uint64_t ceil_div(uint64_t n, uint64_t each) { return (n + each - 1) / each; }

/* The least multiple of `each` that is no less than n. */
static inline uint64_t align_up(uint64_t n, uint64_t each) { return ceil_div(n, each) * each; }

#endif
