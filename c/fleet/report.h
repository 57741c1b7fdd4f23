/* report.h -- the event logs of a swarm as one HTML file: curves, events, settings.
 *
 *     logs --history.h--> curves and sums --> report.html: text, data, report.js, dygraphs
 *
 * The file is self-contained. Each curve has at most CURVE_ROWS_MAX points, so its size is bounded,
 * and writing it reads each log once. The logs may come from any number of machines and from
 * workers of several runs; their clocks are assumed to agree. */
#ifndef SHOAL_FLEET_REPORT_H
#define SHOAL_FLEET_REPORT_H

#include "base/err.h"
#include "fleet/history.h"

struct report_fact {
    const char *name, *value; /* "validation loss", "3.81 nats" */
};

/* Information that is not in the logs. All of it is optional. */
struct report_more {
    const struct report_fact *facts;
    size_t facts_count;
    const char *sample; /* text from the model */
};

struct report {
    struct history *logs;
    size_t count;
};

/* Opens the logs and reads them. ERR_IO names the log that cannot be opened. */
enum err report_open(struct report *r, const char *const *logs, size_t count, struct why *w);
void report_close(struct report *r);

/* Reads new lines of the logs; true when there were any. */
bool report_read(struct report *r);

/* Tokens that the workers' epochs required, and those processed and kept: with outer.count: tokens
 * a busy machine ends epochs early (README, "What the quickstart shows"). */
uint64_t report_planned(const struct report *r);
uint64_t report_done(const struct report *r);

/* Writes the file. `live`: an open page checks for a newer version every few seconds. */
enum err report_write(const struct report *r, const char *path, const struct report_more *more,
                      bool live, struct why *w);

#endif
