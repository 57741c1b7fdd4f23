/* reduce.h -- one average of a committed group, agreed on by all who survive it.
 *
 *     IDLE --reduce_start--> GATHER --1--> CLOSING --2--> AGREED
 *                              `--3--> FAILED <--3--'
 *
 *     1 every chunk is settled, or T_REDUCE is over    2 all hold the same, or T_CLOSE is over
 *     3 all others are lost, or nothing was averaged
 *
 * Each chunk has an owner. Members send it their contributions, it adds them in member order,
 * quantizes the mean and sends that to all: these bytes are what everybody uses. When an owner is
 * lost, others take its chunks over, in an order that follows from the group. In CLOSING each tells
 * all which bytes it holds (a root over all chunks) and fetches what others have with a lower rank,
 * until all roots are alike. SPEC.md, "Averaging".
 *
 * Promises: a contribution counts at most once in any mean; members who do not suspect each other
 * agree on the same root or do not apply; AGREED or FAILED comes within the bound of reduce_start.
 *
 * After AGREED it goes on answering those who are late, until reduce_start or reduce_rest. Pure.
 * All memory comes from the arena at the start: the means of all chunks, the contributions to the
 * few chunks under way, and some bytes a chunk. Messages go to action.peer with action.link 0. */
#ifndef SHOAL_SWARM_REDUCE_H
#define SHOAL_SWARM_REDUCE_H

#include "reduce_parts.h"

/* Bytes of arena that reduce_init takes. */
size_t reduce_bytes(const struct reduce_config *c);

/* False when the arena is too small. */
bool reduce_init(struct reduce *r, const struct reduce_config *c, struct arena *room);

/* The group is committed; linked[i] says whether a link to member i is up. Parcels are taken from
 * now on; the caller orders the snapshot. Ends within 10 s + 3 step_ms (slowest member) for
 * snapshots, 10 s + 3 estimates for the chunks (four times that while they go on being settled), 5
 * s + one estimate for each member that is lost meanwhile, and 10 s + one estimate for closing. */
void reduce_start(struct reduce *r, const struct match_group *g, const bool linked[NODE_GROUP_MAX],
                  instant now, const struct sink *out);

/* My contribution: wire bytes of all chunks, lent until the state is AGREED or FAILED and what
 * follows from that is carried out; empty when it was not finite. Does nothing in other states than
 * GATHER. */
void reduce_snapshot(struct reduce *r, struct bytes wire, instant now, const struct sink *out);

/* Is this frame type, or this first byte of a parcel or request, one of averaging's? */
bool reduce_takes(uint8_t type);

/* From the peer named. False: bytes that the protocol does not allow; nothing changed. A message of
 * another group is ignored: true. */
bool reduce_frame(struct reduce *r, sid peer, uint8_t type, struct bytes body, instant now,
                  const struct sink *out);
bool reduce_parcel(struct reduce *r, sid peer, struct bytes parcel, instant now,
                   const struct sink *out);
/* Answers with ACTION_REPLY on that link and ticket; empty when it has not what is asked for. */
bool reduce_request(struct reduce *r, sid peer, link_id link, uint64_t ticket, struct bytes request,
                    instant now, const struct sink *out);

/* What became of a parcel or a request with this ticket, which has REDUCE_TICKET; one of an earlier
 * group is ignored. reduce_reply: false as above. */
void reduce_parcel_done(struct reduce *r, uint64_t ticket, bool ok, instant now,
                        const struct sink *out);
bool reduce_reply(struct reduce *r, uint64_t ticket, bool ok, struct bytes reply, instant now,
                  const struct sink *out);

/* A usable link to this peer is up, or none is left. */
void reduce_link(struct reduce *r, sid peer, bool up, instant now, const struct sink *out);

/* This peer is dead, has left, or has withdrawn from the group: do not wait for it. If it is heard
 * again in this group, it counts again. */
void reduce_gone(struct reduce *r, sid peer, instant now, const struct sink *out);

/* Time has passed; due at reduce_due, INSTANT_NEVER unless in GATHER or CLOSING. */
void reduce_tick(struct reduce *r, instant now, const struct sink *out);
instant reduce_due(const struct reduce *r);

/* Has every member that is not suspected applied this round? For the end of a run. */
bool reduce_finished(const struct reduce *r);

/* Stops answering: IDLE. The buffers lent with ORDER_APPLY must be no longer in use. */
void reduce_rest(struct reduce *r);

#endif
