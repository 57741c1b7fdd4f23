/* hello.h -- the life of a link: it comes up, exchanges HELLO, is used, and ends. Part of member.c,
 * on the same struct. Implements members_link_up, members_link_down, members_hello, members_moved
 * and members_seen of member.h. */
#ifndef SHOAL_SWARM_HELLO_H
#define SHOAL_SWARM_HELLO_H

#include "member_parts.h"

/* Does what is due now for the links and dials of all members. */
void hello_tick(struct members *m, const struct sink *out);

#endif
