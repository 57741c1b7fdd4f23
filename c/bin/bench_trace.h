/* bench_trace.h -- measures the time of each operation of a backend inside a training step: part of
 * `shoal bench cpu|gpu --trace`.
 *
 * Between the two calls every operation of the backend is called with a mark before it and one
 * after it. On a GPU the marks are events in its queue, so nothing waits; each costs some
 * microseconds per call. */
#ifndef SHOAL_BIN_BENCH_TRACE_H
#define SHOAL_BIN_BENCH_TRACE_H

#include "backend.h"

#define BENCH_TRACE_MAX 24 /* operations */

struct bench_traced {
    const char *name;
    size_t calls;
    double seconds; /* of all its calls */
};

/* For one backend at a time, opened by device_open. ERR_MEMORY, ERR_DEVICE. */
enum err bench_trace_begin(struct backend *b, struct why *w);

/* Returns how many operations were called; longest first. */
size_t bench_trace_end(struct backend *b, struct bench_traced out[BENCH_TRACE_MAX]);

#endif
