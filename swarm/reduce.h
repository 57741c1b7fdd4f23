/* reduce.h -- one average of a committed group, on which all surviving members agree.
 *
 *     IDLE --reduce_start--> GATHER --1--> CLOSING --2--> AGREED
 *                              `--3--> FAILED <--3--'
 *
 *     1 every chunk is settled, or nobody moves a byte any more
 *     2 a majority has signed what I hold
 *     3 all others are lost, nothing was averaged, or no majority signs the same
 *
 * Each chunk has an owner. Members send it their contributions, it adds them in member order,
 * quantizes the mean and sends that to all: everybody uses these bytes. When an owner is lost,
 * others take over its chunks in an order that follows from the group. In CLOSING each member tells
 * all others which bytes it holds (a root over all chunks) and fetches the chunks that others hold
 * with a lower rank, until all roots are equal; then it signs its root, once. What a majority of
 * the group has signed is applied by all, and nothing else is. SPEC.md, "Averaging".
 *
 * Promises: a contribution counts at most once in any mean; two members never apply different
 * means of one group, whatever is slow, lost or heard late; a wait ends when nothing has moved for
 * some seconds, and not before.
 *
 * After AGREED it continues to answer late members, until reduce_start or reduce_rest. Pure. All
 * memory comes from the arena at the start: the means of all chunks, the contributions to the few
 * chunks in progress, and some bytes per chunk. Messages go to action.peer with action.link 0. */
#ifndef SHOAL_SWARM_REDUCE_H
#define SHOAL_SWARM_REDUCE_H

#include "reduce_parts.h"

/* Bytes of arena that reduce_init allocates. */
size_t reduce_bytes(const struct reduce_config *c);

/* False when the arena is too small. */
bool reduce_init(struct reduce *r, const struct reduce_config *c, struct arena *room);

/* From the next group on, means are collected in this buffer, lent (wire bytes of all chunks): the
 * one that was used so far stays as it is. */
void reduce_collect_in(struct reduce *r, uint8_t *means);

/* The group is committed; paths[i] leads to member i; `parent` is the state
 * that the outer step leads from. Accepts parcels from now on; the caller orders the snapshot.
 * Snapshots are waited for 10 s + 3 step_ms (slowest member), transfers as long as they move, for
 * `patience` at most: GATHER ends 10 s after the last byte, at most three times longer where a member
 * is in the way, and CLOSING a minute after the last byte or news. */
void reduce_start(struct reduce *r, const struct match_group *g, const struct lineage_state *parent,
                  const struct reduce_path paths[NODE_GROUP_MAX], span patience, instant now,
                  const struct sink *out);

/* My contribution: wire bytes of all chunks, lent until the state is AGREED or FAILED and the
 * resulting order has been carried out; empty when it was not finite. Does nothing in states other
 * than GATHER. */
void reduce_snapshot(struct reduce *r, struct bytes wire, instant now, const struct sink *out);

/* Is this frame type, or this first byte of a parcel or request, one of averaging's? */
bool reduce_takes(uint8_t type);

/* Handles a frame from this peer. False when the protocol does not allow these bytes; nothing has
 * changed then. A message of another group is ignored, with true. */
bool reduce_frame(struct reduce *r, sid peer, uint8_t type, struct bytes body, instant now,
                  const struct sink *out);
bool reduce_parcel(struct reduce *r, sid peer, struct bytes parcel, instant now,
                   const struct sink *out);
/* Answers with ACTION_REPLY on that link and ticket; empty when it does not hold what was
 * requested. False, without an answer, unless it is a member's request about this group. */
bool reduce_request(struct reduce *r, sid peer, link_id link, uint64_t ticket, struct bytes request,
                    instant now, const struct sink *out);

/* The result of a parcel or request with this ticket, which has REDUCE_TICKET set; tickets of an
 * earlier group are ignored. reduce_reply: false as above. */
void reduce_parcel_done(struct reduce *r, uint64_t ticket, bool ok, instant now,
                        const struct sink *out);
bool reduce_reply(struct reduce *r, uint64_t ticket, bool ok, struct bytes reply, instant now,
                  const struct sink *out);

/* This peer can be spoken to by another path from now on, or by none (linked: false). */
void reduce_link(struct reduce *r, sid peer, struct reduce_path path, instant now,
                 const struct sink *out);

/* Bytes of bulk that this peer has acknowledged, and that came from it, since the last call for it
 * (EVENT_FLOW). */
void reduce_flow(struct reduce *r, sid peer, uint64_t sent, uint64_t received, instant now);

/* This peer has withdrawn from the group, whose certificate it did not have: it is on its way there,
 * and has some seconds to speak in the group. */
void reduce_withdrew(struct reduce *r, sid peer, instant now);

/* This peer is dead or has left: it is no longer waited for. If it is heard from again in this
 * group, it counts again. */
void reduce_gone(struct reduce *r, sid peer, instant now, const struct sink *out);

/* Time has passed; due at reduce_due, INSTANT_NEVER unless in GATHER or CLOSING. */
void reduce_tick(struct reduce *r, instant now, const struct sink *out);
instant reduce_due(const struct reduce *r);

/* Is this peer suspected in a group that is averaging? */
bool reduce_suspects(const struct reduce *r, sid peer);

/* The root that a majority of the group has signed, which no other of this group can be; NULL: none,
 * as far as I know. Also after it FAILED. */
const uint8_t *reduce_certain(const struct reduce *r);

/* Has every member that is not suspected applied this round? Used at the end of a run. */
bool reduce_finished(const struct reduce *r);

/* Stops answering: IDLE. The buffers lent with ORDER_APPLY must not be in use any more. */
void reduce_rest(struct reduce *r);

#endif
