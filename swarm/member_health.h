/* member_health.h -- suspicion, with the timers of Lifeguard (arXiv 1707.00788). Part of member.c,
 * on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_HEALTH_H
#define SHOAL_SWARM_MEMBER_HEALTH_H

#include "member_parts.h"

#define MEMBER_LEASE        span_s(120) /* SPEC.md, "Membership": nothing newer was heard */
#define MEMBER_HEALTH_WORST 8           /* of local health */

/* It is back: ALIVE, not suspected, and dialled at once if there is no link. */
void member_revive(struct members *m, int i, const struct sink *out);
/* It is gone; `how`: HEALTH_DEAD or HEALTH_LEFT. Its links are the caller's to hang up
 * (contact_drop). */
void member_lose(struct members *m, int i, enum peer_health how, const struct sink *out);

/* Takes an accusation of the present incarnation, with the record that says so; `from` sent it
 * (NOBODY: me). True for the first one: it is suspected from now on, and a caller that only heard
 * so should probe it. */
bool member_accused(struct members *m, int i, sid accuser, uint64_t incarnation,
                    const uint8_t bytes[RECORD_SUSPECT_BYTES], int from, const struct sink *out);
/* I cannot reach it: signs an accusation of my own and spreads it. */
void members_accuse(struct members *m, int i, const struct sink *out);

/* A member that is suspected or dead and still speaks must know, to refute: sends it the
 * accusation, or, if it left, its own goodbye; once a second at most. */
void member_tell_suspect(struct members *m, int i, const struct sink *out);

/* When a member with accusers is given up, unless it refutes: 10 .. 60 s after the suspicion began,
 * the sooner the more accusers. */
instant member_suspicion_ends(const struct members *m, const struct member *p);
/* True when it is given up, after a suspicion or MEMBER_LEASE without news: its links are the
 * caller's to hang up. */
bool member_health_tick(struct members *m, int i, const struct sink *out);

#endif
