/* member_table.h -- who is known, and the links to them. Part of member.c, on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_TABLE_H
#define SHOAL_SWARM_MEMBER_TABLE_H

#include "member.h"

static inline uint64_t member_bit(int member) { return member < 0 ? 0 : (uint64_t)1 << member; }

#define MEMBER_RETRY_FIRST span_s(1) /* SPEC.md, "Membership": between two dials */

/* ---- links ---- */

/* NULL: this link does not lead to it. */
struct member_link *member_link_of(struct member *p, link_id link);
/* Any link at all to it, greeted or not? */
bool member_any_link(const struct member *p);
/* Has its HELLO come on this link? */
bool member_greeted(const struct member *p, link_id link);
/* Is `a` to be used rather than `b`? Both sides choose alike: the link that the smaller ID dialled, of those the newest. But
 * one that a restarted process has greeted on goes before those of its former life. */
bool member_better_link(const struct members *m, const struct member *p,
                        const struct member_link *a, const struct member_link *b);
/* Is a HELLO on this link kept back (twin.h)? */
static inline bool member_held_back(const struct member *p, link_id link)
{
    return p->twin.link == link && link != LINK_NONE;
}
/* Is there a usable link to anybody? */
bool members_any_usable(const struct members *m);
/* All to whom there is a usable link, as bits. */
uint64_t member_linked(const struct members *m);

/* ---- news and notes ---- */

void members_tell(struct members *m, enum member_news kind, int member);
/* A note about a member, with a number. */
void member_note(const struct sink *out, const char *name, const struct member *p, const char *key,
                 uint64_t value);

/* ---- entries ---- */

/* A new entry, not known yet; NOBODY when the table is full or the name is taken. */
int members_add(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES]);
/* Forgets one that was never known. */
void members_remove(struct members *m, int member);
/* Nothing waits to be pushed to it any more. */
void member_forget_pushes(struct members *m, int member);

/* ---- numbers ---- */

/* What I hold, as one number: equal at two nodes that hold the same records. */
uint64_t member_view_digest(const struct members *m);

/* A quarter more or less. */
span member_jittered(struct members *m, span s);
/* How long to wait before the next dial after so many failures; `first` after none. With jitter. */
span member_back_off(struct members *m, uint32_t failures, span first);

#endif
