/* progress.h -- how far the swarm is, and when that is enough for an average. Pure arithmetic on
 * what members say of themselves; SPEC.md, "Progress". */
#ifndef SHOAL_SWARM_PROGRESS_H
#define SHOAL_SWARM_PROGRESS_H

#include "base/instant.h"
#include "action.h"

/* Extrapolation of a record ends at twice the period of progress records. */
#define PROGRESS_PERIOD_MS 5000

/* The largest epoch that at least a third of the n participants have reached; with n <= 3 a
 * majority. `epochs` is sorted in place, descending. 0 when n is 0. */
uint64_t progress_epoch(uint64_t *epochs, size_t n);

struct progress_share { /* one participant */
    bool current;       /* its record is of my epoch and lineage; else of the epoch before */
    uint64_t tokens;    /* since its latest outer step */
    uint32_t tokens_per_s;
    span age; /* of the record; 0 for my own */
};

/* What a participant has done by now, as far as its record tells; at most twice its part of the
 * target. */
uint64_t progress_tokens(const struct progress_share *p, span round_age, uint64_t part);

struct progress_sum {
    uint64_t done, target; /* tokens */
    uint64_t rate;         /* tokens a second, all together */
};

/* `part` = every * batch_tokens: what one participant owes on average. `round_age`: since my latest
 * outer step. */
struct progress_sum progress_sum(const struct progress_share *all, size_t n, span round_age,
                                 uint64_t part);

/* Is it time to average? `called`: a member of my lineage has said READY. With count_steps the
 * node's own steps alone decide. Never before one step is done. */
bool progress_ready(const struct progress_sum *s, const struct round_progress *mine, uint64_t every,
                    bool count_steps, bool called);

/* Milliseconds until progress_ready, if all goes on as it does; UINT32_MAX: unknown. */
uint32_t progress_eta_ms(const struct progress_sum *s, const struct round_progress *mine,
                         uint64_t every, bool count_steps);

#endif
