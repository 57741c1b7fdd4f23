/* story.h -- what the event log of one worker says, in words: a sentence for each event that a
 * person wants to know of, and where the worker stands.
 *
 * Events and their fields are those of docs/events.md. What peers chose (reasons, addresses) is
 * text that must be cleaned before it is shown (terminal_clean). */
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

struct story_pace { /* when a step was done, to tell how long the rest takes */
    double t, step;
};

struct story {
    uint64_t epochs, every; /* of the whole run; inner steps between averages */
    uint64_t epoch, steps;
    uint64_t linked, known, unreachable; /* other members */
    uint64_t members;                    /* of the group that averages now; 0: none */
    char with[80];                       /* who the others of it are */
    double t, step, loss, tokens_per_s;  /* of the latest event or step; seconds since 1970 */
    /* Seconds since 1970 of the latest traffic event; bytes so far; bytes a second before it. */
    double net_t, sent, received, sent_per_s, received_per_s;
    /* The remaining time is estimated from `before`, which is a minute old or more. */
    struct story_pace before, later;
    struct story_failed { /* whom it could not reach, latest try */
        char address[64], why[160];
        double t;
    } failed[STORY_FAILED_MAX];
    size_t failed_count;
};

/* `epochs`: of the whole run, `every`: inner steps between averages. */
void story_init(struct story *s, uint64_t epochs, uint64_t every);

/* Takes one event of the log, a JSON object; one that it does not know is ignored. True when `out`
 * holds a sentence about it, without a full stop. */
bool story_take(struct story *s, const json_t *event, char out[STORY_SENTENCE_BYTES]);

/* Where the worker stands: returns how many fields there are, "epoch 3 of 20" and so on. */
size_t story_fields(const struct story *s, char fields[STORY_FIELDS_MAX][STORY_FIELD_BYTES]);

#endif
