/* unreachable.h -- whom I cannot reach: gathered and told to all in a record, so that anybody's
 * `shoal status` can say who cannot reach whom.
 *
 * Part of membership (member.h), on the same struct. Named are live members to which I have no link
 * and of which the latest try failed. A change is published five seconds after it came, if it
 * still holds then. */
#ifndef SHOAL_SWARM_UNREACHABLE_H
#define SHOAL_SWARM_UNREACHABLE_H

#include "member_parts.h"

/* Do both name the same members for the same reasons? */
bool unreachable_same(const struct record_reach *a, const struct record_reach *b);

/* Looks who cannot be reached now, and publishes that when it has held for five seconds;
 * m->reach_at says when that is. */
void unreachable_tick(struct members *m);

#endif
