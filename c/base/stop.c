#include "base/stop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static struct stop of_process;
static const char *sentences[2];

bool stop_take(struct stop *s, instant now)
{
    uint64_t latest = atomic_load(&s->latest);
    if (latest && instant_since(now, (instant){latest}).ns < span_s(1).ns) return false;
    /* Two threads may be in the handler at once: the later one belongs to the same request. */
    if (!atomic_compare_exchange_strong(&s->latest, &latest, now.ns ? now.ns : 1)) return false;
    atomic_fetch_add(&s->count, 1);
    return true;
}

void stop_signals(sigset_t *set)
{
    struct sigaction old;
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN) sigaddset(set, SIGHUP);
}

static void on_signal(int number)
{
    (void)number;
    const int before = errno; /* of the interrupted code */
    if (stop_take(&of_process, clock_now())) {
        const unsigned count = atomic_load(&of_process.count);
        const char *said = sentences[count > 1];
        /* A failed write to stderr is ignored. */
        if (said && write(STDERR_FILENO, said, strlen(said)) < 0) errno = 0;
        if (count > 1 && sentences[1]) _exit(STOP_CODE_AT_ONCE);
    }
    errno = before;
}

void stop_watch(const char *first, const char *second)
{
    struct sigaction act = {.sa_handler = on_signal};
    sentences[0] = first;
    sentences[1] = second;
    stop_signals(&act.sa_mask);
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&act.sa_mask, number) == 1) sigaction(number, &act, NULL);
}

unsigned stop_wishes(void) { return atomic_load(&of_process.count); }
