/* twin.h -- a second process with a member's key: was the member restarted, or its key copied?
 *
 *     HELLO of another process, from the first one's address --> a restart: the new link is greeted
 *         `--- from elsewhere ---> the first one is PINGed --answer--> a copy: the new link ends
 *                                     `--no answer--> a restart: the new link is greeted
 *
 * Part of membership (member.h), on the same struct. The first process is not disturbed: until this
 * is settled nothing that the second one sends is accepted. SPEC.md, "Membership". */
#ifndef SHOAL_SWARM_TWIN_H
#define SHOAL_SWARM_TWIN_H

#include "member_parts.h"

/* Contents of a HELLO whose major version and run match ours. */
struct hello {
    struct address seen; /* where the peer sees me */
    struct bytes record; /* its PEER record */
    uint64_t life;       /* identifies its process; 0: not given */
};

/* Holds this HELLO back if another process of the member has a link to us, from elsewhere; false:
 * there is none, or it had this address and is gone, as its links are then. */
bool twin_holds(struct members *m, int member, const struct member_link *l, const struct hello *h,
                const struct sink *out);

/* A PONG arrived on the link of the first process. */
void twin_pong(struct members *m, int member, link_id link, uint32_t nonce, const struct sink *out);

/* A link of this member is gone, or time has passed. True when the first process is given up: the
 * caller then handles the HELLO of the second, in `second`, as if it had just arrived. */
bool twin_look(struct members *m, int member, struct twin *second, const struct sink *out);

/* INSTANT_NEVER while no HELLO is held back. */
instant twin_due(const struct member *p);

#endif
