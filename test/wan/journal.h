/* journal.h -- what the pairs carried, as text: a line of counts for each pair.
 *
 *     from to packets bytes delivered delivered_bytes lost full cut too_long duplicated filtered
 *     0 1 210 260400 201 249240 2 7 0 0 0 0
 *
 * traffic.h has the counts; a line of a node with itself has what routers answered it. A report has
 * the whole of a run. A journal has it by seconds: `unix_ms`, the end of that second, comes first,
 * and only pairs where anything happened have a line. */
#ifndef SHOAL_TEST_WAN_JOURNAL_H
#define SHOAL_TEST_WAN_JOURNAL_H

#include <stdio.h>

#include "base/err.h"
#include "traffic.h"

struct journal {
    FILE *file;
    struct traffic_count *before; /* [nodes * nodes], up to the last line */
    instant due;                  /* when the present second ends */
};

/* Starts a journal at `now`. */
enum err journal_open(struct journal *j, const char *path, const struct traffic *t, instant now,
                      struct why *w);

/* Writes what happened since the last call, and starts the next second. To be called when due, or
 * later: then the lines cover more than a second. */
enum err journal_write(struct journal *j, const struct traffic *t, instant now, uint64_t unix_ms,
                       struct why *w);

void journal_close(struct journal *j);

/* What each pair is now, with the lines of both nodes: a line "from to delay_ms rate_mbit loss
 * up_mbit down_mbit"; a rate of 0 is no limit. */
enum err journal_links(const char *path, const struct traffic *t, struct why *w);

enum err journal_report(const char *path, const struct traffic *t, struct why *w);

#endif
