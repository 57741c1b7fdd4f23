/* member_probe.h -- PING and PONG. Part of member.c, on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_PROBE_H
#define SHOAL_SWARM_MEMBER_PROBE_H

#include "member_parts.h"

/* Starts a probe of this member, or of the next one in turn, at the next tick; does nothing if one
 * is under way or there is no link. */
void member_probe(struct members *m, int i);
void member_probe_next(struct members *m);
/* Sends up to four PINGs; after PROBE_PATIENCE times local health accuses the member, unless
 * something was heard from it. */
void member_probe_tick(struct members *m, int i, const struct sink *out);

/* `type`: WIRE_PING or WIRE_PONG. Piggybacks the records that wait for this member. */
void member_send_ping(struct members *m, int i, uint8_t type, uint32_t nonce,
                      const struct sink *out);
/* Sends one PING on this member's link. */
void members_ping(struct members *m, int member, uint32_t nonce, const struct sink *out);
/* Ends the probe with this nonce; another nonce is ignored. */
void member_on_pong(struct members *m, int i, uint32_t nonce);

#endif
