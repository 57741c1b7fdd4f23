#include "base/pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct helper {
    struct pool *pool;
    size_t index;
    pthread_t thread;
};

/* A thread's part of a job: neighbouring pieces, the same ones in the next job of the same kind, so
 * that its data is in the thread's cache. A thread that is done helps the others. */
struct share {
    _Alignas(64) atomic_size_t next;
    size_t last;
};

/* The state of the present job in one word: its number, whether helpers may still enter, and how
 * many are inside. */
#define INSIDE 0xffffffffu
#define OPEN   ((uint64_t)1 << 32)
#define NUMBER ((uint64_t)1 << 33) /* increment for a new job */

struct pool {
    size_t threads;
    int niceness;
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    _Atomic uint64_t state;
    bool stop; /* the helpers must exit */
    void (*piece)(void *, size_t, size_t);
    void *ctx;
    struct share *shares; /* of each thread */
    struct helper helpers[];
};

static void work(struct pool *p, size_t thread)
{
    for (size_t t = 0; t < p->threads; t++) {
        struct share *s = &p->shares[(thread + t) % p->threads];
        for (;;) {
            const size_t i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
            if (i >= s->last) break;
            p->piece(p->ctx, i, thread);
        }
    }
}

/* Ops of a model follow one another within microseconds, and waking a thread takes as long as a
 * small op. So a waiting thread first spins, then yields the processor, and then sleeps, so that
 * several pools on few processors do not block each other. */
#define WATCH_ROUNDS 2000 /* about 40 us */
#define OFFER_ROUNDS 10

static bool comes_soon(const struct pool *p, bool (*come)(uint64_t, uint64_t), uint64_t seen)
{
    for (size_t i = 0; i < WATCH_ROUNDS + OFFER_ROUNDS; i++) {
        if (come(atomic_load_explicit(&p->state, memory_order_acquire), seen)) return true;
        if (i < WATCH_ROUNDS) __builtin_ia32_pause();
        else sched_yield();
    }
    return false;
}

static bool job_is_open(uint64_t state, uint64_t seen)
{
    return (state & OPEN) && state / NUMBER != seen;
}
static bool all_have_left(uint64_t state, uint64_t seen)
{
    (void)seen;
    return (state & INSIDE) == 0;
}

/* Waits for and enters the next job after `seen`; returns its number. */
static uint64_t enter(struct pool *p, uint64_t seen)
{
    for (;;) {
        if (!comes_soon(p, job_is_open, seen)) {
            pthread_mutex_lock(&p->lock);
            while (!job_is_open(p->state, seen)) pthread_cond_wait(&p->begin, &p->lock);
            pthread_mutex_unlock(&p->lock);
        }
        uint64_t state = atomic_load_explicit(&p->state, memory_order_relaxed);
        while (job_is_open(state, seen))
            if (atomic_compare_exchange_weak_explicit(&p->state, &state, state + 1,
                                                      memory_order_acq_rel, memory_order_relaxed))
                return state / NUMBER;
    }
}

void pool_add_niceness(int niceness)
{
    errno = 0; /* -1 is also a valid level */
    int level = getpriority(PRIO_PROCESS, 0);
    if (niceness > 0 && errno == 0)
        setpriority(PRIO_PROCESS, 0, level + niceness > 19 ? 19 : level + niceness);
}

static void *helper_main(void *arg)
{
    struct helper *h = arg;
    struct pool *p = h->pool;
    pool_add_niceness(p->niceness);
    for (uint64_t job = 0;;) {
        job = enter(p, job);
        const bool stop = p->stop;
        if (!stop) work(p, h->index);
        const uint64_t before = atomic_fetch_sub_explicit(&p->state, 1, memory_order_acq_rel);
        if (!(before & OPEN) && (before & INSIDE) == 1) {
            /* A waiter has either seen the change, or gets this signal. */
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->end);
            pthread_mutex_unlock(&p->lock);
        }
        if (stop) return NULL;
    }
}

/* The caller has already stored the job's description. */
static void open_job(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_store_explicit(&p->state, (p->state / NUMBER + 1) * NUMBER + OPEN, memory_order_release);
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
}

/* No more helpers may enter: those that the system has not scheduled yet are not waited for. */
static void close_job(struct pool *p)
{
    atomic_fetch_and_explicit(&p->state, ~OPEN, memory_order_acq_rel);
    if (comes_soon(p, all_have_left, 0)) return;
    pthread_mutex_lock(&p->lock);
    while (!all_have_left(p->state, 0)) pthread_cond_wait(&p->end, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

enum err pool_open(struct pool **out, size_t threads, int niceness, struct why *w)
{
    assert(threads >= 1);
    struct pool *p = calloc(1, sizeof *p + (threads - 1) * sizeof p->helpers[0]);
    if (p) p->shares = aligned_alloc(64, threads * sizeof *p->shares);
    if (!p || !p->shares) {
        free(p);
        return why(w, ERR_MEMORY, "no memory for a pool of %zu threads", threads);
    }
    memset(p->shares, 0, threads * sizeof *p->shares);
    p->niceness = niceness;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
    p->threads = 1;
    for (size_t i = 1; i < threads; i++) {
        struct helper *h = &p->helpers[i - 1];
        *h = (struct helper){.pool = p, .index = i};
        int rc = pthread_create(&h->thread, NULL, helper_main, h);
        if (rc) {
            pool_close(p);
            return why(w, ERR_MEMORY, "starting thread %zu of %zu: %s; set machine.threads lower",
                       i + 1, threads, strerror(rc));
        }
        p->threads = i + 1;
    }
    *out = p;
    return ERR_OK;
}

void pool_close(struct pool *p)
{
    if (!p) return;
    p->stop = true;
    open_job(p); /* stays open: each helper enters it */
    for (size_t i = 1; i < p->threads; i++) pthread_join(p->helpers[i - 1].thread, NULL);
    pthread_cond_destroy(&p->end);
    pthread_cond_destroy(&p->begin);
    pthread_mutex_destroy(&p->lock);
    free(p->shares);
    free(p);
}

size_t pool_threads(const struct pool *p) { return p->threads; }

void pool_run(struct pool *p, void (*piece)(void *, size_t, size_t), void *ctx, size_t count)
{
    if (p->threads == 1 || count <= 1) {
        for (size_t i = 0; i < count; i++) piece(ctx, i, 0);
        return;
    }
    p->piece = piece;
    p->ctx = ctx;
    for (size_t t = 0; t < p->threads; t++) {
        atomic_store_explicit(&p->shares[t].next, count * t / p->threads, memory_order_relaxed);
        p->shares[t].last = count * (t + 1) / p->threads;
    }
    open_job(p);
    work(p, 0);
    close_job(p);
}
