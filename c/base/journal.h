/* journal.h -- what happened, one JSON object a line, for programs to read.
 *
 *     journal_begin(j, "step");  journal_u64(j, "step", 12);  journal_f64(j, "loss", 3.5);  journal_end(j);
 *     {"t":1732500000.123,"event":"step","step":12,"loss":3.5}
 *
 * Lines are whole even when several threads write: begin takes a lock that end releases. Each line is flushed to the
 * system, so a killed process leaves all it said. A NULL journal takes everything and writes nothing. */
#ifndef SHOAL_BASE_JOURNAL_H
#define SHOAL_BASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct journal;

/* Appends to `path`, created when missing. */
enum err journal_open(struct journal **out, const char *path, struct why *w);
void journal_close(struct journal *j);

void journal_begin(struct journal *j, const char *event);
void journal_u64(struct journal *j, const char *key, uint64_t v);
void journal_f64(struct journal *j, const char *key, double v); /* null when it is not finite */
void journal_bool(struct journal *j, const char *key, bool v);
void journal_text(struct journal *j, const char *key, const char *v);
void journal_hex(struct journal *j, const char *key, const void *data, size_t count);
void journal_end(struct journal *j);

#endif
