/* live.h -- what a worker shows while it runs: a sentence for each event (story.h), and its status:
 * on a terminal as lines redrawn in place (terminal.h), elsewhere as a line every ten seconds.
 *
 * It reads the worker's own event log, as any other program could, on a thread of its own. A worker
 * that keeps no log writes its events to a pipe instead (event_log_open's `echo`). */
#ifndef SHOAL_NODE_LIVE_H
#define SHOAL_NODE_LIVE_H

#include <stdint.h>

#include "base/err.h"

struct live;

/* Follows the log from its present end; the file need not exist yet. Without a log ("") *echo is
 * set to the descriptor to write the events to, otherwise it is unchanged. `epochs`: of the whole
 * run; `every`: inner steps between averages. The calling thread's signal mask is inherited.
 * ERR_MEMORY, ERR_IO; call live_close in any case. */
enum err live_open(struct live **out, const char *log, uint64_t epochs, uint64_t every, int *echo,
                   struct why *w);

/* Shows pending events, erases the status lines, ends the thread. NULL is fine. */
void live_stop(struct live *l);

/* After live_stop, and once the pipe is no longer written to. NULL is fine. */
void live_close(struct live *l);

#endif
