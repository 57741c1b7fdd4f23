/* runner.c -- runs the tests of a program that is carried to a machine with a GPU, or the program
 * shoal in it.
 *
 *     test-gpu [OPTION...]              all tests
 *         --filter=SUITE/NAME           those whose SUITE/NAME begins so
 *         --but=SUITE/NAME              not those whose SUITE/NAME begins so
 *         --jobs=N                      N side by side; default 1
 *         --timeout=SECONDS             of each; default 60: a kernel that hangs takes no more
 *         --tap=FILE                    where the results go
 *     test-gpu --one=SUITE/NAME         one test, in this process
 *     test-gpu shoal bench gpu --json   shoal itself: any of its commands
 *
 * Each test runs in a process of its own that executes this program again: CUDA does not survive a
 * fork, and tools that watch CUDA see every process from its start. The results are told in TAP, on
 * standard output or to FILE. Code 0 when no test failed and one at least passed or was skipped.
 * (--quiet is taken as Criterion's programs take it: test/tally.py says it to all.) The tests read
 * test/golden in the working folder or, where there is none, beside this program. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "criterion/criterion.h"

#define SKIPPED 77 /* the exit code of a process whose test was skipped */

int shoal_main(int argc, char **argv); /* main of c/bin/main.c, by another name (build/gpu.zig) */

static struct carried_test *first, **last = &first;

void carried_add(struct carried_test *t)
{
    *last = t;
    last = &t->next;
}

void carried_failed(const char *file, int line, const char *condition, const char *more, ...)
{
    va_list list;
    va_start(list, more);
    fprintf(stderr, "%s:%d: Assertion failed: %s", file, line, condition);
    vfprintf(stderr, more, list);
    fputc('\n', stderr);
    va_end(list);
    exit(1);
}

void carried_skipped(const char *reason)
{
    fprintf(stderr, "skipped: %s\n", reason);
    exit(SKIPPED);
}

static void full_name(const struct carried_test *t, char out[200])
{
    snprintf(out, 200, "%s/%s", t->suite, t->name);
}

/* Never returns: the code of this process is the test's. */
static void run_here(const char *name)
{
    char full[200];
    for (const struct carried_test *t = first; t; t = t->next) {
        full_name(t, full);
        if (strcmp(full, name)) continue;
        t->body();
        exit(0);
    }
    fprintf(stderr, "test-gpu: there is no test '%s'\n", name);
    exit(2);
}

static void golden_beside_the_program(void)
{
    char path[4096];
    if (!access("test/golden", R_OK)) return;
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) return;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    if (slash) *slash = 0;
    if (!slash || chdir(path)) fprintf(stderr, "test-gpu: there is no test/golden here\n");
}

#define JOBS_MAX 32

struct run { /* of all tests */
    const char *filter, *but;
    FILE *tap;
    unsigned long limit_s, jobs;
    size_t passed, failed, skipped;
};

struct job {                      /* a test in a process of its own */
    const struct carried_test *t; /* NULL: there is none */
    pid_t child;
    int said; /* the end of the pipe that its standard error goes to */
    char name[200], line[400], last_line[400];
    size_t used; /* bytes of line */
};

static void start(struct job *j, const struct carried_test *t, const struct run *r)
{
    int ends[2];
    char option[220];
    *j = (struct job){.t = t, .child = -1, .said = -1};
    full_name(t, j->name);
    snprintf(option, sizeof option, "--one=%s", j->name);
    if (pipe2(ends, O_CLOEXEC)) return;
    j->child = fork();
    if (j->child == 0) {
        dup2(ends[1], STDERR_FILENO);
        alarm((unsigned)r->limit_s); /* SIGALRM ends it; an alarm outlives exec */
        execl("/proc/self/exe", "test-gpu", option, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    j->said = ends[0];
}

static void end_line(struct job *j)
{
    j->line[j->used] = 0;
    j->used = 0;
    if (!j->line[0]) return;
    if (strncmp(j->line, "skipped: ", 9)) fprintf(stderr, "%s: %s\n", j->name, j->line);
    memcpy(j->last_line, j->line, sizeof j->line);
}

static void report(struct job *j, struct run *r)
{
    const struct carried_test *t = j->t;
    int status = -1;
    end_line(j);
    if (j->said >= 0) close(j->said);
    if (j->child > 0) waitpid(j->child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        r->passed++;
        fprintf(r->tap, "ok - %s::%s\n", t->suite, t->name);
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        r->skipped++;
        fprintf(r->tap, "ok - %s::%s # SKIP %s\n", t->suite, t->name,
                j->last_line + strlen("skipped: "));
    } else {
        const char *signal_name = strsignal(WTERMSIG(status));
        r->failed++;
        fprintf(r->tap, "not ok - %s::%s\n  - %s\n", t->suite, t->name,
                !WIFSIGNALED(status)          ? j->last_line
                : WTERMSIG(status) == SIGALRM ? "took too long"
                                              : signal_name);
    }
    fflush(r->tap);
    j->t = NULL;
}

/* Takes what it has said. When it has ended, that is reported. */
static void listen_to(struct job *j, struct run *r)
{
    char text[400];
    const ssize_t n = read(j->said, text, sizeof text);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
        report(j, r);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] != '\n') j->line[j->used++] = text[i];
        if (text[i] == '\n' || j->used == sizeof j->line - 1) end_line(j);
    }
}

static const struct carried_test *next_of(const struct carried_test *t, const struct run *r)
{
    for (char name[200]; t; t = t->next) {
        full_name(t, name);
        if (strncmp(name, r->filter, strlen(r->filter))) continue;
        if (r->but[0] && !strncmp(name, r->but, strlen(r->but))) continue;
        return t;
    }
    return NULL;
}

static int run_all(struct run *r)
{
    static struct job jobs[JOBS_MAX];
    const struct carried_test *t = next_of(first, r);
    for (size_t running = 1; running;) {
        struct pollfd ends[JOBS_MAX];
        running = 0;
        for (size_t i = 0; i < r->jobs; i++) {
            if (!jobs[i].t && t) {
                start(&jobs[i], t, r);
                t = next_of(t->next, r);
                if (jobs[i].child <= 0) report(&jobs[i], r);
            }
            ends[i] = (struct pollfd){.fd = jobs[i].t ? jobs[i].said : -1, .events = POLLIN};
            running += jobs[i].t || t;
        }
        if (!running || poll(ends, r->jobs, -1) < 0) continue;
        for (size_t i = 0; i < r->jobs; i++)
            if (jobs[i].t && ends[i].revents) listen_to(&jobs[i], r);
    }
    fprintf(stderr, "%zu passed, %zu failed, %zu skipped\n", r->passed, r->failed, r->skipped);
    return r->failed || r->passed + r->skipped == 0;
}

/* The text behind `name` where the argument begins with it. */
static const char *value_of(const char *argument, const char *name)
{
    return strncmp(argument, name, strlen(name)) ? NULL : argument + strlen(name);
}

static bool number(const char *text, unsigned long most, unsigned long *out)
{
    char *end;
    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *out >= 1 && *out <= most;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: test-gpu [--filter=SUITE/NAME] [--but=SUITE/NAME] [--jobs=1..%d] "
            "[--timeout=SECONDS] [--tap=FILE]\n"
            "       test-gpu --one=SUITE/NAME\n"
            "       test-gpu shoal COMMAND ...\n",
            JOBS_MAX);
    return 2;
}

int main(int argc, char **argv)
{
    struct run r = {.filter = "", .but = "", .tap = stdout, .limit_s = 60, .jobs = 1};
    if (argc >= 2 && !strcmp(argv[1], "shoal")) return shoal_main(argc - 1, argv + 1);
    golden_beside_the_program();
    for (int i = 1; i < argc; i++) {
        const char *v;
        if ((v = value_of(argv[i], "--one="))) run_here(v);
        else if ((v = value_of(argv[i], "--filter="))) r.filter = v;
        else if ((v = value_of(argv[i], "--but="))) r.but = v;
        else if ((v = value_of(argv[i], "--jobs="))) {
            if (!number(v, JOBS_MAX, &r.jobs)) return usage();
        } else if ((v = value_of(argv[i], "--timeout="))) {
            if (!number(v, 100000, &r.limit_s)) return usage();
        } else if ((v = value_of(argv[i], "--tap="))) {
            r.tap = fopen(v, "w");
            if (!r.tap) fprintf(stderr, "test-gpu: cannot write %s: %s\n", v, strerror(errno));
            if (!r.tap) return 2;
        } else if (strcmp(argv[i], "--quiet")) return usage();
    }
    const int code = run_all(&r);
    if (r.tap != stdout && fclose(r.tap)) return 1;
    return code;
}
