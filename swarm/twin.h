/* twin.h -- a second process with a member's key: did it restart, or was it copied?
 *
 *     HELLO of another process --> the first one is PINGed --answer--> a copy: the new link ends
 *                                     `--no answer--> a restart: the new link is greeted
 *
 * Part of membership (member.h), on the same struct. The first process is not disturbed: until the
 * question is settled nothing that the second says is taken. SPEC.md, "Membership". */
#ifndef SHOAL_SWARM_TWIN_H
#define SHOAL_SWARM_TWIN_H

#include "member_parts.h"

/* What a HELLO says, once major and run are known to be right. */
struct hello {
    struct address seen; /* where the peer sees me */
    struct bytes record; /* its PEER */
    uint64_t life;       /* of its process; 0: not said */
};

/* Keeps this HELLO back if another process of the member has a link to us; false: there is none. */
bool twin_holds(struct members *m, int member, const struct member_link *l, const struct hello *h);

/* A PONG came on the link of the first process. */
void twin_pong(struct members *m, int member, link_id link, uint32_t nonce, const struct sink *out);

/* A link of this member is gone, or time has passed: is the first process given up? Then true, and
 * the caller takes the HELLO of the second, in `second`, as if it came now. */
bool twin_look(struct members *m, int member, struct twin *second, const struct sink *out);

/* INSTANT_NEVER while no HELLO is kept back. */
instant twin_due(const struct member *p);

#endif
