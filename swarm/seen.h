/* seen.h -- the addresses at which peers see me, and which of them I advertise.
 *
 * Part of membership (member.h), on the same struct. A node whose configuration names no address
 * learns it from its peers: each tells it in HELLO where it sees this node, and again (SEEN) when
 * that changes. A single peer may be wrong, or lie: an address is advertised when two peers report
 * it, or when the only linked peer does. SPEC.md, "Membership". */
#ifndef SHOAL_SWARM_SEEN_H
#define SHOAL_SWARM_SEEN_H

#include "member_parts.h"

/* This member reports that it sees me at this address: may change what I advertise. */
void seen_by(struct members *m, int member, const struct address *a);

/* My configuration names me by a host name, which now resolves to this address. It is advertised
 * first, next to the previous one; what peers observe is no longer advertised. */
void seen_named(struct members *m, const struct address *a);

/* Tells a member on this link at which address I see it. */
void seen_tell(const struct members *m, link_id link, const struct address *a,
               const struct sink *out);

#endif
