/* member_sync.h -- anti-entropy: two members compare what they hold. Part of member.c, on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_SYNC_H
#define SHOAL_SWARM_MEMBER_SYNC_H

#include "member.h"

/* What I hold, as one number: equal at two nodes that hold the same records. */
uint64_t member_view_digest(const struct members *m);

/* Asks one of those whose digest was another than mine. */
void member_sync_someone(struct members *m, const struct sink *out);

#endif
