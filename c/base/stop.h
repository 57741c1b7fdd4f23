/* stop.h -- requests by the user or the system to end a command.
 *
 *     the first signal     the command finishes its step, saves, leaves the swarm and ends
 *     within a second      the same request: timeout(1) signals the child and then its group,
 *                          as do a closing terminal and its shell
 *     a later signal       the command ends at once
 *
 * Signals are SIGINT, SIGTERM and SIGHUP, SIGHUP only if it was not ignored at the start, as under
 * nohup. */
#ifndef SHOAL_BASE_STOP_H
#define SHOAL_BASE_STOP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/instant.h"

#define STOP_CODE_AT_ONCE 130 /* the exit code without saving */

struct stop {                /* all zeros at the start */
    _Atomic uint64_t latest; /* ns: time of the latest counted signal */
    _Atomic unsigned count;  /* requests so far */
};

/* Counts a signal. False when it belongs to the previous request. Async-signal-safe. */
bool stop_take(struct stop *s, instant now);

/* The three signals; SIGHUP only if it is not ignored now. */
void stop_signals(sigset_t *set);

/* Counts signals of this process from now on; the first and second request print these sentences on
 * stderr; NULL: none. After the second request the process ends with STOP_CODE_AT_ONCE, unless
 * `second` is NULL: then the caller must handle it. */
void stop_watch(const char *first, const char *second);

/* Number of requests since stop_watch. */
unsigned stop_wishes(void);

#endif
