/* runner.c -- runs the tests of a program that is carried to a machine with a GPU, or the program shoal in it.
 *
 *     test-gpu [--tap=FILE] [--timeout=SECONDS] [--filter=SUITE/NAME]    all tests, or those whose SUITE/NAME begins so
 *     test-gpu --one=SUITE/NAME                                          one test, in this process
 *     test-gpu shoal bench gpu --json                                    shoal itself: any of its commands
 *
 * Each test runs in a process of its own that executes this program again: CUDA does not survive a fork, and tools that
 * watch CUDA see every process from its start. The results are told in TAP, on standard output or to FILE. Code 0 when no
 * test failed and one at least passed or was skipped. (--quiet is taken as Criterion's programs take it: test/tally.py
 * says it to all.) The tests read test/golden in the working folder or, where there is none, beside this program. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "criterion/criterion.h"

#define SKIPPED 77 /* the exit code of a process whose test was skipped */

int shoal_main(int argc, char **argv); /* main of c/bin/main.c, by another name (build.zig) */

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

struct told { /* of one test */
    int status;
    char last_line[400]; /* of what it said on standard error */
};

/* Runs it in a process of its own, passing on what it says, at most for `limit_s`. */
static struct told run_apart(const char *name, unsigned limit_s)
{
    struct told r = {.status = -1};
    char option[220], line[400];
    int ends[2];
    snprintf(option, sizeof option, "--one=%s", name);
    if (pipe(ends)) return r;
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]), close(ends[1]);
        alarm(limit_s); /* SIGALRM ends it; an alarm outlives exec */
        execl("/proc/self/exe", "test-gpu", option, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    while (child > 0 && said && fgets(line, sizeof line, said)) {
        line[strcspn(line, "\n")] = 0;
        if (!line[0]) continue;
        if (strncmp(line, "skipped: ", 9)) fprintf(stderr, "%s: %s\n", name, line);
        memcpy(r.last_line, line, sizeof line);
    }
    if (said) fclose(said);
    if (child > 0) waitpid(child, &r.status, 0);
    return r;
}

static int run_all(const char *filter, FILE *tap, unsigned limit_s)
{
    size_t passed = 0, failed = 0, skipped = 0;
    for (const struct carried_test *t = first; t; t = t->next) {
        char name[200];
        full_name(t, name);
        if (strncmp(name, filter, strlen(filter))) continue;
        struct told r = run_apart(name, limit_s);
        if (WIFEXITED(r.status) && WEXITSTATUS(r.status) == 0) {
            passed++;
            fprintf(tap, "ok - %s::%s\n", t->suite, t->name);
        } else if (WIFEXITED(r.status) && WEXITSTATUS(r.status) == SKIPPED) {
            skipped++;
            fprintf(tap, "ok - %s::%s # SKIP %s\n", t->suite, t->name,
                    r.last_line + strlen("skipped: "));
        } else {
            failed++;
            fprintf(tap, "not ok - %s::%s\n", t->suite, t->name);
            if (WIFSIGNALED(r.status))
                fprintf(tap, "  - %s\n",
                        WTERMSIG(r.status) == SIGALRM ? "took too long"
                                                      : strsignal(WTERMSIG(r.status)));
            else fprintf(tap, "  - %s\n", r.last_line);
        }
        fflush(tap);
    }
    fprintf(stderr, "%zu passed, %zu failed, %zu skipped\n", passed, failed, skipped);
    return failed || passed + skipped == 0;
}

int main(int argc, char **argv)
{
    const char *filter = "";
    unsigned long limit_s = 600;
    FILE *tap = stdout;
    if (argc >= 2 && !strcmp(argv[1], "shoal")) return shoal_main(argc - 1, argv + 1);
    golden_beside_the_program();
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "--one=", 6)) run_here(argv[i] + 6);
        else if (!strncmp(argv[i], "--filter=", 9)) filter = argv[i] + 9;
        else if (!strncmp(argv[i], "--timeout=", 10)) limit_s = strtoul(argv[i] + 10, NULL, 10);
        else if (!strncmp(argv[i], "--tap=", 6)) tap = fopen(argv[i] + 6, "w");
        else if (strcmp(argv[i], "--quiet")) {
            fprintf(stderr,
                    "usage: test-gpu [--tap=FILE] [--timeout=SECONDS] [--filter=SUITE/NAME]\n"
                    "       test-gpu --one=SUITE/NAME\n"
                    "       test-gpu shoal COMMAND ...\n");
            return 2;
        }
        if (!tap) {
            fprintf(stderr, "test-gpu: cannot write %s: %s\n", argv[i] + 6, strerror(errno));
            return 2;
        }
    }
    const int code = run_all(filter, tap, (unsigned)limit_s);
    if (tap != stdout && fclose(tap)) return 1;
    return code;
}
