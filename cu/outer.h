/* outer.h -- the parts of the outer step on the GPU, each queued, on n elements in device memory
 * starting at a block boundary; the same bits as c/outer/outer.h. `bad`, one word of device memory,
 * is set to 1 when a number is not finite, and never reset. */
#ifndef SHOAL_CU_OUTER_H
#define SHOAL_CU_OUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cuda; /* `self` of the backend */
struct outer_rule;

void cuda_outer_quantize_delta(struct cuda *c, const float *anchor, const float *parameters,
                               size_t n, uint8_t *wire, uint32_t *bad);
void cuda_outer_accumulate(struct cuda *c, float *acc, const uint8_t *wire, size_t n, float weight);
void cuda_outer_quantize_mean(struct cuda *c, const float *acc, size_t n, float weight_sum,
                              uint8_t *wire, uint32_t *bad);
/* In place on anchor and momentum. theta (NULL: none) restarts from the new anchor where our
 * contribution is in the mean (`mine`), otherwise keeps its local progress. */
void cuda_outer_step_range(struct cuda *c, const struct outer_rule *rule, float *anchor,
                           float *momentum, const uint8_t *mean, size_t n, float *theta, bool mine);

#ifdef __cplusplus
}
#endif
#endif
