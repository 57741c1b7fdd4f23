/* member_push.h -- pushing records: those that are new here, and my own. Part of member.c, on the
 * same struct. */
#ifndef SHOAL_SWARM_MEMBER_PUSH_H
#define SHOAL_SWARM_MEMBER_PUSH_H

#include "member_parts.h"

/* How long records are batched before they are pushed. SPEC.md, "Membership". */
#define MEMBER_FLUSH_DELAY span_ms(20)

/* Sends a datagram on the link in use; drops it when there is no link. */
void member_send(struct members *m, int member, const struct writer *w, const struct sink *out);

/* Sends a record that is new as a frame, which is not lost, on the link in use; likewise. */
void member_say_record(const struct members *m, int member, const struct stored *s,
                       const struct sink *out);

/* Estimated milliseconds since the record was signed; at most UINT32_MAX. */
uint32_t member_age_ms(const struct stored *s, instant now);
/* A view; empty when there is no record. */
struct bytes member_stored_bytes(const struct stored *s);

/* Appends records that wait for this member, as many as fit, and marks them as sent. True when some
 * did not fit. */
bool member_pack(struct members *m, int member, struct writer *w);
/* Pushes waiting records in as few datagrams as possible; or schedules that, MEMBER_FLUSH_DELAY
 * from now. */
void member_flush(struct members *m, const struct sink *out);
void member_flush_soon(struct members *m);
/* Bits of up to three linked members, chosen at random, none of them in `excluded`. */
uint64_t member_some_linked(struct members *m, uint64_t excluded);

/* Signs a new version of my PEER or REACH record and pushes it to all linked members. */
void members_publish_peer(struct members *m);
void members_publish_reach(struct members *m);
/* Raises my incarnation above this one, which others know, and publishes my records again. */
void member_outgrow(struct members *m, uint64_t incarnation);

#endif
