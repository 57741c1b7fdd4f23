/* live.h -- what a worker shows while it runs: a sentence for each event (story.h), and where it
 * stands, on a terminal as lines that are drawn again in place (terminal.h), elsewhere as a line
 * every ten seconds.
 *
 * It reads the worker's own event log as any other program may, on a thread of its own, and takes
 * no part in the work. A worker that keeps no log writes its events to a pipe instead
 * (event_log_open's `echo`). */
#ifndef SHOAL_NODE_LIVE_H
#define SHOAL_NODE_LIVE_H

#include <stdint.h>

#include "base/err.h"

struct live;

/* Begins to follow the log, of which the present end counts as its beginning; it need not exist
 * yet. Without one ("") *echo becomes the descriptor to write the events to, else it stays as it
 * is. `epochs`: of the whole run; `every`: inner steps between averages. The calling thread's
 * signal mask is inherited. ERR_MEMORY, ERR_IO; live_close in any case. */
enum err live_open(struct live **out, const char *log, uint64_t epochs, uint64_t every, int *echo,
                   struct why *w);

/* Shows what has come, takes the picture away, ends the thread. NULL is fine. */
void live_stop(struct live *l);

/* After live_stop, and once nobody writes to the pipe. NULL is fine. */
void live_close(struct live *l);

#endif
