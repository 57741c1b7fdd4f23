/* runner.c -- runs a Criterion program's tests without Criterion's own runner.
 *
 * ThreadSanitizer cannot start under Criterion's runner (its sandbox claims the same addresses),
 * and under AddressSanitizer leaks in its child processes go unreported. So sanitizer builds
 * replace what the test macros call: each test runs in a plain fork of this program, one after the
 * other, and its exit code tells. Prints TAP. */
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/internal/new_asserts.h>

#define SKIPPED 77
#define LIMIT_S 300 /* of one test: a sanitizer makes it up to 15 times slower */

extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
/* Weak: a program may have no TestSuite. */
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));
static const struct criterion_test *running;

/* What TestSuite says for the test that runs; NULL without one. */
static const struct criterion_test_extra_data *suite(void)
{
    for (struct criterion_suite **s = __start_cr_sts; s && s < __stop_cr_sts; s++)
        if (*s && !strcmp((*s)->name, running->category)) return (*s)->data;
    return NULL;
}

void criterion_internal_test_setup(void)
{
    const struct criterion_test_extra_data *all = suite();
    if (running->data->init) running->data->init();
    else if (all && all->init) all->init();
}

void criterion_internal_test_main(void (*test)(void)) { test(); }

void criterion_internal_test_teardown(void)
{
    const struct criterion_test_extra_data *all = suite();
    if (running->data->fini) running->data->fini();
    else if (all && all->fini) all->fini();
}

void criterion_send_assert(struct criterion_assert_stats *s)
{
    if (s->passed) return;
    printf("# %s:%u: %s\n", s->file, s->line, s->message ? s->message : "assertion failed");
    fflush(stdout);
}

void cri_assert_node_send(const char *file, size_t line, struct cri_assert_node *node)
{
    if (node->pass) return;
    printf("# %s:%zu: %s\n", file, line, node->repr ? node->repr : "assertion failed");
    fflush(stdout);
}

void cri_asserts_passed_incr(void) {}

void criterion_abort_test(void) { _exit(1); }

void criterion_continue_test(void) {}

void criterion_skip_test(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("# ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    _exit(SKIPPED);
}

/* True when the test failed. */
static int run(const struct criterion_test *t)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        running = t;
        alarm(LIMIT_S);
        t->test();
        exit(0); /* not _exit: the leak check runs at exit */
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {}
    bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED;
    bool wanted = t->data->signal
                      ? WIFSIGNALED(status) && WTERMSIG(status) == t->data->signal
                      : WIFEXITED(status) && (skipped || WEXITSTATUS(status) == t->data->exit_code);
    printf("%s - %s::%s%s\n", wanted ? "ok" : "not ok", t->category, t->name,
           skipped ? " # SKIP" : "");
    if (!wanted)
        printf("# ended with %s %d\n", WIFSIGNALED(status) ? "signal" : "code",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return !wanted;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (struct criterion_test **t = __start_cr_tst; t < __stop_cr_tst; t++)
        if (*t && !(*t)->data->disabled && (argc < 2 || strstr((*t)->name, argv[1])))
            failed += run(*t);
    return failed ? 1 : 0;
}
