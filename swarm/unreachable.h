/* unreachable.h -- which members I cannot reach: published in a record, so that `shoal status` on
 * any node can show who cannot reach whom.
 *
 * Part of membership (member.h), on the same struct. Listed are live members to which I have no
 * link and the latest dial failed. A change is published after five seconds, if it still holds
 * then. */
#ifndef SHOAL_SWARM_UNREACHABLE_H
#define SHOAL_SWARM_UNREACHABLE_H

#include "member_parts.h"

/* Live members to which there is no link, and the latest dial failed; ascending. */
void unreachable_now(const struct members *m, struct record_reach *out);

/* Do both name the same members for the same reasons? */
bool unreachable_same(const struct record_reach *a, const struct record_reach *b);

/* Updates the set of members that cannot be reached, and publishes it once it has held for five
 * seconds; m->reach_at: when that is. */
void unreachable_tick(struct members *m);

#endif
