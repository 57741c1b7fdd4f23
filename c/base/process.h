/* process.h -- starts this program again with a list of arguments, never through a shell, so that
 * they may contain anything. */
#ifndef SHOAL_BASE_PROCESS_H
#define SHOAL_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* Starts this program with argv, ended by NULL, in its own process group, so that the terminal's
 * Ctrl-C does not reach it. Its output is appended to the file `output`. ERR_IO. */
enum err process_start(const char *const *argv, const char *output, pid_t *out, struct why *w);

/* Runs this program with argv, ended by NULL, and captures its stdout, at most room - 1 bytes,
 * followed by a zero. Its stderr is discarded. False, and an empty text, unless it ended with code
 * 0. */
bool process_output(const char *const *argv, char *to, size_t room);

#endif
