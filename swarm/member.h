/* member.h -- who is in the swarm, how to reach them, and whether they are still there.
 *
 *              --SUSPECT heard--> SUSPECT --its timer over--> DEAD --higher incarnation--> ALIVE
 *     ALIVE <--`--higher incarnation--'  any --LEAVE--> LEFT --higher incarnation--> ALIVE
 *
 * A full view of signed records (wire.h), links to everybody, probes in datagrams, suspicion with
 * Lifeguard's timers (arXiv 1707.00788). Nobody says DEAD to others: each node's own timer decides,
 * and an accused member refutes by a higher incarnation. SPEC.md, "Membership".
 *
 * Pure. Messages go out with action.link set. All storage is in the struct, but for the peer list.
 * Its parts:
 *
 *     table        who is known, the links to them, news for the caller
 *     push         records on their way out, and my own
 *     health       suspicion, death, return
 *     probe        PING and PONG
 *     contact      dialling; with listed (the peer list) and seen (my addresses)
 *     record       what others say
 *     sync         anti-entropy
 *     hello        a link comes up; with twin (one key twice)
 *     unreachable  whom I cannot reach
 *     member       what comes in, and time
 *
 * Each uses those above it. */
#ifndef SHOAL_SWARM_MEMBER_H
#define SHOAL_SWARM_MEMBER_H

#include "member_parts.h"
#include "member_table.h"

/* Knows the bootstrap peers' addresses and nobody else. */
void members_init(struct members *m, const struct member_config *c, struct rng rng, instant now);

/* Publishes my progress: signs it, keeps it, pushes it to all. The caller decides how often. */
void members_publish(struct members *m, const struct record_progress *mine, instant now,
                     const struct sink *out);

/* Network events. `code` is of enum link_close. False when the peer sent what the protocol does not
 * allow: the caller hangs up that link. Messages on links that are gone are ignored. */
void members_link_up(struct members *m, const struct event *e, const struct sink *out);
void members_link_down(struct members *m, link_id link, uint32_t code, instant now,
                       const struct sink *out);
void members_dial_failed(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES], uint32_t code,
                         instant now, const struct sink *out);
/* A peer of the peer list, or I where it is my own id, may be reached at this address too. */
void members_address_found(struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                           const struct address *a, instant now);
bool members_hello(struct members *m, link_id link, struct bytes body, instant now,
                   const struct sink *out);
/* A peer's packets come from another address now: tells it so (SEEN). */
void members_moved(struct members *m, link_id link, const struct address *a, instant now,
                   const struct sink *out);
/* A SEEN. */
bool members_seen(struct members *m, link_id link, struct bytes body, instant now);
bool members_gossip(struct members *m, link_id link, struct bytes body, instant now,
                    const struct sink *out);
void members_datagram(struct members *m, link_id link, struct bytes bytes, instant now,
                      const struct sink *out);
/* A SYNC request: answers it with what I hold and the peer does not; empty when it is damaged. */
void members_sync(struct members *m, link_id link, uint64_t ticket, struct bytes request,
                  instant now, const struct sink *out);
/* The reply to ticket m->ticket. */
void members_synced(struct members *m, bool ok, struct bytes reply, instant now,
                    const struct sink *out);

/* I leave: tells everybody. */
void members_leave(struct members *m, instant now, const struct sink *out);

/* The process did not run for `late`: timers of suspicion move on by it, as nobody is to blame for
 * what was not heard in that time. */
void members_late(struct members *m, span late);

/* Time has passed; due at members_due. */
void members_tick(struct members *m, instant now, const struct sink *out);
instant members_due(const struct members *m);

/* Has everybody on the peer list been heard of, and said how far it is? True for an empty list. */
bool members_all_heard(const struct members *m);

#endif
