/* match.h -- who averages with whom: the members of a cell find one list of names that each of them
 * has signed.
 *
 *     IDLE --match_start--> OPEN --1--> CLOSED --2--> LOCKED --3--> COMMITTED
 *      ^                    ^ `--4--> SOLO  |             |
 *      `---match_rest-------+-next attempt--+---T_PROP----+---T_LOCK
 *
 *     1 all have answered, or the grace is over    2 all propose alike
 *     3 all have accepted                          4 nobody is there, or time is over
 *
 * OPEN says READY to the whole cell and collects theirs. CLOSED proposes the set it would average
 * with. Who sees that everybody in the set proposes the same set, each knowing every other's READY
 * at first hand, signs it: ACCEPT, at most one for each (lineage, round, attempt). All signatures
 * together are the CERT. SPEC.md, "Matchmaking".
 *
 * Promises: two certified groups of one attempt are equal or disjoint; all who have committed hold
 * the same members, weights and bandwidths; every wait is bounded
 * (match_start says by what).
 *
 * Pure. Frames go to action.peer with action.link 0; the caller finds the link, and may drop a
 * frame for which there is none: match_link says again what the peer has to know. */
#ifndef SHOAL_SWARM_MATCH_H
#define SHOAL_SWARM_MATCH_H

#include "match_parts.h"

/* IDLE, knowing nobody. Copies the configuration; `crypto` stays lent. */
void match_init(struct match *m, const struct match_config *c);

/* Where I am now: after genesis, an outer step or an adoption. `round` is the epoch the next outer
 * step leads to. Ends what was under way; attempts start anew when round or lineage changed. */
void match_rest(struct match *m, uint64_t round, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                uint64_t lineage_tokens);

/* My cell as membership sees it now, without me; at most NODE_GROUP_MAX - 1. May come at any time.
 * Mates that are no longer listed are dead or gone. */
void match_cell(struct match *m, const struct match_peer *peers, size_t count, instant now,
                const struct sink *out);

/* I am ready: opens an attempt. Only in IDLE or SOLO; the cell is the one of the latest match_cell.
 * Ends in COMMITTED or SOLO within 15 s and one timer (SPEC.md, "Timers"); with count_steps that
 * counts from the moment when nobody trains any more, which is at most MATCH_WAIT_S later. */
void match_start(struct match *m, const struct match_offer *offer, instant now,
                 const struct sink *out);

/* A group of me alone, certified by nobody else: COMMITTED at once. Only in IDLE or SOLO. */
void match_alone(struct match *m, const struct match_offer *offer);

/* Is this frame type one of matchmaking's? */
bool match_takes(uint8_t type);

/* A frame from the peer with this ID. False when its bytes are not what the protocol allows:
 * nothing changed. Afterwards, in IDLE and SOLO, `called` may be set: call match_start if that
 * makes you ready, else match_decline. */
bool match_frame(struct match *m, const uint8_t id[CRYPTO_KEY_BYTES], uint8_t type,
                 struct bytes body, instant now, const struct sink *out);

/* Answers every READY that has had no answer with NOTREADY; for those of another round or lineage
 * the reason is that. Call it after match_frame and match_start; it does nothing when there is
 * nothing to answer. */
void match_decline(struct match *m, enum match_reason reason, uint32_t eta_ms,
                   const struct sink *out);

/* A link to this peer came up: says again what it has to know. What it proposed and signed before
 * is void until it says so again, as it does: it may be another process now. */
void match_link(struct match *m, sid peer, instant now, const struct sink *out);

/* Has this peer said READY for my round and history to this process of mine, and not taken it back
 * since? Then it is bound to nobody by what I signed before a restart: that became void for it when
 * my new link came up. */
bool match_called_by(const struct match *m, sid peer);

/* This peer is gone for good (dead, left). */
void match_gone(struct match *m, sid peer, instant now, const struct sink *out);

/* I leave: says so to those who count on me, and rests. */
void match_leave(struct match *m, const struct sink *out);

/* Time has passed; due at match_due, INSTANT_NEVER while nothing is waited for. */
void match_tick(struct match *m, instant now, const struct sink *out);
instant match_due(const struct match *m);

#endif
