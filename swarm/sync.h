/* sync.h -- state transfer: downloads the state in chunks from several members at once, and serves
 * it.
 *
 *     IDLE --sync_start--> MANIFEST --most members agree--> CHUNKS --all verified--> WHOLE
 *                              `--nobody left to ask--> FAILED <--'
 *
 * A manifest is the digests of all chunks of anchor and momentum. Up to three members are asked for
 * it; the most frequent answer counts, and members that gave another are not asked again. Each
 * chunk is checked against the manifest before it goes out as ACTION_STATE. SPEC.md, "State
 * transfer".
 *
 * The serving side answers from the present state and, as long as its buffers are untouched, the
 * previous one. Pure. Requests go to action.peer with action.link 0. */
#ifndef SHOAL_SWARM_SYNC_H
#define SHOAL_SWARM_SYNC_H

#include "sync_parts.h"

/* Elements of a chunk: a power of two, small enough for eight chunks per vector where possible. */
uint32_t sync_chunk_elements(uint64_t parameters);

/* Bytes of arena that sync_init allocates. sync_init: false when the arena is too small. `crypto`
 * stays lent. */
size_t sync_bytes(const struct sync_config *c);
bool sync_init(struct sync *s, const struct sync_config *c, struct arena *room);

/* ---- downloading ---- */

/* Starts a download of `target` (epoch, lineage, tokens). sync_server adds the servers. */
void sync_start(struct sync *s, const struct lineage_state *target, instant now);
/* This member holds the target, and there is a link to it. */
void sync_server(struct sync *s, sid peer, instant now, const struct sink *out);
/* Bytes came from this member: what it was asked for is on its way, and not late. */
void sync_flow(struct sync *s, sid peer, uint64_t received, instant now);
/* This member is gone, or there is no link to it any more. */
void sync_gone(struct sync *s, sid peer, instant now, const struct sink *out);
/* The reply to a ticket with SYNC_TICKET; a ticket of an earlier download is ignored. ok false: no
 * reply came. */
void sync_reply(struct sync *s, uint64_t ticket, bool ok, struct bytes reply, instant now,
                const struct sink *out);
/* Peers that served at least one chunk. */
uint32_t sync_givers(const struct sync *s);
/* To IDLE: later replies are ignored. */
void sync_stop(struct sync *s);

/* ---- serving ---- */

/* Serves this state from now on; its vectors are lent as long as it is served. The previous state
 * is served too if `keep`, until sync_withdraw. */
void sync_offer(struct sync *s, const struct lineage_state *state, bool keep);
/* The buffers of the previous state are about to be overwritten. */
void sync_withdraw(struct sync *s, const struct sink *out);

/* Is this request type one of state transfer? */
bool sync_takes(uint8_t type);
/* Answers on that link and ticket, at once or from a later sync_tick; empty when it does not hold
 * what was requested. */
void sync_request(struct sync *s, sid peer, link_id link, uint64_t ticket, struct bytes request,
                  instant now, const struct sink *out);

/* Time has passed, or digests remain to be computed (a few per tick). Due at sync_due. */
void sync_tick(struct sync *s, instant now, const struct sink *out);
instant sync_due(const struct sync *s);

#endif
