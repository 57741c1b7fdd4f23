/* journal.h -- the event log: what happened, one JSON object a line, for programs to read. Its
 * events and their fields are in docs/events.md.
 *
 *     journal_begin(j, "step");
 *     journal_u64(j, "step", 12);
 *     journal_f64(j, "loss", 3.5);
 *     journal_end(j);
 *     {"t":1732500000.123,"event":"step","step":12,"loss":3.5}
 *
 *     callers --whole lines--> memory, at most 1 MiB --the log's own thread--> file
 *
 * No caller waits for a disk: a thread of the log's own writes what is there at once, whatever it
 * costs, and the next lines wait in memory meanwhile. A process killed in one instant leaves all
 * but what it said within the last write, a millisecond on an idle disk; journal_close writes all.
 *
 * A line is whole or is not there. What a full disk has cut is completed when there is room again,
 * a write each second being tried; lines for which memory has no room are counted, and the event
 * `log_gap` (lost, why) stands where they would. The first failure is said on stderr, and so is at
 * the end what was lost. A log that ends in half a line, of a process that was killed, gets a new
 * line first. A log that was renamed or removed, as logrotate does, is opened anew within two
 * seconds.
 *
 * Lines keep their order when several threads write: begin takes a lock that end releases. A NULL
 * journal takes everything and writes nothing. */
#ifndef SHOAL_BASE_JOURNAL_H
#define SHOAL_BASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct journal;

/* Appends to `path`, created when missing; an empty one: to no file. `echo`: a descriptor that gets
 * each line too, as --json prints them, or -1; one that nobody reads any more is given up with a
 * sentence on stderr. Neither: *out is NULL. ERR_IO, ERR_MEMORY. */
enum err journal_open(struct journal **out, const char *path, int echo, struct why *w);

/* Writes what waits, gives a disk that takes nothing one last try, and frees all. */
void journal_close(struct journal *j);

/* The fields as object.h writes them. */
void journal_begin(struct journal *j, const char *event);
void journal_u64(struct journal *j, const char *key, uint64_t v);
void journal_f64(struct journal *j, const char *key, double v); /* null when it is not finite */
void journal_bool(struct journal *j, const char *key, bool v);
void journal_text(struct journal *j, const char *key, const char *v);
void journal_hex(struct journal *j, const char *key, const void *data, size_t count);
void journal_json(struct journal *j, const char *key, const char *json); /* JSON already */
void journal_end(struct journal *j);

#endif
