/* member.h -- who is in the swarm, how to reach them, and whether they are still there.
 *
 *              --SUSPECT heard--> SUSPECT --its timer over--> DEAD --higher incarnation--> ALIVE
 *     ALIVE <--`--higher incarnation--'  any --LEAVE--> LEFT --higher incarnation--> ALIVE
 *
 * A full view of signed records (wire.h), links to all members, probes by datagram, suspicion with
 * Lifeguard's timers (arXiv 1707.00788). DEAD is never gossiped: each node's own timer decides, and
 * a suspected member refutes by raising its incarnation. SPEC.md, "Membership".
 *
 * Pure. Messages go out with action.link set. All storage is in the struct, except for the peer
 * list. Its parts:
 *
 *     table        who is known, the links to them, news for the caller
 *     push         pushing records, and publishing my own
 *     access       who may join, revoked tickets; with ticket
 *     health       suspicion, death, return
 *     probe        PING and PONG
 *     contact      dialling; with listed (the peer lists) and seen (my addresses)
 *     record       records of others
 *     sync         anti-entropy
 *     hello        a link comes up; with twin (two processes with one key)
 *     unreachable  members that I cannot reach
 *     member       events and timers
 *
 * Each uses those above it. */
#ifndef SHOAL_SWARM_MEMBER_H
#define SHOAL_SWARM_MEMBER_H

#include "member_parts.h"
#include "member_table.h"

/* Starts with the bootstrap peers' addresses and no members. */
void members_init(struct members *m, const struct member_config *c, struct rng rng, instant now);

/* Publishes my progress: signs, stores and pushes it to all. The caller decides how often. */
void members_publish(struct members *m, const struct record_progress *mine, instant now,
                     const struct sink *out);

/* Network events. `code` is of enum link_close. False when the peer violated the protocol: the
 * caller then hangs up that link. Messages on links that no longer exist are ignored. */
void members_link_up(struct members *m, const struct event *e, const struct sink *out);
void members_link_down(struct members *m, link_id link, uint32_t code, instant now,
                       const struct sink *out);
void members_dial_failed(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                         const struct address *at, uint32_t code, instant now,
                         const struct sink *out);
/* A peer of a peer list, or this node where it is its own id, can also be reached at this
 * address. `list`: EVENT_ADDRESS. */
void members_address_found(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                           const struct address *a, uint32_t list, instant now);
/* EVENT_LISTED and EVENT_LIST_READ. */
void members_listed(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a,
                    uint32_t list, instant now);
void members_list_read(struct members *m, uint32_t list);
bool members_hello(struct members *m, link_id link, struct bytes body, instant now,
                   const struct sink *out);
/* A peer's packets now come from this address: tells the peer so (SEEN). */
void members_moved(struct members *m, link_id link, const struct address *a, instant now,
                   const struct sink *out);
/* Handles a SEEN frame. */
bool members_seen(struct members *m, link_id link, struct bytes body, instant now);
bool members_gossip(struct members *m, link_id link, struct bytes body, instant now,
                    const struct sink *out);
bool members_datagram(struct members *m, link_id link, struct bytes bytes, instant now,
                      const struct sink *out);
/* Answers a SYNC request with the records that I hold and the peer does not; with nothing when it
 * is malformed. */
void members_sync(struct members *m, link_id link, uint64_t ticket, struct bytes request,
                  instant now, const struct sink *out);
/* The reply to ticket m->ticket. */
void members_synced(struct members *m, bool ok, struct bytes reply, instant now,
                    const struct sink *out);

/* A list of revoked tickets that was kept, or that the owner has made; another than a list of this
 * swarm's changes nothing. */
void members_revoked(struct members *m, struct bytes record, const struct sink *out);

/* I leave: announces it to everybody. */
void members_leave(struct members *m, instant now, const struct sink *out);

/* The process did not run for `late`: suspicion timers are extended by it, since silence in that
 * time is nobody's fault. */
void members_late(struct members *m, span late);

/* Time has passed; due at members_due. */
void members_tick(struct members *m, instant now, const struct sink *out);
instant members_due(const struct members *m);

/* Is there a PROGRESS record of everybody on the peer lists and of every live member, and has every
 * list come? */
bool members_all_heard(const struct members *m);

#endif
