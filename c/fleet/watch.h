/* watch.h -- the state of a worker, from its event log, read while the log grows.
 *
 * `shoal swarm` sees its workers only through their logs, as any other program could; of a killed
 * worker only the last millisecond is missing (event_log.h). docs/events.md describes the lines. */
#ifndef SHOAL_FLEET_WATCH_H
#define SHOAL_FLEET_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct watch_point {      /* one inner step, evaluation or outer step, for sums and curves */
    double t;             /* unix seconds */
    double value;         /* loss; for an outer step the milliseconds that training paused */
    double ms;            /* duration */
    uint64_t epoch, step; /* global inner step, as the schedule counts */
};

struct watch_series {
    struct watch_point *points;
    size_t count, room;
};

struct watch {
    FILE *file;
    char path[512];
    char line[65536]; /* a "start" holds all settings */
    size_t line_used;
    struct watch_series steps, evaluations, outers;
    char id[65];
    char phase[16]; /* "start", "train", "match", "reduce", "sync", "done", "end" */
    /* Latest of "ready", "committed", "applied", "solo": is it in the middle of a round? */
    char round_event[24];
    uint64_t round_epoch; /* the epoch of that event */
    uint64_t epoch, batch_tokens, parameters, threads;
    uint64_t sent, received, peers; /* bytes of UDP payload of this process; linked members */
    uint64_t sent_before;           /* by earlier processes in the same folder */
    double tokens_per_s, lag_p99_ms;
    double excluded_ms; /* evaluation and checkpoints between first and last step */
    double dropped_ms;  /* discarded steps */
    uint64_t dropped_steps;
    double pending_ms; /* steps since the last outer step, which keeps them */
    uint64_t pending_steps;
    /* State transfer at a join; servers 0: none. */
    uint64_t joined_epoch, joined_bytes, joined_servers;
    char digest[65]; /* after the last outer step */
    bool ended;      /* ended normally */
};

/* `path` need not exist yet. */
void watch_init(struct watch *w, const char *path);
void watch_fini(struct watch *w);

/* Reads new lines. False when there were none. */
bool watch_update(struct watch *w);

#endif
