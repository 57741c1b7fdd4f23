/* owners.h -- who averages which chunk: a pure function of the group, so that all its members
 * compute the same table.
 *
 * In units of the vector, a member of a group of g that owns the share f sends 1 + (g - 2) f: its
 * contributions for the 1 - f it does not own, and g - 1 results for the f it owns. It receives as
 * much, but lines carry no less down than up, and who is not flooded cannot measure how much. The
 * shares minimise the maximum of (1 + (g - 2) f) / uplink: water-filling. SPEC.md, "Averaging". */
#ifndef SHOAL_SWARM_OWNERS_H
#define SHOAL_SWARM_OWNERS_H

#include "match_wire.h"

/* share[i]: how many chunks member i owns, by bandwidth; their sum is `chunks`; 0 after the last
 * member. */
void owners_share(const struct match_group *g, uint32_t chunks, uint32_t share[NODE_GROUP_MAX]);

/* owner[c] for each chunk: members take turns in proportion to their shares (smooth weighted round
 * robin). */
void owners_assign(const uint32_t share[NODE_GROUP_MAX], uint32_t count, uint32_t chunks,
                   uint8_t *owner);

/* The member that averages chunk `c` at this rank: the owner at rank 0, then the others in an order
 * specific to the chunk. rank < g->count. */
uint32_t owners_at_rank(const struct match_group *g, uint32_t c, uint32_t owner, uint32_t rank);

#endif
