#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum err thread_detach(void *(*run)(void *), void *arg, size_t stack_bytes, const char *what,
                       struct why *w)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (stack_bytes) pthread_attr_setstacksize(&attributes, stack_bytes);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = pthread_create(&thread, &attributes, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return rc ? why(w, ERR_MEMORY, "starting a thread that %s: %s", what, strerror(rc)) : ERR_OK;
}

void thread_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t monotonic; /* like clock_now */
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(c, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool thread_wait(pthread_cond_t *c, pthread_mutex_t *lock, instant until)
{
    struct timespec at = {.tv_sec = (time_t)(until.ns / 1000000000u),
                          .tv_nsec = (long)(until.ns % 1000000000u)};
    return pthread_cond_timedwait(c, lock, &at) != ETIMEDOUT;
}
