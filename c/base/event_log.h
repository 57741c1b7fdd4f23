/* event_log.h -- the event log: events as JSON objects, one per line, for programs. docs/events.md
 * describes them.
 *
 *     event_log_begin(j, "step");
 *     event_log_u64(j, "step", 12);
 *     event_log_f64(j, "loss", 3.5);
 *     event_log_end(j);
 *     {"t":1732500000.123,"event":"step","step":12,"loss":3.5}
 *
 *     callers --whole lines--> memory, at most 1 MiB --the log's own thread--> file
 *
 * No caller waits for a disk: the log's own thread writes what is there at once, and further lines
 * wait in memory meanwhile. A killed process loses only the events since its last write began, a
 * millisecond on an idle disk; event_log_close and event_log_finish write everything.
 *
 * Lines are complete or absent. A line cut by a full disk is completed when there is space again,
 * with an attempt each second; lines that do not fit in memory are counted, and the event `log_gap`
 * (lost, why) replaces them. The first failure is reported on stderr, and at the end what was lost.
 * A log that ends in half a line, of a killed process, gets a newline first. A log that was renamed
 * or removed, as by logrotate, is reopened within two seconds.
 *
 * Lines keep their order when several threads write: event_log_begin takes a lock that
 * event_log_end releases. All functions accept a NULL event log and then do nothing. */
#ifndef SHOAL_BASE_EVENT_LOG_H
#define SHOAL_BASE_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/instant.h"

struct event_log;

/* Appends to `path`, created when missing; an empty path: no file. `echo`: a descriptor that also
 * gets each line, for --json, or -1; when its reader is gone it is dropped, with a message on
 * stderr. With neither, *out is NULL. ERR_IO, ERR_MEMORY. */
enum err event_log_open(struct event_log **out, const char *path, int echo, struct why *w);

/* Before the process ends: writes what waits, with one last attempt if the disk fails. True once that
 * is done, false after `patience` with a disk that stands still. Later events are lost. */
bool event_log_finish(struct event_log *j, span patience);

/* The same, then frees everything. A disk that stands still is waited for 10 seconds; then the memory
 * is left to the thread that waits, a message on stderr says so, and the process can end. */
void event_log_close(struct event_log *j);

/* Fields are written as in object.h. */
void event_log_begin(struct event_log *j, const char *event);
void event_log_u64(struct event_log *j, const char *key, uint64_t v);
void event_log_f64(struct event_log *j, const char *key, double v); /* null when it is not finite */
void event_log_bool(struct event_log *j, const char *key, bool v);
void event_log_text(struct event_log *j, const char *key, const char *v);
void event_log_hex(struct event_log *j, const char *key, const void *data, size_t count);
void event_log_json(struct event_log *j, const char *key, const char *json); /* already JSON */
void event_log_end(struct event_log *j);

#endif
