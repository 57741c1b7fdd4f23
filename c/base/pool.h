/* pool.h -- a few threads that share the pieces of one job at a time.
 *
 * Pieces may run in any order on any thread, so a piece must depend only on its index: then results
 * do not depend on the number of threads. A thread that the system does not schedule in time is not
 * waited for: the others do its share. Between jobs threads spin for some tens of microseconds, and
 * then sleep. */
#ifndef SHOAL_BASE_POOL_H
#define SHOAL_BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

struct pool;

/* A pool of `threads` >= 1, including the calling thread: pool_run's caller works too. ERR_MEMORY
 * when no thread can be created. `niceness` >= 0 is added to the nice level of the other threads:
 * training threads yield to the network thread. */
enum err pool_open(struct pool **out, size_t threads, int niceness, struct why *w);
void pool_close(struct pool *p);

/* Adds to the calling thread's nice level, up to the maximum of 19; never lowers it. */
void pool_add_niceness(int niceness);

size_t pool_threads(const struct pool *p);

/* Runs piece(ctx, index, thread) for each index in [0, count), thread in [0, pool_threads); returns
 * when all are done. One caller at a time; a piece must not call pool_run. */
void pool_run(struct pool *p, void (*piece)(void *ctx, size_t index, size_t thread), void *ctx,
              size_t count);

#endif
