/* member_push.h -- what goes out by itself: records that were heard first here, and my own. Part of
 * member.c, on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_PUSH_H
#define SHOAL_SWARM_MEMBER_PUSH_H

#include "member_parts.h"

/* How long records are gathered before they are pushed. SPEC.md, "Membership". */
#define MEMBER_FLUSH_DELAY span_ms(20)

/* Sends a datagram on the link in use; drops it when there is none. */
void member_send(struct members *m, int member, const struct writer *w, const struct sink *out);

/* Milliseconds since its writer signed it, as far as is known; at most UINT32_MAX. */
uint32_t member_age_ms(const struct stored *s, instant now);
/* A view; empty when there is no record. */
struct bytes member_stored_bytes(const struct stored *s);

/* Appends the records that wait for this member, as many as fit, and marks them as sent. True when
 * some are left. */
bool member_pack(struct members *m, int member, struct writer *w);
/* Pushes what waits, in as few datagrams as it takes; or plans to, MEMBER_FLUSH_DELAY from now. */
void member_flush(struct members *m, const struct sink *out);
void member_flush_soon(struct members *m);
/* Three of the linked members at most, chosen at random, as bits; none of those in `excluded`. */
uint64_t member_some_linked(struct members *m, uint64_t excluded);

/* Signs my PEER or my REACH record anew and pushes it to all linked members. */
void members_publish_peer(struct members *m);
void members_publish_reach(struct members *m);
/* Raises my incarnation above this one, which others have heard of, and publishes my records
 * anew. */
void member_outgrow(struct members *m, uint64_t incarnation);

#endif
