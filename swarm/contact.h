/* contact.h -- links to members: which members are dialled when, and what the end of a link means.
 *
 * Part of membership (member.h), on the same struct. A link is usable once the peer's HELLO has
 * arrived on it. Live members are dialled with back-off until there is a link, with at most one
 * dial per member at a time, and immediately when a new address of theirs becomes known. Of the
 * dead and of the peer list's entries one is dialled every 30 s. With no usable link at all it is
 * one every 5 s, and also all of the lists, eighty at a time. */
#ifndef SHOAL_SWARM_CONTACT_H
#define SHOAL_SWARM_CONTACT_H

#include "member_parts.h"

#define HELLO_PATIENCE span_s(10) /* SPEC.md, "Membership": from a link to its HELLO */

/* Copies the peer list (listed.h) and plans the first dials. */
void contact_init(struct members *m);

/* A new address of a member is known: if it is live and has no link, plans a dial. */
void contact_learned(struct members *m, int member);

/* Hangs up all links to a member; `code`: enum link_close. Plans the next dial. */
void contact_drop(struct members *m, int member, uint32_t code, const struct sink *out);

/* This link, to a member or a stranger, was hung up and is no longer used. If it was a member's last
 * one, that counts as a failed dial: the next one waits longer. */
void contact_refuse(struct members *m, link_id link);

/* This link has ended, or was hung up. */
void contact_forget(struct members *m, link_id link);

/* A parcel on this link has failed. The link is not used for a second: if it is over, its end
 * arrives in that time. */
void contact_broken(struct members *m, link_id link);

/* A free slot among the member's links, never NULL: if all are taken, the worst link
 * (member_better_link) is hung up. */
struct member_link *contact_slot(struct members *m, int member, const struct sink *out);

/* It cannot be a member here (other run, other version, table full): hangs up and does not dial it
 * for five minutes. `member` is NOBODY for a stranger. `text` goes to the peer. */
void contact_turn_away(struct members *m, int member, link_id link, uint32_t code, const char *text,
                       const struct sink *out);

/* The last link to it has ended with this `code` (enum link_close): plans the next dial. */
void contact_ended(struct members *m, int member, uint32_t code, const struct sink *out);

/* Plans dials to the peer list's entries and to members that are gone, when it is time. */
void contact_tick(struct members *m, const struct sink *out);
/* Hangs up links of this member that brought no HELLO for 10 s, and returns broken ones to use
 * after a second. */
void contact_look(struct members *m, int member, const struct sink *out);
/* Dials this member if a dial is due, none is under way and there is no link. */
void contact_dial(struct members *m, int member, const struct sink *out);
instant contact_due(const struct members *m);

/* Only tells the driver; what is known of the link stays until contact_forget or contact_refuse.
 * `code`: enum link_close. `text` goes to the peer and is lent for the call. */
void contact_hang_up(const struct members *m, link_id link, uint32_t code, const char *text,
                     const struct sink *out);

/* A note about a peer, with a text field. */
void contact_note(const uint8_t id[CRYPTO_KEY_BYTES], const char *name, const char *key,
                  const char *word, const struct sink *out);

#endif
