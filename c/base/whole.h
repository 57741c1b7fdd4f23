/* whole.h -- small arithmetic with whole numbers. */
#ifndef SHOAL_BASE_WHOLE_H
#define SHOAL_BASE_WHOLE_H

#include <stdint.h>

static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* n / each, rounded up; each > 0, and n + each must not overflow. */
static inline uint64_t ceil_div(uint64_t n, uint64_t each) { return (n + each - 1) / each; }

/* n rounded up to a multiple of `each`. */
static inline uint64_t align_up(uint64_t n, uint64_t each) { return ceil_div(n, each) * each; }

#endif
