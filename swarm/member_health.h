/* member_health.h -- suspicion, with the timers of Lifeguard (arXiv 1707.00788). Part of member.c,
 * on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_HEALTH_H
#define SHOAL_SWARM_MEMBER_HEALTH_H

#include "member_parts.h"

#define MEMBER_LEASE        span_s(120) /* SPEC.md, "Membership": dead after so long without news */
#define MEMBER_HEALTH_WORST 8           /* the worst local health */

/* It is back: ALIVE, not suspected, and dialled at once if there is no link. */
void member_revive(struct members *m, int i, const struct sink *out);
/* It is gone; `how`: HEALTH_DEAD or HEALTH_LEFT. The caller hangs up its links (contact_drop). */
void member_lose(struct members *m, int i, enum peer_health how, const struct sink *out);

/* Handles an accusation of the present incarnation and the record that carries it; `from` sent it
 * (NOBODY: me). True for the first one: the member is suspected from now on, and a caller that only
 * relays hearsay should probe it. */
bool member_accused(struct members *m, int i, sid accuser, uint64_t incarnation,
                    const uint8_t bytes[RECORD_SUSPECT_BYTES], int from, const struct sink *out);
/* I cannot reach it: signs an accusation of my own and spreads it. */
void members_accuse(struct members *m, int i, const struct sink *out);

/* A suspected or dead member that still sends must know, to be able to refute: sends it the
 * accusation or, if it left, its own LEAVE; at most once a second. */
void member_tell_suspect(struct members *m, int i, const struct sink *out);

/* When a suspected member is declared dead unless it refutes: 10 .. 60 s after the suspicion began,
 * earlier with more accusers. */
instant member_suspicion_ends(const struct members *m, const struct member *p);
/* True when the member is declared dead, after a suspicion or after MEMBER_LEASE without news: the
 * caller hangs up its links. */
bool member_health_tick(struct members *m, int i, const struct sink *out);

#endif
