/* listed.h -- the peer lists: which peers a node dials when it knows nobody yet.
 *
 * Part of membership (member.h), on the same struct. An entry is only an ID and some addresses. It
 * has no slot in the member table before a link to it is up, so that lists of thousands do not fill
 * the table. Once its PEER record has arrived it is an ordinary member, and the list's addresses
 * are tried in addition to those of the record.
 *
 * Next to the list of the start there may be others, which come later and again. Anybody may have
 * written these: each has NODE_LATER_MAX entries of its own, and changes those of no other list. */
#ifndef SHOAL_SWARM_LISTED_H
#define SHOAL_SWARM_LISTED_H

#include "member_parts.h"

/* Copies the configured list; entries with the same ID are merged. */
void listed_init(struct members *m);

/* An entry of list number `list` can also be reached at this address. False when that is already
 * known, or the ID is not in that list. */
bool listed_found(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a,
                  uint32_t list);

/* An entry of a list that came later, 1 .. m->config.lists. Where the list has no room left, it
 * replaces the one that failed most often, if any. True when this address is new. */
bool listed_add(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a,
                uint32_t list);

/* While there is no usable link, dials the next entries that are not members yet, LISTED_DIALS at a
 * time. m->listed_at: when to do so again. */
void listed_dial(struct members *m, const struct sink *out);

/* A dial to this ID at this address (family 0: whatever it was) has failed. */
void listed_dial_failed(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                        const struct address *at);

/* A link to this ID is up, at the address that was dialled or from where it called. While a list's
 * entry of it is dialled, its peer gets a slot in the member table. NOBODY: it has none. */
int listed_met(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *at,
               bool dialled);

/* A dial to this member, or its link, failed. If only the list knows it, its slot in the member
 * table is freed and it waits for its next turn. */
void listed_give_up(struct members *m, int member);

/* Picks a random entry among those that may be dialled and are not members. *count: candidates that
 * the caller has already drawn from; this function adds its own, so that every candidate has the
 * same chance. Its position, from 1; 0: none, or the draw fell on one of the caller's. */
uint32_t listed_unmet(struct members *m, uint64_t *count);

#endif
