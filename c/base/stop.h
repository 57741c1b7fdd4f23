/* stop.h -- a person or the system asks a command to end.
 *
 *     the first signal     the command finishes its step, saves, says goodbye and ends
 *     within a second      the same request again: timeout(1) signals the child and then its group,
 *                          a terminal that goes away does so as well as its shell
 *     a later signal       the command ends at once
 *
 * Signals are SIGINT, SIGTERM and SIGHUP, the last one not where it was ignored at the start, as
 * nohup does. */
#ifndef SHOAL_BASE_STOP_H
#define SHOAL_BASE_STOP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/instant.h"

#define STOP_CODE_AT_ONCE 130 /* the exit code of what did not save */

struct stop {                /* all zeros at the start */
    _Atomic uint64_t latest; /* ns: when a signal counted */
    _Atomic unsigned count;  /* requests so far */
};

/* Takes a signal. False when it belongs to the request before it. Async-signal-safe. */
bool stop_take(struct stop *s, instant now);

/* Those three; SIGHUP only where it is not ignored now. */
void stop_signals(sigset_t *set);

/* Lets signals of this process count from now on and write a sentence on stderr; NULL: none. After
 * the second request the process ends with STOP_CODE_AT_ONCE, unless `second` is NULL: then the
 * caller does that. */
void stop_watch(const char *first, const char *second);

/* How many requests there were since stop_watch. */
unsigned stop_wishes(void);

#endif
