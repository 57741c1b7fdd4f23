/* relay_carry.h -- what this member carries for others. Part of relay.c, on the same struct. */
#ifndef SHOAL_SWARM_RELAY_CARRY_H
#define SHOAL_SWARM_RELAY_CARRY_H

#include "relay.h"

/* Carries a message of member `by` to its receiver, if there is a link to it and room for it;
 * otherwise says REFUSED. `whole`: the message with its envelope. */
void relay_carry(struct relay *r, struct members *m, int by, const struct relay_envelope *e,
                 link_id link, uint64_t ticket, struct bytes whole, const struct sink *out);

/* What was carried has an answer. */
void relay_carried_done(struct relay *r, struct members *m, uint64_t ticket, bool ok,
                        const struct sink *out);
void relay_carried_reply(struct relay *r, uint64_t ticket, bool ok, struct bytes reply,
                         const struct sink *out);

/* Is this the ticket of something carried? */
bool relay_ticket_carried(uint64_t ticket);

#endif
