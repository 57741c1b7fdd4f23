/* contact.h -- links to members: who is dialled when, which of several links is used, HELLO.
 *
 * Part of membership (member.h), on the same struct. A link is usable when the peer's HELLO has come on it. Live
 * members are dialled with back-off until there is a link, at most one dial to each at a time, and at once when a new
 * address of theirs is heard of; of the dead and of the peer list's entries one every half minute, or all of the list's
 * when there is no link at all, sixteen at a time. */
#ifndef SHOAL_SWARM_CONTACT_H
#define SHOAL_SWARM_CONTACT_H

#include "member.h"

void contact_init(struct members *m);

/* There is a new address of a member: if it is live and has no link, a dial is planned. */
void contact_learned(struct members *m, int member);

/* How long to wait before the next dial after so many failures; `first` after none. With jitter. */
span contact_back_off(struct members *m, uint32_t failures, span first);

/* Hangs up all links to a member. */
void contact_drop(struct members *m, int member, uint32_t code, const struct sink *out);

/* This link was hung up: it is not used any more. */
void contact_refuse(struct members *m, link_id link);

/* This link has ended, or was hung up. */
void contact_forget(struct members *m, link_id link);

/* A parcel on this link has failed. It is not used for a second, in which its end will come if it is over. */
void contact_broken(struct members *m, link_id link);

void contact_tick(struct members *m, const struct sink *out);
instant contact_due(const struct members *m);

/* What a HELLO says, once major and run are known to be right. */
struct hello {
    struct address seen; /* where the peer sees me */
    struct bytes record; /* its PEER */
    uint64_t life;       /* of its process; 0: not said */
};

/* Takes a HELLO as the peer's: its record, its link. False when the record is not this member's. */
bool contact_greet(struct members *m, int member, link_id link, const struct hello *h,
                   const struct sink *out);

void contact_hang_up(const struct members *m, link_id link, uint32_t code, const char *text,
                     const struct sink *out);

/* A note about a member, with a word. */
void contact_note(const struct member *p, const char *name, const char *key, const char *word,
                  const struct sink *out);

/* What a new neighbour has to know first; the rest it learns by SYNC. */
void members_greet(struct members *m, int member);

#endif
