#include "node/live.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/terminal.h"
#include "node/story.h"

#define LOOK_MS 200
#define DRAW_MS 500
#define PLAIN_S 10

struct live {
    char path[512];
    FILE *file;
    long from;   /* size of the log at the start */
    int pipe[2]; /* instead of a log; -1: not used */
    char line[4096];
    size_t line_used;
    struct story story;
    struct terminal terminal;
    instant shown; /* time of the latest status lines or plain line */
    char latest[STORY_SENTENCE_BYTES + 16];
    atomic_bool ending;
    bool started;
    pthread_t thread;
};

/* "14:03:22 sentence" */
static void say(struct live *l, const char *sentence)
{
    time_t t = (time_t)l->story.t;
    struct tm at;
    localtime_r(&t, &at);
    snprintf(l->latest, sizeof l->latest, "%02d:%02d:%02d %s", at.tm_hour, at.tm_min, at.tm_sec,
             sentence);
    terminal_say(&l->terminal, l->latest);
}

static void take_line(struct live *l)
{
    char sentence[STORY_SENTENCE_BYTES];
    json_t *event = json_loadb(l->line, l->line_used, 0, NULL);
    if (event && story_take(&l->story, event, sentence)) {
        say(l, sentence);
        /* The status lines were erased: redraw now. */
        l->shown.ns = l->terminal.live ? 0 : l->shown.ns;
    }
    json_decref(event);
}

static void follow(struct live *l)
{
    if (!l->file) {
        l->file = fopen(l->path, "re");
        if (!l->file) return;
        fseek(l->file, l->from, SEEK_SET);
    }
    clearerr(l->file);
    for (int c; (c = getc(l->file)) != EOF;) {
        if (c != '\n') {
            if (l->line_used < sizeof l->line) l->line[l->line_used++] = (char)c;
            continue;
        }
        if (l->line_used < sizeof l->line) take_line(l);
        l->line_used = 0;
    }
}

static void draw(struct live *l)
{
    char fields[STORY_FIELDS_MAX][STORY_FIELD_BYTES], line[STORY_SENTENCE_BYTES];
    const char *list[STORY_FIELDS_MAX];
    const size_t count = story_fields(&l->story, fields);
    const double gap = span_in_s(instant_since(clock_now(), l->shown));
    if (!l->story.steps) return; /* nothing to show yet */
    if (l->terminal.live && gap * 1e3 >= DRAW_MS) {
        struct terminal_picture p = {.count = 0};
        size_t columns, rows;
        terminal_size(&l->terminal, &columns, &rows);
        for (size_t i = 0; i < count; i++) list[i] = fields[i];
        terminal_flow(&p, list, count, columns - 1);
        terminal_draw(&l->terminal, &p);
    } else if (!l->terminal.live && gap >= PLAIN_S) {
        size_t used = 0;
        for (size_t i = 0; i < count && used < sizeof line; i++)
            used +=
                (size_t)snprintf(line + used, sizeof line - used, "%s%s", i ? ", " : "", fields[i]);
        terminal_say(&l->terminal, line);
    } else return;
    l->shown = clock_now();
}

static void *thread_main(void *arg)
{
    struct live *l = arg;
    while (!atomic_load(&l->ending)) {
        follow(l);
        draw(l);
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000}, NULL);
    }
    follow(l);
    terminal_clear(&l->terminal);
    return NULL;
}

/* Reading never blocks; writing does, until the reader's next poll, five per second. */
static enum err open_pipe(struct live *l, struct why *w)
{
    if (pipe2(l->pipe, O_CLOEXEC) || fcntl(l->pipe[0], F_SETFL, O_NONBLOCK))
        return why(w, ERR_IO, "making a pipe for what happens: %s", strerror(errno));
    l->file = fdopen(l->pipe[0], "r");
    return l->file ? ERR_OK : why(w, ERR_MEMORY, "no memory to show what happens");
}

enum err live_open(struct live **out, const char *log, uint64_t epochs, uint64_t every, int *echo,
                   struct why *w)
{
    struct stat there;
    struct live *l = calloc(1, sizeof *l);
    if (!l) return why(w, ERR_MEMORY, "no memory to show what happens");
    *out = l;
    l->pipe[0] = l->pipe[1] = -1;
    snprintf(l->path, sizeof l->path, "%s", log);
    if (!log[0]) {
        enum err e = open_pipe(l, w);
        if (e) return e;
        *echo = l->pipe[1];
    } else if (!stat(log, &there)) l->from = (long)there.st_size;
    story_init(&l->story, epochs, every);
    terminal_init(&l->terminal, STDOUT_FILENO);
    l->shown = clock_now();
    int rc = pthread_create(&l->thread, NULL, thread_main, l);
    if (rc)
        return why(w, ERR_MEMORY, "starting the thread that shows what happens: %s", strerror(rc));
    l->started = true;
    return ERR_OK;
}

void live_stop(struct live *l)
{
    if (!l || !l->started) return;
    atomic_store(&l->ending, true);
    pthread_join(l->thread, NULL);
    l->started = false;
}

void live_close(struct live *l)
{
    if (!l) return;
    live_stop(l);
    if (l->file) fclose(l->file);
    else if (l->pipe[0] >= 0) close(l->pipe[0]);
    if (l->pipe[1] >= 0) close(l->pipe[1]);
    free(l);
}
