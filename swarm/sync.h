/* sync.h -- the state goes from those who have it to one who needs it, in chunks, from several at
 * once.
 *
 *     IDLE --sync_start--> MANIFEST --most members agree--> CHUNKS --all verified--> WHOLE
 *                              `--nobody left to ask--> FAILED <--'
 *
 * A manifest is the digests of all chunks of anchor and momentum. Up to three members are asked for
 * it; what most of them say counts, and who says otherwise is asked for nothing more. Each
 * chunk is checked against it before it goes out as ACTION_STATE. SPEC.md, "State transfer".
 *
 * The other side answers from the present state and the one before, as long as its buffers are
 * untouched. Pure. Requests go to action.peer with action.link 0. */
#ifndef SHOAL_SWARM_SYNC_H
#define SHOAL_SWARM_SYNC_H

#include "sync_parts.h"

/* Elements of a chunk: a power of two, small enough for eight chunks a vector where that can be. */
uint32_t sync_chunk_elements(uint64_t parameters);

/* Bytes of arena that sync_init takes; false: the arena is too small. `crypto` stays lent. */
size_t sync_bytes(const struct sync_config *c);
bool sync_init(struct sync *s, const struct sync_config *c, struct arena *room);

/* ---- taking ---- */

/* A download of `target` (epoch, lineage, tokens). Servers are named by sync_server. */
void sync_start(struct sync *s, const struct lineage_state *target, instant now);
/* This member holds the target, and there is a link to it. */
void sync_server(struct sync *s, sid peer, instant now, const struct sink *out);
/* This member is gone, or there is no link to it any more. */
void sync_gone(struct sync *s, sid peer, instant now, const struct sink *out);
/* The reply to a ticket with SYNC_TICKET; one of an earlier download is ignored. ok false: none
 * came. */
void sync_reply(struct sync *s, uint64_t ticket, bool ok, struct bytes reply, instant now,
                const struct sink *out);
/* Peers that gave at least one chunk. */
uint32_t sync_givers(const struct sync *s);
/* IDLE: replies that still come are ignored. */
void sync_stop(struct sync *s);

/* ---- giving ---- */

/* This is the state from now on; its vectors are lent as long as it is given. The one before is
 * given too, if `keep`, until sync_withdraw. */
void sync_offer(struct sync *s, const struct lineage_state *state, bool keep);
/* The buffers of the state before are about to be written to. */
void sync_withdraw(struct sync *s, const struct sink *out);

/* Is this request type one of state transfer? */
bool sync_takes(uint8_t type);
/* Answers on that link and ticket, at once or from a later sync_tick; empty when it has not what is
 * asked for. */
void sync_request(struct sync *s, sid peer, link_id link, uint64_t ticket, struct bytes request,
                  instant now, const struct sink *out);

/* Time has passed, or digests must be computed, some in each tick: due at sync_due. */
void sync_tick(struct sync *s, instant now, const struct sink *out);
instant sync_due(const struct sync *s);

#endif
