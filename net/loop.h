/* loop.h -- one thread that waits for sockets, timers and other threads, and sleeps in between.
 *
 *     turn:   sleep until something is due -> posts -> sockets -> timers -> jobs deferred meanwhile
 *
 * The caller owns the storage of all sources, which is linked in while they are set. After
 * loop_open only the array of timers grows, when more than 64 are set at once. Only loop_post and
 * loop_stop may be called from other threads. How late timers and posts are served is measured:
 * that is the loop's lag, which is also how long a peer waits when something blocks this thread. */
#ifndef SHOAL_NET_LOOP_H
#define SHOAL_NET_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/instant.h"

struct loop;

struct loop_socket { /* any file descriptor that epoll supports */
    int fd;
    void (*ready)(void *ctx, uint32_t events); /* EPOLLIN, EPOLLOUT, ... */
    void *ctx;
};

struct loop_timer {
    void (*fire)(void *ctx, instant now); /* once; set it again for more */
    void *ctx;
    instant due;  /* while it is set */
    size_t place; /* 1-based index in the loop's heap; 0: not set. Start with 0. */
};

struct loop_job { /* runs once, at the end of this turn */
    void (*run)(void *ctx);
    void *ctx;
    struct loop_job *next;
    uint64_t turn; /* in which it was deferred */
    bool queued;
};

struct loop_call { /* from another thread; several posts before it runs count as one */
    void (*run)(void *ctx);
    void *ctx;
    struct loop_call *next;
    instant posted;
    atomic_bool queued;
};

/* ERR_MEMORY, ERR_IO. loop_close accepts NULL and calls no source. */
enum err loop_open(struct loop **out, struct why *w);
void loop_close(struct loop *l);

/* Level-triggered; `events` are epoll's. The socket must stay valid until loop_forget, after
 * which it is not called any more. ERR_IO. */
enum err loop_watch(struct loop *l, struct loop_socket *s, uint32_t events, struct why *w);
void loop_rewatch(struct loop *l, struct loop_socket *s, uint32_t events);
void loop_forget(struct loop *l, struct loop_socket *s);

/* Fires once when `due` has come, never earlier, and in the order of `due`; 0 means at once.
 * Setting a set timer moves it; setting it to INSTANT_NEVER clears it. */
void loop_timer_set(struct loop *l, struct loop_timer *t, instant due);
void loop_timer_clear(struct loop *l, struct loop_timer *t);

/* Runs once, after the sockets and timers of this turn; a job that defers itself runs again in the
 * next turn, which then does not sleep. */
void loop_defer(struct loop *l, struct loop_job *j);
void loop_undefer(struct loop *l, struct loop_job *j);

/* From any thread. Runs once, in the next turn; the call must stay valid until then. */
void loop_post(struct loop *l, struct loop_call *c);

/* Runs until loop_stop, which any thread and a signal handler may call. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* One turn, which sleeps no longer than `until`. */
void loop_turn(struct loop *l, instant until);

struct loop_lag {
    uint64_t count; /* timers and posts served */
    /* Percentiles are upper edges of buckets 9 % wide; max is exact. */
    double p50_ms, p99_ms, max_ms;
};

/* Since the start, or since the last call with `reset`. Loop's thread only. */
struct loop_lag loop_lag(struct loop *l, bool reset);

/* Turns since the start: few when the program is idle. */
uint64_t loop_wakeups(const struct loop *l);

#endif
