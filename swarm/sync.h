/* sync.h -- state transfer: brings the state that a member lacks from several members at once, and
 * serves it.
 *
 *     IDLE --sync_start--> RUNNING --every chunk is at the target--> WHOLE
 *                            `--nobody left to ask--> FAILED
 *
 * The target moves: while a state is fetched, its holders go on. So each chunk has an epoch of its
 * own. It is downloaded from a state that somebody still has, and brought forward by the results of
 * the rounds that followed (past.h), a byte a parameter each; the chain of lineages proves them.
 * Who missed some rounds begins with its own state and downloads nothing.
 *
 * A downloaded chunk is checked against a manifest, the digests of all chunks of a state, and that
 * against the state's digest, which most of its holders have announced. SPEC.md, "State transfer".
 *
 * The serving side answers from the present state and, as long as its buffers are untouched, the
 * previous one. Pure. Requests go to action.peer with action.link 0. */
#ifndef SHOAL_SWARM_SYNC_H
#define SHOAL_SWARM_SYNC_H

#include "sync_parts.h"

/* Bytes of arena that sync_init allocates. sync_init: false when the arena is too small. `crypto`
 * stays lent. */
size_t sync_bytes(const struct sync_config *c);
bool sync_init(struct sync *s, const struct sync_config *c, struct arena *room);

/* ---- downloading ---- */

/* Starts to bring the spare buffers to `target` (epoch, lineage, tokens); sync_server adds the
 * servers. `own`: the state that I serve is sound, and rounds may lead from it to the target. What
 * an earlier download left in the spare buffers is used, unless sync_spoil was called since. */
void sync_start(struct sync *s, const struct lineage_state *target, bool own, instant now);
/* The swarm has gone on to this state: goes there instead. */
void sync_retarget(struct sync *s, const struct lineage_state *target, instant now,
                   const struct sink *out);
/* The spare buffers hold this chunk: an earlier life of this process had it (EVENT_KEPT). Before the
 * first download; what does not fit the layout is ignored. */
void sync_kept(struct sync *s, const struct kept_chunk *k);
/* The spare buffers are about to be overwritten. */
void sync_spoil(struct sync *s);
/* My contribution may be in the mean of this group, as member `self`. */
void sync_gave(struct sync *s, const uint8_t gid[CRYPTO_DIGEST_BYTES], uint32_t self);
/* Of the members that hold the target `votes` announce this digest, more than any other: its first
 * eight bytes. Counts until more of them announce another one, even if fewer hold the target later.
 * Before sync_server. */
void sync_sound(struct sync *s, uint64_t digest, size_t votes);
/* This member holds the target, and there is a link to it. `busy`: it is averaging, which a
 * download must not hold up. */
void sync_server(struct sync *s, sid peer, bool busy, instant now, const struct sink *out);
/* Bytes that came from this member in about a second: what it was asked for is on its way, and not
 * late. */
void sync_flow(struct sync *s, sid peer, uint64_t received, instant now);
/* This member is gone, or there is no link to it any more. */
void sync_gone(struct sync *s, sid peer, instant now, const struct sink *out);
/* The reply to a ticket with SYNC_TICKET; a ticket of an earlier download is ignored. ok false: no
 * reply came. */
void sync_reply(struct sync *s, uint64_t ticket, bool ok, struct bytes reply, instant now,
                const struct sink *out);
/* Members that gave something; chunks that have arrived so far. */
uint32_t sync_givers(const struct sync *s);
uint32_t sync_written(const struct sync *s);
/* Is it all there but for the results of the latest SYNC_NEAR rounds? */
bool sync_near(const struct sync *s);
/* To IDLE: later replies are ignored. */
void sync_stop(struct sync *s);
/* Time has passed; due at sync_due. */
void sync_tick(struct sync *s, instant now, const struct sink *out);
instant sync_due(const struct sync *s);

/* ---- serving ---- */

/* Serves this state from now on; its vectors and leaves are lent as long as it is served. The previous state
 * is served too if `keep`, until sync_withdraw. */
void sync_offer(struct sync *s, const struct lineage_state *state, bool keep);
/* The buffers of the previous state are about to be overwritten. */
void sync_withdraw(struct sync *s);

/* Is this request type one of a state's? */
bool sync_takes(uint8_t type);
/* Answers on that link and ticket; empty when it does not hold what was requested. */
void sync_request(struct sync *s, sid peer, link_id link, uint64_t ticket, struct bytes request,
                  const struct sink *out);

#endif
