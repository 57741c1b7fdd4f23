#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

#define READY_MAX 64
/* Lag buckets: the first holds lags below 1 us, then eight per octave (2^(1/8) = 1.09), up to 2^40
 * us. */
#define LAG_PER_OCTAVE 8
#define LAG_BUCKETS    (1 + 40 * LAG_PER_OCTAVE)

struct loop {
    int epoll, timer, event;
    instant armed; /* what the timer descriptor is set to */
    struct epoll_event ready[READY_MAX];
    int ready_count; /* of this turn; entries of forgotten sockets are cleared */
    struct loop_timer **heap;
    size_t heap_count, heap_room;
    struct loop_job *jobs, **jobs_end;
    pthread_mutex_t lock; /* guards calls */
    struct loop_call *calls, **calls_end;
    atomic_bool stopped;
    uint64_t turn;
    uint64_t lag[LAG_BUCKETS], lag_count, lag_max_ns;
};

/* Timers are in a heap with the earliest at the front; places are 1-based, the parent of p is p /
 * 2. */
static void heap_put(struct loop *l, size_t place, struct loop_timer *t)
{
    l->heap[place - 1] = t;
    t->place = place;
}

static void heap_settle(struct loop *l, struct loop_timer *t, size_t place)
{
    while (place > 1 && l->heap[place / 2 - 1]->due.ns > t->due.ns) {
        heap_put(l, place, l->heap[place / 2 - 1]);
        place /= 2;
    }
    for (size_t child; (child = 2 * place) <= l->heap_count; place = child) {
        if (child < l->heap_count && l->heap[child]->due.ns < l->heap[child - 1]->due.ns) child++;
        if (l->heap[child - 1]->due.ns >= t->due.ns) break;
        heap_put(l, place, l->heap[child - 1]);
    }
    heap_put(l, place, t);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, instant due)
{
    if (due.ns == UINT64_MAX) {
        loop_timer_clear(l, t);
        return;
    }
    if (!due.ns) due = clock_now(); /* or its lag would count from boot */
    t->due = due;
    if (!t->place) {
        if (l->heap_count == l->heap_room) {
            l->heap_room *= 2;
            l->heap = realloc(l->heap, l->heap_room * sizeof *l->heap);
            assert(l->heap);
        }
        t->place = ++l->heap_count;
    }
    heap_settle(l, t, t->place);
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
    if (!t->place) return;
    size_t place = t->place;
    struct loop_timer *last = l->heap[--l->heap_count];
    t->place = 0;
    if (last != t) heap_settle(l, last, place);
}

static void lag_count(struct loop *l, span late)
{
    double us = (double)late.ns * 1e-3;
    size_t bucket = us < 1 ? 0 : 1 + (size_t)(log2(us) * LAG_PER_OCTAVE);
    l->lag[bucket < LAG_BUCKETS ? bucket : LAG_BUCKETS - 1]++;
    l->lag_count++;
    if (late.ns > l->lag_max_ns) l->lag_max_ns = late.ns;
}

static double lag_percentile(const struct loop *l, double share)
{
    uint64_t want = (uint64_t)ceil(share * (double)l->lag_count), seen = 0;
    for (size_t i = 0; i < LAG_BUCKETS && want; i++)
        if ((seen += l->lag[i]) >= want)
            return fmin(exp2((double)i / LAG_PER_OCTAVE) * 1e-3, (double)l->lag_max_ns * 1e-6);
    return 0;
}

struct loop_lag loop_lag(struct loop *l, bool reset)
{
    struct loop_lag lag = {.count = l->lag_count,
                           .p50_ms = lag_percentile(l, 0.5),
                           .p99_ms = lag_percentile(l, 0.99),
                           .max_ms = (double)l->lag_max_ns * 1e-6};
    if (reset) {
        memset(l->lag, 0, sizeof l->lag);
        l->lag_count = l->lag_max_ns = 0;
    }
    return lag;
}

uint64_t loop_wakeups(const struct loop *l) { return l->turn; }

enum err loop_open(struct loop **out, struct why *w)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l) return why(w, ERR_MEMORY, "no memory for an event loop");
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->heap_room = 64;
    l->heap = calloc(l->heap_room, sizeof *l->heap);
    l->armed = INSTANT_NEVER;
    l->jobs_end = &l->jobs;
    l->calls_end = &l->calls;
    pthread_mutex_init(&l->lock, NULL);
    struct epoll_event on_timer = {.events = EPOLLIN, .data.ptr = &l->timer};
    struct epoll_event on_event = {.events = EPOLLIN, .data.ptr = &l->event};
    if (l->epoll < 0 || l->timer < 0 || l->event < 0 || !l->heap ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &on_timer) ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->event, &on_event)) {
        enum err e = why(w, ERR_IO, "setting up an event loop: %s", strerror(errno));
        loop_close(l);
        return e;
    }
    *out = l;
    return ERR_OK;
}

void loop_close(struct loop *l)
{
    if (!l) return;
    if (l->epoll >= 0) close(l->epoll);
    if (l->timer >= 0) close(l->timer);
    if (l->event >= 0) close(l->event);
    pthread_mutex_destroy(&l->lock);
    free(l->heap);
    free(l);
}

enum err loop_watch(struct loop *l, struct loop_socket *s, uint32_t events, struct why *w)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &e))
        return why(w, ERR_IO, "watching a descriptor: %s", strerror(errno));
    return ERR_OK;
}

void loop_rewatch(struct loop *l, struct loop_socket *s, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    int rc = epoll_ctl(l->epoll, EPOLL_CTL_MOD, s->fd, &e);
    assert(rc == 0);
    (void)rc;
}

void loop_forget(struct loop *l, struct loop_socket *s)
{
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
    for (int i = 0; i < l->ready_count; i++)
        if (l->ready[i].data.ptr == s) l->ready[i].data.ptr = NULL;
}

void loop_defer(struct loop *l, struct loop_job *j)
{
    if (j->queued) return;
    j->queued = true;
    j->turn = l->turn;
    j->next = NULL;
    *l->jobs_end = j;
    l->jobs_end = &j->next;
}

void loop_undefer(struct loop *l, struct loop_job *j)
{
    if (!j->queued) return;
    struct loop_job **at = &l->jobs;
    while (*at != j) at = &(*at)->next;
    *at = j->next;
    if (!*at) l->jobs_end = at;
    j->queued = false;
}

static void rouse(struct loop *l)
{
    uint64_t one = 1;
    while (write(l->event, &one, sizeof one) < 0 && errno == EINTR) continue;
}

void loop_post(struct loop *l, struct loop_call *c)
{
    pthread_mutex_lock(&l->lock);
    bool fresh = !atomic_load(&c->queued);
    if (fresh) {
        atomic_store(&c->queued, true);
        c->posted = clock_now();
        c->next = NULL;
        *l->calls_end = c;
        l->calls_end = &c->next;
    }
    pthread_mutex_unlock(&l->lock);
    if (fresh) rouse(l);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stopped, true);
    rouse(l);
}

static void run_calls(struct loop *l)
{
    for (;;) {
        pthread_mutex_lock(&l->lock);
        struct loop_call *c = l->calls;
        if (c) {
            l->calls = c->next;
            if (!l->calls) l->calls_end = &l->calls;
            atomic_store(&c->queued, false);
            lag_count(l, instant_since(clock_now(), c->posted));
        }
        pthread_mutex_unlock(&l->lock);
        if (!c) return;
        c->run(c->ctx);
    }
}

/* Timers set while this runs wait for the next turn unless they were due before it: no timer can
 * block the loop. */
static void run_timers(struct loop *l)
{
    instant now = clock_now();
    while (l->heap_count && instant_reached(now, l->heap[0]->due)) {
        struct loop_timer *t = l->heap[0];
        lag_count(l, instant_since(now, t->due));
        loop_timer_clear(l, t);
        t->fire(t->ctx, now);
    }
}

/* A job that defers itself belongs to the next turn: sockets and timers run in between. */
static void run_jobs(struct loop *l)
{
    uint64_t turn = l->turn++;
    while (l->jobs && l->jobs->turn <= turn) {
        struct loop_job *j = l->jobs;
        loop_undefer(l, j);
        j->run(j->ctx);
    }
}

/* The timer descriptor, not epoll's timeout, ends the sleep: pacing needs microseconds. */
static void arm(struct loop *l, instant due)
{
    if (due.ns == l->armed.ns) return;
    struct itimerspec at = {0};
    if (due.ns != UINT64_MAX) {
        uint64_t ns = due.ns ? due.ns : 1; /* zero would disarm it */
        at.it_value = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    }
    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &at, NULL);
    l->armed = due;
}

void loop_turn(struct loop *l, instant until)
{
    uint64_t drained;
    instant due = l->heap_count ? instant_min(until, l->heap[0]->due) : until;
    bool rest = !l->jobs && !instant_reached(clock_now(), due);
    if (rest) arm(l, due);
    l->ready_count = epoll_wait(l->epoll, l->ready, READY_MAX, rest ? -1 : 0);
    for (int i = 0; i < l->ready_count; i++) {
        void *source = l->ready[i].data.ptr;
        if (source == &l->timer) {
            if (read(l->timer, &drained, sizeof drained) > 0) l->armed = INSTANT_NEVER;
            l->ready[i].data.ptr = NULL;
        } else if (source == &l->event) {
            if (read(l->event, &drained, sizeof drained) < 0) assert(errno == EAGAIN);
            l->ready[i].data.ptr = NULL;
        }
    }
    run_calls(l);
    for (int i = 0; i < l->ready_count; i++) {
        struct loop_socket *s = l->ready[i].data.ptr;
        if (s) s->ready(s->ctx, l->ready[i].events);
    }
    l->ready_count = 0;
    run_timers(l);
    run_jobs(l);
}

void loop_run(struct loop *l)
{
    while (!atomic_load(&l->stopped)) loop_turn(l, INSTANT_NEVER);
    atomic_store(&l->stopped, false);
}
