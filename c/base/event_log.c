#include "base/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/object.h"
#include "base/thread.h"

#define ROOM_BYTES ((size_t)1 << 20) /* of waiting lines: about 5,000 events */
#define GAP_BYTES  512               /* reserved for a log_gap */
#define LOOK_EACH  span_s(2)         /* how often to check whether the path still names our file */
#define PATIENCE   span_s(10)        /* at the end, with a disk that stands still */

/* Lines waiting to be written. */
struct lines {
    char *data;
    size_t count, done;
};

struct event_log {
    char *path;
    pthread_t writer;
    pthread_mutex_t lock; /* held from event_log_begin to event_log_end; guards the fields below */
    pthread_cond_t wake;  /* the writer has something to do */
    pthread_cond_t end;   /* it has ended */
    json_t *event;        /* the line being built */
    struct lines waiting; /* whole lines */
    uint64_t lost;        /* dropped events, not yet reported in the log */
    uint64_t lost_ever;
    bool closing, ended;
    /* Used only by the writer. */
    int fd;
    bool regular, torn; /* torn: the file ends in half a line of another process */
    bool failing, said;
    int failed; /* errno of the latest failed write */
    instant looked;
    int echo; /* -1: none */
    struct lines going;
};

/* ---- the file ---- */

/* Opens the file at the path. Read access is only for its last byte; a write-only log works without
 * it. */
static bool open_file(struct event_log *j)
{
    int fd = open(j->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EACCES) fd = open(j->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) return false;
    struct stat s;
    char last = '\n';
    j->regular = !fstat(fd, &s) && S_ISREG(s.st_mode);
    if (j->regular && s.st_size > 0 && pread(fd, &last, 1, s.st_size - 1) != 1) last = '\n';
    j->torn = last != '\n';
    if (j->fd >= 0) close(j->fd);
    j->fd = fd;
    j->looked = clock_now();
    return true;
}

/* Between two lines: was our file replaced or removed? */
static void look_for_file(struct event_log *j)
{
    if (!j->regular || !instant_reached(clock_now(), instant_after(j->looked, LOOK_EACH))) return;
    struct stat ours, there;
    j->looked = clock_now();
    bool same = !fstat(j->fd, &ours) && !stat(j->path, &there) && ours.st_ino == there.st_ino &&
                ours.st_dev == there.st_dev;
    if (!same) open_file(j); /* if that fails, keep writing to the old file */
}

/* True when everything is written; otherwise errno is set. */
static bool write_some(int fd, const char *data, size_t count, size_t *done)
{
    while (*done < count) {
        ssize_t n = write(fd, data + *done, count - *done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        *done += (size_t)n;
    }
    return true;
}

/* Writes as many of the waiting bytes as the file accepts. */
static void write_lines(struct event_log *j)
{
    size_t ended = 0;
    if (j->fd < 0) {
        j->going.done = j->going.count;
        return;
    }
    if (j->going.done == 0) look_for_file(j);
    bool good = !j->torn || write_some(j->fd, "\n", 1, &ended);
    if (good) j->torn = false;
    good = good && write_some(j->fd, j->going.data, j->going.count, &j->going.done);
    if (!good) j->failed = errno;
    j->failing = !good;
    if (good || j->said) return;
    j->said = true;
    fprintf(stderr,
            "shoal: the event log %s cannot be written: %s; it is tried again each second, and "
            "events that are lost are counted\n",
            j->path, strerror(j->failed));
}

/* Writes the same lines to `echo`, once they are in the file. SIGPIPE is blocked here, so that a
 * worker survives when its reader exits. */
static void write_echo(struct event_log *j)
{
    size_t done = 0;
    if (j->echo < 0 || j->going.done < j->going.count) return;
    if (write_some(j->echo, j->going.data, j->going.count, &done)) return;
    fprintf(stderr, "shoal: no more events are printed: %s\n", strerror(errno));
    j->echo = -1;
}

/* The process ends and the disk is still full: removes a partial line. Returns the number of
 * unwritten events. */
static uint64_t give_up(struct event_log *j)
{
    struct lines *l = &j->going;
    uint64_t events = 0;
    size_t whole = l->done;
    while (whole > 0 && l->data[whole - 1] != '\n') whole--;
    for (size_t i = whole; i < l->count; i++) events += l->data[i] == '\n';
    struct stat s;
    const off_t half = (off_t)(l->done - whole);
    if (half && j->regular && !fstat(j->fd, &s) && s.st_size >= half &&
        ftruncate(j->fd, s.st_size - half))
        j->torn = true; /* the next process that opens it adds a newline */
    l->count = l->done = 0;
    return events;
}

/* ---- the writer ---- */

/* Appends a line to the waiting ones; false when there is no room. */
static bool add_line(struct event_log *j, const json_t *o, size_t kept_free)
{
    char *line = object_line(o);
    const size_t n = line ? strlen(line) : 0;
    const bool fits = line && j->waiting.count + n + 1 + kept_free <= ROOM_BYTES;
    if (fits) {
        memcpy(j->waiting.data + j->waiting.count, line, n);
        j->waiting.count += n;
        j->waiting.data[j->waiting.count++] = '\n';
    }
    free(line);
    return fits;
}

static json_t *event_now(const char *event)
{
    json_t *o = json_object();
    json_object_set_new(o, "t", json_real((double)clock_unix_ms() / 1000));
    object_text(o, "event", event);
    return o;
}

/* Reports lost events, in their place after the lines that were waiting then. */
static void add_gap(struct event_log *j)
{
    json_t *o = event_now("log_gap");
    object_u64(o, "lost", j->lost);
    object_text(o, "why", j->failed ? strerror(j->failed) : "more events than the disk took");
    if (add_line(j, o, 0)) j->lost = 0;
    json_decref(o);
}

/* Sleeps until there is something to write or, after a failure, for a second. Called with the lock
 * held. */
static void sleep_writer(struct event_log *j)
{
    const instant until = instant_after(clock_now(), span_s(1));
    while (!j->closing && !j->failing && !j->waiting.count) pthread_cond_wait(&j->wake, &j->lock);
    while (!j->closing && j->failing)
        if (!thread_wait(&j->wake, &j->lock, until)) break;
}

static void *writer_main(void *arg)
{
    struct event_log *j = arg;
    pthread_mutex_lock(&j->lock);
    for (;;) {
        sleep_writer(j);
        const bool last = j->closing;
        if (j->going.done == j->going.count) {
            if (j->lost) add_gap(j);
            const struct lines empty = {.data = j->going.data};
            j->going = j->waiting;
            j->waiting = empty;
        }
        pthread_mutex_unlock(&j->lock);
        write_lines(j);
        write_echo(j);
        pthread_mutex_lock(&j->lock);
        if (last && j->failing) {
            j->lost_ever += give_up(j);
            for (size_t i = 0; i < j->waiting.count; i++)
                j->lost_ever += j->waiting.data[i] == '\n';
            break;
        }
        if (last && !j->waiting.count && !j->lost) break;
    }
    j->ended = true;
    pthread_cond_signal(&j->end);
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- interface ---- */

static void free_all(struct event_log *j)
{
    if (j->fd >= 0) close(j->fd);
    pthread_cond_destroy(&j->wake);
    pthread_cond_destroy(&j->end);
    pthread_mutex_destroy(&j->lock);
    free(j->waiting.data);
    free(j->going.data);
    free(j->path);
    free(j);
}

/* The writer blocks all signals: other threads handle them. */
static int start_writer(struct event_log *j)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&j->writer, NULL, writer_main, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

enum err event_log_open(struct event_log **out, const char *path, int echo, struct why *w)
{
    *out = NULL;
    if (!*path && echo < 0) return ERR_OK;
    struct event_log *j = calloc(1, sizeof *j);
    if (!j) return why(w, ERR_MEMORY, "no memory for the event log %s", path);
    j->fd = -1;
    j->echo = echo;
    pthread_mutex_init(&j->lock, NULL);
    thread_cond_init(&j->wake);
    thread_cond_init(&j->end);
    j->path = strdup(path);
    j->waiting.data = malloc(ROOM_BYTES);
    j->going.data = malloc(ROOM_BYTES);
    enum err e = ERR_OK;
    int rc;
    if (!j->path || !j->waiting.data || !j->going.data)
        e = why(w, ERR_MEMORY, "no memory for the event log %s", path);
    else if (*path && !open_file(j))
        e = why(w, ERR_IO, "opening the event log %s: %s", path, strerror(errno));
    else if ((rc = start_writer(j)))
        e = why(w, ERR_MEMORY, "starting the event log's thread: %s", strerror(rc));
    if (e) free_all(j);
    else *out = j;
    return e;
}

bool event_log_finish(struct event_log *j, span patience)
{
    if (!j) return true;
    const instant until = instant_after(clock_now(), patience);
    pthread_mutex_lock(&j->lock);
    j->closing = true;
    pthread_cond_signal(&j->wake);
    while (!j->ended)
        if (!thread_wait(&j->end, &j->lock, until)) break;
    const bool ended = j->ended;
    pthread_mutex_unlock(&j->lock);
    return ended;
}

void event_log_close(struct event_log *j)
{
    if (!j) return;
    if (!event_log_finish(j, PATIENCE)) {
        fprintf(stderr, "shoal: the event log %s stands still: its last events are missing\n",
                j->path);
        pthread_detach(j->writer);
        return;
    }
    pthread_join(j->writer, NULL);
    if (j->lost_ever)
        fprintf(stderr, "shoal: %llu events are missing in the event log %s\n",
                (unsigned long long)j->lost_ever, j->path);
    free_all(j);
}

void event_log_begin(struct event_log *j, const char *event)
{
    if (!j) return;
    pthread_mutex_lock(&j->lock);
    j->event = event_now(event);
}

void event_log_end(struct event_log *j)
{
    if (!j) return;
    /* What follows a lost event is lost too, however short, until the gap is in its place. */
    if (j->lost || !add_line(j, j->event, GAP_BYTES)) {
        j->lost++;
        j->lost_ever++;
    }
    json_decref(j->event);
    j->event = NULL;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

void event_log_u64(struct event_log *j, const char *key, uint64_t v)
{
    if (j) object_u64(j->event, key, v);
}

void event_log_f64(struct event_log *j, const char *key, double v)
{
    if (j) object_f64(j->event, key, v);
}

void event_log_bool(struct event_log *j, const char *key, bool v)
{
    if (j) object_bool(j->event, key, v);
}

void event_log_text(struct event_log *j, const char *key, const char *v)
{
    if (j) object_text(j->event, key, v);
}

void event_log_hex(struct event_log *j, const char *key, const void *data, size_t count)
{
    if (j) object_hex(j->event, key, data, count);
}

void event_log_json(struct event_log *j, const char *key, const char *json)
{
    if (j) object_json(j->event, key, json);
}
