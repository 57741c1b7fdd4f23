#include "node/resolver.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "node/again.h"

#define THREADS_MAX 8

struct job {
    struct resolver_answer answer; /* the latest one */
    instant due;
    bool asked;    /* a thread is looking it up */
    bool waiting;  /* its answer is not taken yet: no new look-up until then */
    bool answered; /* at least once */
};

struct resolver {
    struct resolver_config c;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rng rng;
    struct job *jobs;
    size_t count, next; /* next: where resolver_take starts looking */
    size_t holders;     /* references by the owner and the threads: the last one frees */
    bool closing;
};

struct resolver_config resolver_defaults(const struct peerlist *p)
{
    return (struct resolver_config){.names = p->names,
                                    .count = p->names_count,
                                    .retry_first = span_s(1),
                                    .retry_most = span_s(300),
                                    .again = span_s(300),
                                    .look_up = resolve_look_up};
}

/* Drops one reference. Called with the lock held, returns with it released. */
static void let_go(struct resolver *r)
{
    bool last = --r->holders == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last) return;
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r->jobs);
    free(r);
}

static bool same_addresses(const struct resolver_answer *a, const struct resolver_answer *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!address_equal(&a->addresses[i], &b->addresses[i])) return false;
    return true;
}

/* Looks up one name. Called with the lock held, which is released during the look-up. */
static void ask(struct resolver *r, struct job *j)
{
    struct resolver_answer a = {.of = j->answer.of};
    struct why w = {0};
    j->asked = true;
    pthread_mutex_unlock(&r->lock);
    enum err e = r->c.look_up(&a.of.name, a.addresses, &a.count, &w);
    pthread_mutex_lock(&r->lock);
    j->asked = false;
    if (e) a.count = 0;
    a.failures = e ? j->answer.failures + 1 : 0;
    if (e) memcpy(a.why, w.text, sizeof a.why - 1);
    a.changed = !j->answered || !same_addresses(&a, &j->answer);
    j->answer = a;
    j->answered = j->waiting = true;
    j->due = instant_after(clock_now(), again_after(a.failures, r->c.again, r->c.retry_first,
                                                    r->c.retry_most, &r->rng));
    if (!r->closing) r->c.wake(r->c.ctx);
}

/* The job that is due first, or NULL when all are being looked up or wait to be taken. */
static struct job *first_due(struct resolver *r)
{
    struct job *first = NULL;
    for (size_t i = 0; i < r->count; i++) {
        struct job *j = &r->jobs[i];
        if (!j->asked && !j->waiting && (!first || j->due.ns < first->due.ns)) first = j;
    }
    return first;
}

static void *thread_main(void *arg)
{
    struct resolver *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->closing) {
        struct job *j = first_due(r);
        if (!j) {
            pthread_cond_wait(&r->changed, &r->lock);
        } else if (instant_reached(clock_now(), j->due)) {
            ask(r, j);
        } else {
            thread_wait(&r->changed, &r->lock, j->due);
        }
    }
    let_go(r);
    return NULL;
}

static enum err start_thread(struct resolver *r, struct why *w)
{
    r->holders++;
    enum err e = thread_detach(thread_main, r, 0, "looks names up", w);
    if (e) r->holders--;
    return e;
}

enum err resolver_open(struct resolver **out, const struct resolver_config *c, struct why *w)
{
    struct resolver *r = calloc(1, sizeof *r);
    struct job *jobs = calloc(c->count + 1, sizeof *jobs);
    if (!r || !jobs) {
        free(r);
        free(jobs);
        return why(w, ERR_MEMORY, "no memory to look names up");
    }
    *r = (struct resolver){
        .c = *c, .rng = rng_init(c->seed), .jobs = jobs, .count = c->count, .holders = 1};
    pthread_mutex_init(&r->lock, NULL);
    thread_cond_init(&r->changed);
    for (size_t i = 0; i < c->count; i++) jobs[i].answer.of = c->names[i];
    enum err e = ERR_OK;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < c->count && i < THREADS_MAX && !e; i++) {
        e = start_thread(r, w);
        if (i) e = ERR_OK; /* fewer threads suffice */
    }
    if (e) {
        r->closing = true;
        let_go(r);
        return e;
    }
    pthread_mutex_unlock(&r->lock);
    *out = r;
    return ERR_OK;
}

void resolver_close(struct resolver *r)
{
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->closing = true;
    pthread_cond_broadcast(&r->changed);
    let_go(r);
}

bool resolver_take(struct resolver *r, struct resolver_answer *out)
{
    bool found = false;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count && !found; i++) {
        struct job *j = &r->jobs[(r->next + i) % r->count];
        if (!j->waiting) continue;
        *out = j->answer;
        j->waiting = false;
        found = true;
        r->next = (r->next + i + 1) % r->count;
        pthread_cond_signal(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}
