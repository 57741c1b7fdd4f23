/* member_table.h -- the known members and the links to them. Part of member.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_MEMBER_TABLE_H
#define SHOAL_SWARM_MEMBER_TABLE_H

#include "member_parts.h"

static inline uint64_t member_bit(int member) { return member < 0 ? 0 : (uint64_t)1 << member; }

#define MEMBER_RETRY_FIRST span_s(1) /* SPEC.md, "Membership": before the first retry of a dial */

/* ---- lookup ---- */

/* Index of a member by name, ID or link; NOBODY: there is none. */
int members_find(const struct members *m, sid s);
int members_by_id(const struct members *m, const uint8_t id[CRYPTO_KEY_BYTES]);
int members_by_link(const struct members *m, link_id link);
/* The link to send on; LINK_NONE: there is none. */
link_id member_link(const struct members *m, int member);
/* ALIVE or SUSPECT, with a PEER record. */
bool member_live(const struct member *p);
/* Age of its progress record. */
span member_progress_age(const struct member *p, instant now);
/* Live members, me included. */
uint32_t members_live(const struct members *m);
/* The members that a member, or I (NOBODY), cannot reach, by its latest REACH record of this life;
 * NULL: it has sent none. */
const struct record_reach *members_reach(const struct members *m, int member);
/* The address at which I can be reached; family 0: unknown. */
struct address members_address(const struct members *m);

/* ---- links ---- */

/* NULL: this link does not lead to it. */
struct member_link *member_link_of(struct member *p, link_id link);
/* Is there any link to it, greeted or not? */
bool member_any_link(const struct member *p);
/* Has its HELLO arrived on this link, and is its ticket not over? */
bool member_greeted(const struct member *p, link_id link);
/* Is `a` preferred to `b`? Both sides agree on the order: the links that the smaller ID dialled
 * come first, and of those the newest. But a link on which a restarted process has sent HELLO beats
 * those of its former life. */
bool member_better_link(const struct members *m, const struct member *p,
                        const struct member_link *a, const struct member_link *b);
/* Is its ticket over? Then nothing but HELLO is taken from it. */
static inline bool member_over(const struct member *p) { return p->lingers.ns != 0; }
/* Is a HELLO on this link kept back (twin.h)? */
static inline bool member_held_back(const struct member *p, link_id link)
{
    return p->twin.link == link && link != LINK_NONE;
}

/* Is there a usable link to anybody? */
bool members_any_usable(const struct members *m);
/* Bits of all members with a usable link. */
uint64_t member_linked(const struct members *m);

/* ---- news and notes ---- */

/* Takes the next piece of news; false when there is none. */
bool members_news(struct members *m, enum member_news *kind, int *member);

/* Adds a piece of news; dropped when NEWS_MAX are waiting. */
void members_tell(struct members *m, enum member_news kind, int member);
/* A note about a member, with a number. */
void member_note(const struct sink *out, const char *name, const struct member *p, const char *key,
                 uint64_t value);

/* ---- entries ---- */

/* Its first position in the peer lists, from 1; 0: not listed. */
uint32_t member_listed(const struct members *m, const uint8_t id[CRYPTO_KEY_BYTES]);

/* A new entry, not known yet; NOBODY when the table is full or the name is taken. */
int members_add(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES]);
/* Removes a member that has no PEER record. */
void members_remove(struct members *m, int member);
/* Clears all pushes that wait for it. */
void member_forget_pushes(struct members *m, int member);

/* ---- digest and delays ---- */

/* A digest of the records I hold: equal at two nodes that hold the same ones. */
uint64_t member_view_digest(const struct members *m);

/* Uniform in 3/4 .. 5/4 of `s`. */
span member_jittered(struct members *m, span s);
/* Delay before the next dial after this many consecutive failures: 1, 2, 4, then 8 s; `first` after
 * none. With jitter. */
span member_back_off(struct members *m, uint32_t failures, span first);

#endif
