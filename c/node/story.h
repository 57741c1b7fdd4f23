/* story.h -- turns the event log of one worker into words: a sentence for each event of interest,
 * and the worker's status.
 *
 * Events and their fields are those of docs/events.md. Text chosen by peers (reasons, addresses)
 * must be cleaned before it is shown (terminal_clean). */
#ifndef SHOAL_NODE_STORY_H
#define SHOAL_NODE_STORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORY_FAILED_MAX     32
#define STORY_FIELDS_MAX     10
#define STORY_FIELD_BYTES    64
#define STORY_SENTENCE_BYTES 320

struct story_pace { /* time of a step, to estimate the remaining time */
    double t, step;
};

struct story {
    uint64_t epochs, every; /* of the whole run; inner steps between averages */
    uint64_t epoch, steps;
    uint64_t linked, known, unreachable; /* other members */
    uint64_t members;                    /* of the group that is averaging; 0: none */
    char with[80];                       /* names the others of the group */
    double t, step, loss, tokens_per_s;  /* of the latest event or step; seconds since 1970 */
    /* Seconds since 1970 of the latest traffic event; totals in bytes; rates in bytes per second up
     * to it. */
    double net_t, sent, received, sent_per_s, received_per_s;
    /* The remaining time is estimated from `before`, which is at least a minute old. */
    struct story_pace before, later;
    struct story_failed { /* a peer that it could not reach, latest dial */
        char address[64], why[160];
        double t;
    } failed[STORY_FAILED_MAX];
    size_t failed_count;
};

/* `epochs`: of the whole run, `every`: inner steps between averages. */
void story_init(struct story *s, uint64_t epochs, uint64_t every);

/* Handles one event of the log, a JSON object; ignores unknown ones. True when `out` holds a
 * sentence about it, without a full stop. */
bool story_take(struct story *s, const json_t *event, char out[STORY_SENTENCE_BYTES]);

/* The worker's status as fields, "epoch 3 of 20" and so on; returns their number. */
size_t story_fields(const struct story *s, char fields[STORY_FIELDS_MAX][STORY_FIELD_BYTES]);

#endif
