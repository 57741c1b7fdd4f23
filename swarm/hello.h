/* hello.h -- a link comes up, says HELLO, is heard and used, and ends. Part of member.c, on the
 * same struct; members_link_up, members_link_down, members_hello, members_moved and members_seen of
 * member.h are here. */
#ifndef SHOAL_SWARM_HELLO_H
#define SHOAL_SWARM_HELLO_H

#include "member_parts.h"

/* Looks after links and dials of all members: what is due now is done. */
void hello_tick(struct members *m, const struct sink *out);

#endif
