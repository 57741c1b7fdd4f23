/* progress.h -- how far the swarm is, and when to average. Pure arithmetic on what members
 * announce; SPEC.md, "Progress". */
#ifndef SHOAL_SWARM_PROGRESS_H
#define SHOAL_SWARM_PROGRESS_H

#include "base/instant.h"
#include "action.h"

/* Extrapolation from a record ends at twice the period of progress records. */
#define PROGRESS_PERIOD_MS 5000

/* The largest epoch that at least a third of the n participants have reached; with n <= 3 a
 * majority. `epochs` is sorted in place, descending. 0 when n is 0. */
uint64_t progress_epoch(uint64_t *epochs, size_t n);

struct progress_share { /* one participant */
    bool current;       /* its record is of my epoch and lineage; otherwise of the previous epoch */
    uint64_t tokens;    /* since its latest outer step */
    uint32_t tokens_per_s;
    span age; /* of the record; 0 for my own */
};

/* Estimated work of a participant by now, from its record; at most twice its part of the target. */
uint64_t progress_tokens(const struct progress_share *p, span round_age, uint64_t part);

struct progress_sum {
    uint64_t done, target; /* tokens */
    uint64_t rate;         /* tokens per second, of all participants */
};

/* `part` = every * batch_tokens: a participant's average part of the target. `round_age`: time
 * since my latest outer step. */
struct progress_sum progress_sum(const struct progress_share *all, size_t n, span round_age,
                                 uint64_t part);

/* Is it time to average? `called`: a member of my lineage has sent READY. With count_steps the
 * node's own steps alone decide. Never before the first step. */
bool progress_ready(const struct progress_sum *s, const struct round_progress *mine, uint64_t every,
                    bool count_steps, bool called);

/* Milliseconds until progress_ready at the present rate; UINT32_MAX: unknown. */
uint32_t progress_eta_ms(const struct progress_sum *s, const struct round_progress *mine,
                         uint64_t every, bool count_steps);

#endif
