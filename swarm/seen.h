/* seen.h -- where I am seen, and what of it I advertise.
 *
 * Part of membership (member.h), on the same struct. A node whose configuration names no address
 * learns it from its peers: each says in its HELLO where it sees me, and again (SEEN) when that
 * changes. One peer alone may be wrong, or lie: an address is advertised when two say it, or the
 * only one who is linked. SPEC.md, "Membership". */
#ifndef SHOAL_SWARM_SEEN_H
#define SHOAL_SWARM_SEEN_H

#include "member_parts.h"

/* This member says that it sees me there: may change what I advertise. */
void seen_by(struct members *m, int member, const struct address *a);

/* My configuration names me by a host name, which stands for this address now: it is advertised,
 * first, beside the one before, and what peers observe is not any more. */
void seen_named(struct members *m, const struct address *a);

/* Tells a member on this link where I see it. */
void seen_tell(const struct members *m, link_id link, const struct address *a,
               const struct sink *out);

#endif
