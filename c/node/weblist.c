#include "node/weblist.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "net/https.h"
#include "node/again.h"

#define PATIENCE    span_s(10)
#define STACK_BYTES (512 << 10)

struct source {
    struct weblists *of;
    struct https_ask ask;
    struct weblist_answer answer; /* the latest one */
    instant due;
    bool waiting; /* its answer is not taken yet */
};

struct weblists {
    struct weblist_config c;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rng rng;
    struct source *sources;
    pthread_mutex_t https_lock;
    struct https *https; /* opened by the first thread that asks */
    int stop;            /* readable once it is to end */
    size_t holders;      /* references by the owner and the threads: the last one frees */
    bool alone, closing;
};

struct weblist_config weblist_defaults(const struct peerlist *p)
{
    return (struct weblist_config){.urls = p->urls,
                                   .count = p->urls_count,
                                   .retry_first = span_s(5),
                                   .retry_most = span_s(60),
                                   .again = span_s(60),
                                   .patience = PATIENCE};
}

void weblist_free(struct peerlist *list)
{
    if (!list) return;
    peerlist_free(list);
    free(list);
}

/* Drops one reference. Called with the lock held, returns with it released. */
static void let_go(struct weblists *l)
{
    bool last = --l->holders == 0;
    pthread_mutex_unlock(&l->lock);
    if (!last) return;
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->https_lock);
    for (size_t i = 0; i < l->c.count; i++)
        if (l->sources[i].waiting) weblist_free(l->sources[i].answer.list);
    https_close(l->https);
    close(l->stop);
    free(l->sources);
    free(l);
}

/* ---- one list ---- */

static void printable(const char *from, char *out, size_t room)
{
    bytes_printable(bytes_of(from, strlen(from)), out, room);
}

/* A text with no entry in it is no list. */
static enum err read_list(struct source *s, struct bytes text, struct weblist_answer *a,
                          struct why *w)
{
    struct peerlist_faults faults = {0};
    char name[URL_BYTES];
    struct peerlist *list = calloc(1, sizeof *list);
    if (!list) return why(w, ERR_MEMORY, "no memory for the peer list");
    enum err e = peerlist_init(list, w);
    if (!e) {
        url_show(&s->ask.url, name);
        peerlist_parse(list, name, text, s->of->c.self, &faults);
        if (!list->count && faults.count)
            e = why(w, ERR_FORMAT, "it is no peer list: none of its lines is ID@host:port");
    }
    if (e) {
        weblist_free(list);
        return e;
    }
    a->list = list;
    a->faults = faults.count;
    printable(faults.count ? faults.first.text : "", a->fault, sizeof a->fault);
    return ERR_OK;
}

/* The trusted authorities are read once, by the first thread that needs them. */
static enum err ready(struct weblists *l, struct why *w)
{
    pthread_mutex_lock(&l->https_lock);
    enum err e = l->https ? ERR_OK : https_open(&l->https, w);
    pthread_mutex_unlock(&l->https_lock);
    return e;
}

static enum err fetch(struct source *s, struct weblist_answer *a, struct why *w)
{
    struct https_answer got;
    uint8_t *room = malloc(WEBLIST_BYTES);
    if (!room) return why(w, ERR_MEMORY, "no memory for the peer list");
    s->ask.room = room;
    s->ask.most = WEBLIST_BYTES;
    enum err e = ready(s->of, w);
    if (!e) e = https_get(s->of->https, &s->ask, &got, w);
    if (!e && !got.unchanged) {
        e = read_list(s, bytes_of(room, got.count), a, w);
        memcpy(s->ask.etag, e ? "" : got.etag, e ? 1 : sizeof got.etag);
    }
    a->unchanged = !e && got.unchanged;
    free(room);
    return e;
}

/* Asks once. Called with the lock held, which is released meanwhile. */
static void ask(struct source *s)
{
    struct weblists *l = s->of;
    struct weblist_answer a = {.index = s->answer.index, .first = !s->answer.ms};
    struct why w = {0};
    instant began = clock_now();
    pthread_mutex_unlock(&l->lock);
    enum err e = fetch(s, &a, &w);
    printable(e ? w.text : "", a.why, sizeof a.why);
    pthread_mutex_lock(&l->lock);
    a.failures = e ? s->answer.failures + 1 : 0;
    a.changed = strcmp(a.why, s->answer.why);
    a.ms = (uint32_t)span_in_ms(instant_since(clock_now(), began)) + 1;
    s->answer = a;
    s->waiting = true;
    s->due = instant_after(clock_now(), again_after(a.failures, l->c.again, l->c.retry_first,
                                                    l->c.retry_most, &l->rng));
    if (!l->closing) l->c.wake(l->c.ctx);
}

static void *thread_main(void *arg)
{
    struct source *s = arg;
    struct weblists *l = s->of;
    pthread_mutex_lock(&l->lock);
    while (!l->closing) {
        if (s->waiting || !l->alone) {
            pthread_cond_wait(&l->changed, &l->lock);
        } else if (instant_reached(clock_now(), s->due)) {
            ask(s);
        } else {
            thread_wait(&l->changed, &l->lock, s->due);
        }
    }
    let_go(l);
    return NULL;
}

/* ---- all of them ---- */

static enum err start_thread(struct source *s, struct why *w)
{
    s->of->holders++;
    enum err e = thread_detach(thread_main, s, STACK_BYTES, "reads peer lists", w);
    if (e) s->of->holders--;
    return e;
}

enum err weblists_open(struct weblists **out, const struct weblist_config *c, struct why *w)
{
    struct weblists *l = calloc(1, sizeof *l);
    struct source *sources = calloc(c->count + 1, sizeof *sources);
    int stop = eventfd(0, EFD_CLOEXEC);
    if (!l || !sources || stop < 0) {
        free(l);
        free(sources);
        if (stop >= 0) close(stop);
        return why(w, ERR_MEMORY, "no memory to read peer lists");
    }
    *l = (struct weblists){.c = *c,
                           .rng = rng_init(c->seed),
                           .sources = sources,
                           .stop = stop,
                           .holders = 1,
                           .alone = true};
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->https_lock, NULL);
    thread_cond_init(&l->changed);
    for (size_t i = 0; i < c->count; i++)
        sources[i] =
            (struct source){.of = l,
                            .answer.index = i,
                            .ask = {.url = c->urls[i], .patience = c->patience, .stop = stop}};
    enum err e = ERR_OK;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < c->count && !e; i++) e = start_thread(&sources[i], w);
    pthread_mutex_unlock(&l->lock);
    if (e) weblists_close(l);
    else *out = l;
    return e;
}

void weblists_close(struct weblists *l)
{
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    if (write(l->stop, &(uint64_t){1}, sizeof(uint64_t)) < 0) abort(); /* it cannot be full */
    pthread_cond_broadcast(&l->changed);
    let_go(l);
}

void weblists_alone(struct weblists *l, bool alone)
{
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    if (alone && !l->alone) pthread_cond_broadcast(&l->changed);
    l->alone = alone;
    pthread_mutex_unlock(&l->lock);
}

bool weblists_take(struct weblists *l, struct weblist_answer *out)
{
    bool found = false;
    if (!l) return false;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->c.count && !found; i++) {
        struct source *s = &l->sources[i];
        if (!s->waiting) continue;
        *out = s->answer;
        s->answer.list = NULL; /* the caller's now */
        s->waiting = false;
        found = true;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return found;
}
