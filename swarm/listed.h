/* listed.h -- the peer list: which peers a node dials when it knows nobody yet.
 *
 * Part of membership (member.h), on the same struct. An entry is only an ID and some addresses. It
 * occupies a slot in the member table only during a dial, so that a list of thousands does not fill
 * the table. Once its PEER record has arrived it is an ordinary member, and the list's addresses
 * are tried in addition to those of the record. */
#ifndef SHOAL_SWARM_LISTED_H
#define SHOAL_SWARM_LISTED_H

#include "member_parts.h"

/* Copies the configured list; entries with the same ID are merged. */
void listed_init(struct members *m);

/* It can also be reached at this address. False when that is already known, or the ID is not in the
 * list. */
bool listed_found(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a);

/* While there is no usable link, plans dials to the next entries that are not members yet, sixteen
 * at a time. m->listed_at: when to do so again. */
void listed_dial(struct members *m);

/* A dial to this member, or its link, failed. If only the list knows it, its slot in the member
 * table is freed and it waits for its next turn. */
void listed_give_up(struct members *m, int member);

/* Picks a random entry among those that may be dialled and are not members. *count: candidates that
 * the caller has already drawn from; this function adds its own, so that every candidate has the
 * same chance. NULL: none, or the draw fell on one of the caller's. */
const struct listed *listed_unmet(struct members *m, uint64_t *count);

#endif
