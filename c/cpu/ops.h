/* ops.h -- the ops of the CPU backend: each is divided into pieces, which the pool's threads share.
 *
 * The division depends only on the shape, and a piece only on its index: results do not depend on
 * the number of threads. backend.h says what each op does. */
#ifndef SHOAL_CPU_OPS_H
#define SHOAL_CPU_OPS_H

#include "backend.h"
#include "base/pool.h"
#include "cpu/kernels.h"
#include "cpu/product.h"

#define OPS_PARTIALS     1024 /* maximum parts of a sum over a flat vector */
#define OPS_CHOICE_BYTES 320

struct cpu {
    char choice[OPS_CHOICE_BYTES]; /* cpu_choice */
    struct pool *pool;
    const struct kernels *kernels;
    float *gain_partials; /* [blocks of rows, dim] */
    void **scratch;       /* [threads], for attention */
    size_t scratch_bytes; /* bytes of each */
    struct product_room product;
    struct op_sizes sizes; /* for which the scratch suffices */
    double partials[OPS_PARTIALS];
};

/* Memory aligned to BACKEND_ALIGNMENT bytes, on huge pages if it is large enough; NULL without
 * memory. Free it with free(). */
void *ops_allocate(size_t bytes);

/* backend.prepare, and freeing its memory. */
enum err ops_prepare(void *self, const struct op_sizes *sizes, struct why *w);
void ops_release(struct cpu *c);

/* The operations; `self` is a struct cpu, prepared for these sizes. */
void ops_zero(void *self, void *memory, size_t bytes);
void ops_embed(void *self, const struct op_embed *o);
void ops_embed_backward(void *self, const struct op_embed_backward *o);
void ops_norm(void *self, const struct op_norm *o);
void ops_norm_backward(void *self, const struct op_norm_backward *o);
void ops_rotary(void *self, const struct op_rotary *o);
void ops_attention(void *self, const struct op_attention *o);
void ops_attention_backward(void *self, const struct op_attention_backward *o);
void ops_attention_cached(void *self, const struct op_attention_cached *o);
void ops_swiglu(void *self, const struct op_swiglu *o);
void ops_swiglu_backward(void *self, const struct op_swiglu_backward *o);
void ops_linear(void *self, const struct op_linear *o);
void ops_linear_input(void *self, const struct op_linear_input *o);
void ops_linear_weight(void *self, const struct op_linear_weight *o);
void ops_cross_entropy(void *self, const struct op_cross_entropy *o);
void ops_adamw(void *self, const struct op_adamw *o);
enum err ops_sum(void *self, const float *x, size_t count, double *out, struct why *w);
enum err ops_norm2(void *self, const float *x, size_t count, double *out, struct why *w);
enum err ops_outer_quantize(void *self, const struct op_outer_quantize *o, bool *finite,
                            struct why *w);
enum err ops_outer_step(void *self, const struct op_outer_step *o, struct why *w);

/* Operations per second of all threads together (cpu.h, cpu_peak); `at_once`: threads that can run
 * simultaneously. */
double ops_peak(struct cpu *c, size_t at_once);

#endif
