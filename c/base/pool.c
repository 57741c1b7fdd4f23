#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct helper {
    struct pool *pool;
    size_t index;
    pthread_t thread;
};

struct pool {
    size_t threads;
    int niceness;
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    unsigned long job; /* counts jobs: a helper that has seen this one waits for the next */
    size_t busy;       /* helpers that have not finished the present job */
    bool stop;
    void (*piece)(void *, size_t, size_t);
    void *ctx;
    size_t count;
    atomic_size_t next;
    struct helper helpers[];
};

static void work(struct pool *p, size_t thread)
{
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= p->count) return;
        p->piece(p->ctx, i, thread);
    }
}

static void *helper_main(void *arg)
{
    struct helper *h = arg;
    struct pool *p = h->pool;
    if (p->niceness) setpriority(PRIO_PROCESS, 0, p->niceness);
    unsigned long seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->job == seen && !p->stop) pthread_cond_wait(&p->begin, &p->lock);
        if (p->stop) break;
        seen = p->job;
        pthread_mutex_unlock(&p->lock);
        work(p, h->index);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0) pthread_cond_signal(&p->end);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum err pool_open(struct pool **out, size_t threads, int niceness, struct why *w)
{
    assert(threads >= 1);
    struct pool *p = calloc(1, sizeof *p + (threads - 1) * sizeof p->helpers[0]);
    if (!p) return why(w, ERR_MEMORY, "no memory for a pool of %zu threads", threads);
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
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 1; i < p->threads; i++) pthread_join(p->helpers[i - 1].thread, NULL);
    pthread_cond_destroy(&p->end);
    pthread_cond_destroy(&p->begin);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

size_t pool_threads(const struct pool *p) { return p->threads; }

void pool_run(struct pool *p, void (*piece)(void *, size_t, size_t), void *ctx, size_t count)
{
    if (p->threads == 1 || count <= 1) {
        for (size_t i = 0; i < count; i++) piece(ctx, i, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->piece = piece;
    p->ctx = ctx;
    p->count = count;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    p->busy = p->threads - 1;
    p->job++;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    work(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->busy) pthread_cond_wait(&p->end, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
