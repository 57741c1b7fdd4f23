/* history.h -- one worker's event log as curves and sums, of bounded size for any length of log.
 *
 * docs/events.md describes the lines; others are counted and ignored. The log may still grow:
 * history_read continues where it stopped. */
#ifndef SHOAL_FLEET_HISTORY_H
#define SHOAL_FLEET_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "fleet/curve.h"

#define HISTORY_MARKS_MAX 2000 /* latest ones kept per log; dropped ones are counted */

/* Columns of the curves; `t` is the time in unix seconds. */
enum { STEP_T, STEP_STEP, STEP_LOSS, STEP_LR, STEP_RATE, STEP_TOKENS, STEP_COLUMNS };
enum { NET_T, NET_SENT, NET_RECEIVED, NET_PEERS, NET_COLUMNS };
enum { OUTER_T, OUTER_EPOCH, OUTER_PAUSED_MS, OUTER_COLUMNS };
enum { EVALUATION_T, EVALUATION_STEP, EVALUATION_LOSS, EVALUATION_COLUMNS };

/* Events of a worker that are marked on the time axis. */
enum mark_kind {
    MARK_START,
    MARK_JOIN,  /* downloaded its state from peers */
    MARK_CRASH, /* the log continues with another start, or ends without an "end" */
    MARK_DEATH, /* it declared another member dead */
    MARK_FORK,
    MARK_DROP, /* discarded steps */
    MARK_FAIL, /* a non-finite step, an unwritten checkpoint, lost lines */
    MARK_END,
    MARK_KINDS
};

struct mark {
    double t;
    enum mark_kind kind;
    char *text; /* a sentence */
};

struct history {
    char *path;
    FILE *file;
    char *line;
    size_t line_count, line_room;
    bool line_too_long;
    uint64_t odd_lines;

    json_t *start; /* the latest event "start"; NULL: none yet */
    uint64_t starts;
    char id[65];
    struct curve steps, net, outers, evaluations;
    struct mark *marks;
    size_t marks_count, marks_left_out;

    double first_t, last_t;   /* times of its first and last line; 0: none */
    bool ended;               /* the latest process ended normally */
    uint64_t inner_steps;     /* all steps computed */
    uint64_t tokens, dropped; /* processed; of those, discarded */
    uint64_t round_tokens;    /* since the latest outer step */
    bool round_dropped;       /* some steps since then were discarded */
    uint64_t planned, done;   /* tokens of the epochs it took part in: planned, and kept */
    uint64_t epoch, every, batch_tokens;
    double step; /* global */
    double step_ms, paused_ms, loss_first, loss_last;
    uint64_t sent, received, sent_before, received_before;
    char digest[65]; /* after the latest outer step */
};

/* `path` must exist. ERR_IO, ERR_MEMORY. */
enum err history_open(struct history *h, const char *path, struct why *w);
void history_close(struct history *h);

/* Reads new lines; true when there were any. */
bool history_read(struct history *h);

/* The name shown in the report; static. */
const char *mark_name(enum mark_kind k);

#endif
