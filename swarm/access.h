/* access.h -- who may join: everybody, whoever holds the swarm's secret, or whoever has a ticket.
 *
 * Part of membership (member.h), on the same struct. HELLO's field "admission" holds the proof: in
 * a swarm with a secret HMAC-SHA256(secret, run_id || the link's exporter || the sender's ID),
 * which is worth nothing on another link; in a swarm with tickets the sender's ticket (ticket.h),
 * which is of its key alone. A ticket that ends, or is revoked, ends its holder's links. SPEC.md,
 * "Who may join". */
#ifndef SHOAL_SWARM_ACCESS_H
#define SHOAL_SWARM_ACCESS_H

#include "member_parts.h"
#include "ticket.h"

#define ACCESS_PROOF_BYTES TICKET_BYTES

/* My own proof for a link with this exporter: its length, 0 in an open swarm. */
size_t access_prove(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                    uint8_t out[ACCESS_PROOF_BYTES]);

/* May the peer with this ID join, by this proof? */
struct access_answer {
    bool admitted;
    struct ticket ticket;          /* if admitted: its own; zeros in a swarm without tickets */
    char log[TICKET_STORY_BYTES];  /* why not, for the log */
    char told[TICKET_STORY_BYTES]; /* and for the peer */
};
void access_ask(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                const uint8_t id[CRYPTO_KEY_BYTES], struct bytes proof, struct access_answer *out);

/* The member has shown this ticket. */
void access_shown(struct member *p, const struct ticket *t);

/* Has the ticket that this member showed last ended, or was it revoked? TICKET_GOOD: no, or it has
 * shown none. */
enum ticket_fault access_over(const struct members *m, const struct member *p);

/* When the next ticket of a member ends, or the links of one whose ticket is over; at once where
 * that member is live. */
instant access_due(const struct members *m);

/* Takes a list of revoked tickets, if it is newer than the one held: keeps it and passes it on.
 * `from`: the member that sent it, or NOBODY. False when no conforming node could have sent it. */
bool access_revoke(struct members *m, struct bytes record, int from, const struct sink *out);

#endif
