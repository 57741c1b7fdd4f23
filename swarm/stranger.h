/* stranger.h -- peers that dialled this node and of which nothing is known but a key: until their
 * HELLO is accepted they have no entry in the table of members, so however many they are, members
 * keep theirs.
 *
 * Part of membership (member.h), on the same struct. There is room for STRANGERS_MAX. The next one
 * takes the place of the one that waits longest, of those at the address that has most of them:
 * who comes from an address of its own stays. SPEC.md, "Membership". */
#ifndef SHOAL_SWARM_STRANGER_H
#define SHOAL_SWARM_STRANGER_H

#include "member_parts.h"

/* A link came up to a peer that has no entry in the table. */
void stranger_add(struct members *m, const struct stranger_link *s, const struct sink *out);

/* The stranger at the other end of this link; NULL: there is none. */
const struct stranger_link *stranger_of(const struct members *m, link_id link);

/* This link has ended, was hung up, or leads to a member now. */
void stranger_forget(struct members *m, link_id link);

/* Hangs up those whose HELLO did not come in time. */
void stranger_tick(struct members *m, const struct sink *out);
instant stranger_due(const struct members *m);

#endif
