/* member_sync.h -- anti-entropy: two members compare their records. Part of member.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_MEMBER_SYNC_H
#define SHOAL_SWARM_MEMBER_SYNC_H

#include "member_parts.h"

/* Sends SYNC to a random linked member whose digest differed from mine, if any. */
void member_sync_someone(struct members *m, const struct sink *out);

#endif
