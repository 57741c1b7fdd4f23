/* match_attempt.h -- the states of an attempt: OPEN, CLOSED, LOCKED, COMMITTED or SOLO. Part of
 * match.c, on the same struct. */
#ifndef SHOAL_SWARM_MATCH_ATTEMPT_H
#define SHOAL_SWARM_MATCH_ATTEMPT_H

#include "match_parts.h"

/* Makes my READY of the present attempt, m->mine, from the offer. */
void match_make_ready(struct match *m);

/* Begins an attempt with a higher number than the present one. */
void match_open(struct match *m, uint16_t attempt, instant now, const struct sink *out);

/* Gives up the present attempt for this one, or for SOLO when the attempts or the time are used
 * up. */
void match_next(struct match *m, uint16_t attempt, instant now, const struct sink *out);

/* Leaves OPEN, CLOSED or LOCKED if what it waits for has arrived, or its time is over. */
void match_review(struct match *m, instant now, const struct sink *out);

/* A READY of this mate no longer counts: sets that include it are void. */
void match_void_proposals(struct match *m, const struct match_mate *mate);

/* CLOSED: locks when everyone proposes my set, or when somebody has signed a set that I proposed in
 * this attempt. */
void match_lock_if_agreed(struct match *m, instant now, const struct sink *out);

/* LOCKED: this member will not sign any more, unless it already has; `attempt` is the next one. */
void match_lost_while_locked(struct match *m, sid peer, uint16_t attempt, instant now,
                             const struct sink *out);

/* The latest group is certified. */
void match_commit(struct match *m, const struct sink *out);
void match_commit_if_signed(struct match *m, const struct sink *out);

#endif
