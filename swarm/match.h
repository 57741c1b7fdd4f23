/* match.h -- forms averaging groups: the members of a cell agree on one list of members that each
 * of them has signed.
 *
 *     IDLE --match_start--> OPEN --1--> CLOSED --2--> LOCKED --3--> COMMITTED
 *      ^                    ^ `--4--> SOLO  |             |
 *      `---match_rest-------+-next attempt--+---T_PROP----+---T_LOCK
 *
 *     1 all have answered, or the grace is over    2 all propose the same set
 *     3 all have accepted                          4 nobody is there, or time is over
 *
 * OPEN sends READY to the whole cell and collects theirs. CLOSED proposes the set it would average
 * with. A member that sees everybody in the set propose that same set, each of them holding every
 * other's READY itself, signs it: ACCEPT, at most one for each (lineage, round, attempt). All
 * signatures together are the CERT. SPEC.md, "Matchmaking".
 *
 * Promises: two certified groups of one attempt are equal or disjoint; all who have committed hold
 * the same members, weights and bandwidths; every wait is bounded (see match_start).
 *
 * Pure. Frames go to action.peer with action.link 0. The caller finds the link, and may drop a
 * frame for which there is none: match_link repeats what the peer has to know. */
#ifndef SHOAL_SWARM_MATCH_H
#define SHOAL_SWARM_MATCH_H

#include "match_parts.h"

/* IDLE, knowing nobody. Copies the configuration; `crypto` stays lent. */
void match_init(struct match *m, const struct match_config *c);

/* Sets my position in history: after genesis, an outer step or an adoption. `round` is the epoch
 * the next outer step leads to. Ends any attempt in progress; attempts are numbered from 1 again
 * when round or lineage changed. */
void match_rest(struct match *m, uint64_t round, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                uint64_t lineage_tokens);

/* The members of my cell by membership's present view, without me; at most NODE_GROUP_MAX - 1. May
 * come at any time. Mates that are no longer listed are dead or gone. */
void match_cell(struct match *m, const struct match_peer *peers, size_t count, instant now,
                const struct sink *out);

/* I am ready: opens an attempt. Only in IDLE or SOLO; the cell is that of the latest match_cell.
 * Ends in COMMITTED or SOLO within 15 s and one timer (SPEC.md, "Timers"). With count_steps those
 * 15 s start when no mate trains any more, at most MATCH_WAIT_S later. */
void match_start(struct match *m, const struct match_offer *offer, instant now,
                 const struct sink *out);

/* Commits at once to a group that consists of me alone, with no other signature. Only in IDLE or
 * SOLO. */
void match_alone(struct match *m, const struct match_offer *offer);

/* Is this frame type one of matchmaking's? */
bool match_takes(uint8_t type);

/* Handles a frame from the peer with this ID. False when the protocol does not allow these bytes;
 * nothing has changed then. Afterwards, in IDLE and SOLO, `called` may be set: call match_start if
 * I am ready now, otherwise match_decline. */
bool match_frame(struct match *m, const uint8_t id[CRYPTO_KEY_BYTES], uint8_t type,
                 struct bytes body, instant now, const struct sink *out);

/* Answers every unanswered READY with NOTREADY; those of another round or lineage get that as the
 * reason. Call it after match_frame and match_start; does nothing when all are answered. */
void match_decline(struct match *m, enum match_reason reason, uint32_t eta_ms,
                   const struct sink *out);

/* A link to this peer came up: repeats what it has to know. Its earlier proposals and signatures
 * are void until it repeats them, which it does: it may be a new process. */
void match_link(struct match *m, sid peer, instant now, const struct sink *out);

/* Has this peer sent READY for my round and history to this process of mine, and not withdrawn it
 * since? Then no signature of mine from before a restart binds it: it voided those when my new link
 * came up. */
bool match_called_by(const struct match *m, sid peer);

/* This peer is gone for good (dead, left). */
void match_gone(struct match *m, sid peer, instant now, const struct sink *out);

/* I leave: tells the mates that count on me, and goes to IDLE. */
void match_leave(struct match *m, const struct sink *out);

/* Time has passed; due at match_due, INSTANT_NEVER while there is no timer. */
void match_tick(struct match *m, instant now, const struct sink *out);
instant match_due(const struct match *m);

#endif
