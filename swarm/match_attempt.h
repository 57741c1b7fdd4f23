/* match_attempt.h -- one attempt after the other: OPEN, CLOSED, LOCKED, COMMITTED or SOLO. Part of
 * match.c, on the same struct. */
#ifndef SHOAL_SWARM_MATCH_ATTEMPT_H
#define SHOAL_SWARM_MATCH_ATTEMPT_H

#include "match_parts.h"

/* Makes my READY of the present attempt, m->mine, from the offer. */
void match_make_ready(struct match *m);

/* Begins an attempt, a later one than the present. */
void match_open(struct match *m, uint16_t attempt, instant now, const struct sink *out);

/* Gives the present attempt up for this one, or for SOLO when there were enough, or time is
 * over. */
void match_next(struct match *m, uint16_t attempt, instant now, const struct sink *out);

/* Goes on from OPEN, CLOSED or LOCKED if what it waits for is there, or its time is over. */
void match_review(struct match *m, instant now, const struct sink *out);

/* A READY of this mate counts no longer: sets that held it are void. */
void match_void_proposals(struct match *m, const struct match_mate *mate);

/* CLOSED: locks when everyone proposes what I do, or when somebody signed what I have proposed in
 * this attempt. */
void match_lock_if_agreed(struct match *m, instant now, const struct sink *out);

/* LOCKED: a member will not sign any more, unless it has; `attempt` comes next. */
void match_lost_while_locked(struct match *m, sid peer, uint16_t attempt, instant now,
                             const struct sink *out);

/* The latest group is certified. */
void match_commit(struct match *m, const struct sink *out);
void match_commit_if_signed(struct match *m, const struct sink *out);

#endif
