/* member_probe.h -- PING and PONG. Part of member.c, on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_PROBE_H
#define SHOAL_SWARM_MEMBER_PROBE_H

#include "member_parts.h"

/* Starts a probe at the next tick, unless one is under way; of the next member in turn. */
void member_probe(struct members *m, int i);
void member_probe_next(struct members *m);
void member_probe_tick(struct members *m, int i, const struct sink *out);

/* WIRE_PING or WIRE_PONG, with what waits for this member. */
void member_send_ping(struct members *m, int i, uint8_t type, uint32_t nonce,
                      const struct sink *out);
/* One PING on this member's link. */
void members_ping(struct members *m, int member, uint32_t nonce, const struct sink *out);
void member_on_pong(struct members *m, int i, uint32_t nonce);

#endif
