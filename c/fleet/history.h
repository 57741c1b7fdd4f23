/* history.h -- one worker's event log as curves and sums, of bounded size however long the log is.
 *
 * Lines are taken as docs/events.md describes them; what is no such line is counted and
 * ignored. The log may still grow: history_read goes on where it stopped. */
#ifndef SHOAL_FLEET_HISTORY_H
#define SHOAL_FLEET_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "fleet/curve.h"

#define HISTORY_MARKS_MAX 2000 /* of each log, the latest; those left out are counted */

/* Columns of the curves; `t` is the time in unix seconds. */
enum { STEP_T, STEP_STEP, STEP_LOSS, STEP_LR, STEP_RATE, STEP_TOKENS, STEP_COLUMNS };
enum { NET_T, NET_SENT, NET_RECEIVED, NET_PEERS, NET_COLUMNS };
enum { OUTER_T, OUTER_EPOCH, OUTER_PAUSED_MS, OUTER_COLUMNS };
enum { EVALUATION_T, EVALUATION_STEP, EVALUATION_LOSS, EVALUATION_COLUMNS };

/* What happened to a worker, to be marked in time. */
enum mark_kind {
    MARK_START,
    MARK_JOIN,  /* its state came from peers */
    MARK_CRASH, /* its log goes on with another start, or not at all, without an end */
    MARK_DEATH, /* it gave up another member */
    MARK_FORK,
    MARK_DROP, /* steps whose result was not kept */
    MARK_FAIL, /* a step that was not finite, a checkpoint that was not written, lines lost */
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

    double first_t, last_t;   /* of its lines; 0: none */
    bool ended;               /* the latest process ended in order */
    uint64_t inner_steps;     /* all that were done */
    uint64_t tokens, dropped; /* processed; of them not kept */
    uint64_t round_tokens;    /* since the latest outer step */
    bool round_dropped;       /* steps since then were not kept */
    uint64_t planned, done;   /* tokens of the epochs that it was part of: planned, kept */
    uint64_t epoch, every, batch_tokens;
    double step; /* global */
    double step_ms, paused_ms, loss_first, loss_last;
    uint64_t sent, received, sent_before, received_before;
    char digest[65]; /* after the latest outer step */
};

/* `path` must be there. ERR_IO, ERR_MEMORY. */
enum err history_open(struct history *h, const char *path, struct why *w);
void history_close(struct history *h);

/* Reads what is new; true when something was. */
bool history_read(struct history *h);

/* As the report shows it; static. */
const char *mark_name(enum mark_kind k);

#endif
