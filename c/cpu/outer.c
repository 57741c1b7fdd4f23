/* outer.c -- the outer step on the CPU: the chunks of outer/outer.h are divided among the pool's
 * threads. */
#include "outer/outer.h"

#include <stdatomic.h>
#include <string.h>

#include "cpu/ops.h"

struct quantize {
    const struct op_outer_quantize *o;
    atomic_bool bad;
};

static void quantize_chunk(void *ctx, size_t c, size_t thread)
{
    (void)thread;
    struct quantize *q = ctx;
    const struct op_outer_quantize *o = q->o;
    const size_t at = outer_chunk_start(o->layout, (uint32_t)c);
    if (!outer_quantize_delta(o->anchor + at, o->parameters + at,
                              outer_chunk_count(o->layout, (uint32_t)c),
                              o->wire + outer_wire_offset(o->layout, (uint32_t)c)))
        atomic_store(&q->bad, true);
}

enum err ops_outer_quantize(void *self, const struct op_outer_quantize *o, bool *finite,
                            struct why *w)
{
    (void)w;
    const struct cpu *c = self;
    struct quantize q = {.o = o};
    pool_run(c->pool, quantize_chunk, &q, o->layout->chunks);
    *finite = !atomic_load(&q.bad);
    return ERR_OK;
}

static void step_chunk(void *ctx, size_t c, size_t thread)
{
    (void)thread;
    const struct op_outer_step *o = ctx;
    const size_t at = outer_chunk_start(o->layout, (uint32_t)c);
    const size_t n = outer_chunk_count(o->layout, (uint32_t)c);
    const float *anchor = o->anchor + at, *momentum = o->momentum + at;
    float *anchor_out = o->anchor_out + at, *momentum_out = o->momentum_out + at;
    float *theta = o->parameters + at;
    if (o->null[c]) {
        memcpy(anchor_out, anchor, n * sizeof(float));
        memcpy(momentum_out, momentum, n * sizeof(float));
        return;
    }
    outer_step(o->rule, anchor, momentum, o->means + outer_wire_offset(o->layout, (uint32_t)c), n,
               anchor_out, momentum_out);
    if (o->mine[c]) memcpy(theta, anchor_out, n * sizeof(float));
    else
        for (size_t i = 0; i < n; i++) theta[i] = anchor_out[i] + (theta[i] - anchor[i]);
}

enum err ops_outer_step(void *self, const struct op_outer_step *o, struct why *w)
{
    (void)w;
    const struct cpu *c = self;
    pool_run(c->pool, step_chunk, (void *)o, o->layout->chunks);
    return ERR_OK;
}
