/* owners.h -- who averages which chunk: a pure function of the group, so that all its members have
 * the same table.
 *
 * A member's load is its own vector plus (g - 2) times the share f it owns, since it receives g - 1
 * contributions and sends g - 1 results where it saves its own. Shares minimise the longest (1 + (g
 * - 2) f) / bandwidth: water-filling. SPEC.md, "Owners". */
#ifndef SHOAL_SWARM_OWNERS_H
#define SHOAL_SWARM_OWNERS_H

#include "base/instant.h"
#include "match_wire.h"

/* share[i]: how many chunks member i owns, by bandwidth; they add up to `chunks`, 0 behind the last
 * member. */
void owners_share(const struct match_group *g, uint32_t chunks, uint32_t share[NODE_GROUP_MAX]);

/* owner[c] for each chunk: members take turns in proportion to their shares (smooth weighted round
 * robin). */
void owners_assign(const uint32_t share[NODE_GROUP_MAX], uint32_t count, uint32_t chunks,
                   uint8_t *owner);

/* The member that averages chunk `c` at this rank: the owner at rank 0, then the others in an order
 * of the chunk's own. rank < g->count. */
uint32_t owners_at_rank(const struct match_group *g, uint32_t c, uint32_t owner, uint32_t rank);

/* How long the slowest member's uplink takes for its load; `wire` are the bytes of the whole
 * vector. */
span owners_estimate(const struct match_group *g, const uint32_t share[NODE_GROUP_MAX],
                     uint32_t chunks, uint64_t wire);

#endif
