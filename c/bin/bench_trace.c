/* bench_trace.c -- each operation of a backend between two marks. */
#include "bin/bench_trace.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/device.h"

#define CALLS_MAX ((size_t)1 << 15) /* per step; further ones are not timed */

static struct {
    struct backend real;
    const char *names[CALLS_MAX];
    size_t calls;
} trace;

static void begin(const char *name)
{
    if (trace.calls == CALLS_MAX) return;
    trace.names[trace.calls] = name;
    device_mark(&trace.real, 2 * trace.calls);
}

static void end(void)
{
    if (trace.calls == CALLS_MAX) return;
    device_mark(&trace.real, 2 * trace.calls + 1);
    trace.calls++;
}

#define TRACED(op)                                                                                 \
    static void op##_traced(void *self, const struct op_##op *o)                                   \
    {                                                                                              \
        begin(#op);                                                                                \
        trace.real.op(self, o);                                                                    \
        end();                                                                                     \
    }
#define OPERATIONS(DO)                                                                             \
    DO(embed)                                                                                      \
    DO(embed_backward)                                                                             \
    DO(norm)                                                                                       \
    DO(norm_backward)                                                                              \
    DO(rotary)                                                                                     \
    DO(attention)                                                                                  \
    DO(attention_backward)                                                                         \
    DO(swiglu)                                                                                     \
    DO(swiglu_backward)                                                                            \
    DO(linear)                                                                                     \
    DO(linear_input)                                                                               \
    DO(linear_weight)                                                                              \
    DO(cross_entropy)                                                                              \
    DO(adamw)
OPERATIONS(TRACED)

static enum err norm2_traced(void *self, const float *x, size_t count, double *out, struct why *w)
{
    begin("norm2");
    const enum err e = trace.real.norm2(self, x, count, out, w);
    end();
    return e;
}
static enum err sum_traced(void *self, const float *x, size_t count, double *out, struct why *w)
{
    begin("sum");
    const enum err e = trace.real.sum(self, x, count, out, w);
    end();
    return e;
}

enum err bench_trace_begin(struct backend *b, struct why *w)
{
    trace.real = *b;
    trace.calls = 0;
    const enum err e = device_marks(b, 2 * CALLS_MAX, w);
    if (e) return e;
#define REPLACE(op) b->op = op##_traced;
    OPERATIONS(REPLACE)
    b->norm2 = norm2_traced;
    b->sum = sum_traced;
    return ERR_OK;
}

static int longest_first(const void *a, const void *b)
{
    const double x = ((const struct bench_traced *)a)->seconds;
    const double y = ((const struct bench_traced *)b)->seconds;
    return (x < y) - (x > y);
}

size_t bench_trace_end(struct backend *b, struct bench_traced out[BENCH_TRACE_MAX])
{
    size_t count = 0;
    *b = trace.real;
    for (size_t call = 0; call < trace.calls; call++) {
        size_t i = 0;
        while (i < count && strcmp(out[i].name, trace.names[call])) i++;
        assert(i < BENCH_TRACE_MAX);
        if (i == count) out[count++] = (struct bench_traced){trace.names[call], 0, 0};
        out[i].calls++;
        out[i].seconds += device_between(b, 2 * call, 2 * call + 1);
    }
    (void)device_marks(b, 0, NULL);
    qsort(out, count, sizeof *out, longest_first);
    return count;
}
