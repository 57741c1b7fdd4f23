#include "trial.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE_S 20 /* a process that dies has for its page */

static struct sim_report report; /* in the child: a signal handler reads its time */

static void on_signal(int number)
{
    char line[120];
    int n = snprintf(line, sizeof line, "sim: signal %d at %.3f s, event %llu\n", number,
                     (double)report.at.ns * 1e-9, (unsigned long long)report.events);
    if (write(STDERR_FILENO, line, (size_t)n) < 0) _exit(3);
    signal(number, SIG_DFL); /* should the page die of it, too, or never be finished */
    alarm(PAGE_S);
    snprintf(line, sizeof line, "assert: the process died of signal %d; stderr says why", number);
    sim_died(line);
    _exit(3);
}

static void live(const struct sim_options *o, uint32_t limit_s, int out)
{
    const int signals[] = {SIGABRT, SIGSEGV, SIGILL, SIGTRAP, SIGFPE, SIGBUS, SIGVTALRM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], on_signal);
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){.it_value.tv_sec = limit_s}, NULL);
    bool whole = sim_run(o, &report);
    _exit(write(out, &report, sizeof report) == sizeof report && whole ? 0 : 2);
}

void trial_start(struct trial *t, const struct sim_options *o, bool mute, uint32_t limit_s)
{
    int ends[2];
    fflush(NULL);
    t->seed = o->seed;
    t->stories = mute ? tmpfile() : NULL;
    if ((mute && !t->stories) || pipe(ends) != 0 || (t->child = fork()) < 0) {
        fprintf(stderr, "sim: no process for seed %llu: %s\n", (unsigned long long)o->seed,
                strerror(errno));
        exit(2);
    }
    t->pipe = ends[0];
    if (t->child == 0) {
        if (mute) dup2(fileno(t->stories), STDERR_FILENO);
        live(o, limit_s, ends[1]);
    }
    close(ends[1]);
}

/* "died: Assertion `x' failed.", as far as it is known: the same for the same bug. */
static void say_death(const struct trial *t, struct sim_report *out)
{
    char text[4000] = "";
    if (t->stories) {
        rewind(t->stories);
        text[fread(text, 1, sizeof text - 1, t->stories)] = 0;
    }
    const char *said = strstr(text, "Assertion"), *end = NULL;
    if (said) end = strchr(said, '\n');
    else if ((said = strstr(text, "signal"))) end = strstr(said, " at ");
    snprintf(out->violation, sizeof out->violation, "died: %.*s", end ? (int)(end - said) : 0,
             end ? said : "");
}

enum trial_end trial_end(struct trial *t, struct sim_report *out)
{
    size_t have = 0;
    int status = 0;
    for (ssize_t n; have < sizeof *out; have += (size_t)n)
        if ((n = read(t->pipe, (char *)out + have, sizeof *out - have)) <= 0) break;
    close(t->pipe);
    waitpid(t->child, &status, 0);
    t->child = 0;
    bool died = have < sizeof *out;
    if (died) {
        *out = (struct sim_report){.ok = false, .scenario = ""};
        say_death(t, out);
    }
    if (t->stories) fclose(t->stories);
    if (!out->scenario) out->scenario = ""; /* a string constant: the same address after fork */
    return died ? TRIAL_DIED : status ? TRIAL_NO_PAGE : TRIAL_WHOLE;
}
