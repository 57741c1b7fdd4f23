/* member_push.h -- what goes out by itself: records that were heard first here, and my own. Part of
 * member.c, on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_PUSH_H
#define SHOAL_SWARM_MEMBER_PUSH_H

#include "member_parts.h"

/* How long records are gathered before they are pushed. SPEC.md, "Membership". */
#define MEMBER_FLUSH_DELAY span_ms(20)

void member_send(struct members *m, int member, const struct writer *w, const struct sink *out);

uint32_t member_age_ms(const struct stored *s, instant now);
struct bytes member_stored_bytes(const struct stored *s);

/* Everything that is to go to this member, as far as it fits. True when something is left. */
bool member_pack(struct members *m, int member, struct writer *w);
/* Sends what is to be pushed, in as few datagrams as it takes; or soon, with what comes until
 * then. */
void member_flush(struct members *m, const struct sink *out);
void member_flush_soon(struct members *m);
/* Some of those linked, chosen by chance, without the ones excluded, as bits. */
uint64_t member_some_linked(struct members *m, uint64_t excluded);

/* Signs and sends my PEER record anew; whom I cannot reach. */
void members_publish_peer(struct members *m);
void members_publish_reach(struct members *m);
/* Rises above every incarnation of mine that others have heard of. */
void member_outgrow(struct members *m, uint64_t incarnation);

#endif
