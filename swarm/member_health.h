/* member_health.h -- suspicion, with the timers of Lifeguard (arXiv 1707.00788). Part of member.c,
 * on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_HEALTH_H
#define SHOAL_SWARM_MEMBER_HEALTH_H

#include "member_parts.h"

#define MEMBER_LEASE        span_s(120) /* SPEC.md, "Membership": nothing newer was heard */
#define MEMBER_HEALTH_WORST 8           /* of local health */

/* It is back. */
void member_revive(struct members *m, int i, const struct sink *out);
/* It is DEAD or LEFT. Its links are the caller's to hang up (contact_drop). */
void member_lose(struct members *m, int i, enum peer_health how, const struct sink *out);

/* Takes an accusation of the present incarnation; `from` sent it (NOBODY: me). True for the first
 * one: it is suspected from now on, and whoever only heard so should look for itself. */
bool member_accused(struct members *m, int i, sid accuser, uint64_t incarnation,
                    const uint8_t bytes[RECORD_SUSPECT_BYTES], int from, const struct sink *out);
/* I cannot reach it. */
void members_accuse(struct members *m, int i, const struct sink *out);

/* Whoever is suspected or dead and still speaks must know, to refute: its accusation, or, for one
 * that left, its own goodbye. */
void member_tell_suspect(struct members *m, int i, const struct sink *out);

instant member_suspicion_ends(const struct members *m, const struct member *p);
/* True when it is given up: its links are the caller's to hang up. */
bool member_health_tick(struct members *m, int i, const struct sink *out);

#endif
