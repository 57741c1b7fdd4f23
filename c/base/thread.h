/* thread.h -- threads that work beside the others, and waiting by the clock of clock_now. */
#ifndef SHOAL_BASE_THREAD_H
#define SHOAL_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/instant.h"

/* Starts a detached thread with all signals blocked: other threads handle those. stack_bytes 0: the
 * system's. ERR_MEMORY; `what` is what it does, for the message: "looks names up". */
enum err thread_detach(void *(*run)(void *), void *arg, size_t stack_bytes, const char *what,
                       struct why *w);

/* For thread_wait. */
void thread_cond_init(pthread_cond_t *c);
/* Waits for the condition with the lock held, as pthread_cond_wait does; false when this time has
 * come. */
bool thread_wait(pthread_cond_t *c, pthread_mutex_t *lock, instant until);

#endif
