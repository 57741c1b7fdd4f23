/* process.h -- starts this program once more with a list of arguments, never through a shell: names
 * may hold anything. */
#ifndef SHOAL_BASE_PROCESS_H
#define SHOAL_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* Starts this program with argv, ended by NULL, in a process group of its own: the terminal's
 * Ctrl-C is not for it. What it says goes behind what is in the file `output`. ERR_IO. */
enum err process_start(const char *const *argv, const char *output, pid_t *out, struct why *w);

/* Runs this program with argv, ended by NULL, and keeps what it writes on stdout, at most room - 1
 * bytes and a zero behind. What it writes on stderr is dropped. False, and an empty text, when it
 * did not end with code 0. */
bool process_output(const char *const *argv, char *to, size_t room);

#endif
