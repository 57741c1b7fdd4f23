/* listed.h -- the peer list: whom a node dials that knows nobody yet.
 *
 * Part of membership (member.h), on the same struct. Of an entry only an ID and some addresses are
 * known; it has a place among the members for the time of a dial, so that a list of thousands does
 * not fill their table. Once its PEER record is here it is a member like others, and the list's
 * addresses are tried beside its own. */
#ifndef SHOAL_SWARM_LISTED_H
#define SHOAL_SWARM_LISTED_H

#include "member_parts.h"

/* Copies the configured list; entries with one ID become one. */
void listed_init(struct members *m);

/* It may be reached at this address too. False when that is not new, or it is not in the list. */
bool listed_found(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a);

/* Plans dials to the next entries that are no members yet, sixteen at a time, while there is no
 * usable link; m->listed_at says when there is more to do. */
void listed_dial(struct members *m);

/* A dial or a link of this member failed: if the list is all that is known of it, its
 * place among the members is given to others, and it waits for its next turn. */
void listed_give_up(struct members *m, int member);

/* A random one of those that may be dialled and are not members; NULL: none, or the choice fell on
 * one of the caller's. *count: candidates that the caller has drawn from already, to which these
 * are added, so that each has the same chance. */
const struct listed *listed_unmet(struct members *m, uint64_t *count);

#endif
