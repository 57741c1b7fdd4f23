/* event_log.h -- the event log: what happened, one JSON object a line, for programs to read. Its
 * events and their fields are in docs/events.md.
 *
 *     event_log_begin(j, "step");
 *     event_log_u64(j, "step", 12);
 *     event_log_f64(j, "loss", 3.5);
 *     event_log_end(j);
 *     {"t":1732500000.123,"event":"step","step":12,"loss":3.5}
 *
 *     callers --whole lines--> memory, at most 1 MiB --the log's own thread--> file
 *
 * No caller waits for a disk: a thread of the log's own writes what is there at once, whatever it
 * costs, and the next lines wait in memory meanwhile. A process killed in one instant leaves all
 * but what it said within the last write, a millisecond on an idle disk; event_log_close writes
 * all.
 *
 * A line is whole or is not there. What a full disk has cut is completed when there is room again,
 * a write each second being tried; lines for which memory has no room are counted, and the event
 * `log_gap` (lost, why) stands where they would. The first failure is said on stderr, and so is at
 * the end what was lost. A log that ends in half a line, of a process that was killed, gets a new
 * line first. A log that was renamed or removed, as logrotate does, is opened anew within two
 * seconds.
 *
 * Lines keep their order when several threads write: begin takes a lock that end releases. A NULL
 * event log takes everything and writes nothing. */
#ifndef SHOAL_BASE_EVENT_LOG_H
#define SHOAL_BASE_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct event_log;

/* Appends to `path`, created when missing; an empty one: to no file. `echo`: a descriptor that gets
 * each line too, as --json prints them, or -1; one that nobody reads any more is given up with a
 * sentence on stderr. Neither: *out is NULL. ERR_IO, ERR_MEMORY. */
enum err event_log_open(struct event_log **out, const char *path, int echo, struct why *w);

/* Writes what waits, gives a disk that takes nothing one last try, and frees all. */
void event_log_close(struct event_log *j);

/* The fields as object.h writes them. */
void event_log_begin(struct event_log *j, const char *event);
void event_log_u64(struct event_log *j, const char *key, uint64_t v);
void event_log_f64(struct event_log *j, const char *key, double v); /* null when it is not finite */
void event_log_bool(struct event_log *j, const char *key, bool v);
void event_log_text(struct event_log *j, const char *key, const char *v);
void event_log_hex(struct event_log *j, const char *key, const void *data, size_t count);
void event_log_json(struct event_log *j, const char *key, const char *json); /* JSON already */
void event_log_end(struct event_log *j);

#endif
