/* doubles.h -- of several links to one member, which one stays.
 *
 * Both sides may dial at once, and a peer may dial anew because it lost a link that we still hold.
 * One stays, by a rule that both sides share (member_better_link); the others retire, as soon as
 * something has come on the one that stays since there have been two. It is asked for that with
 * PING; if nothing comes for 5 s, the peer no longer knows it: it ends, and another stays. SPEC.md,
 * "Identity and transport".
 *
 * Part of membership (member.h), on the same struct. */
#ifndef SHOAL_SWARM_DOUBLES_H
#define SHOAL_SWARM_DOUBLES_H

#include "member_parts.h"

/* A HELLO has made one more link to this member usable. */
void doubles_greeted(struct members *m, int member, const struct sink *out);

/* The peer has sent something on this link of the member's. */
void doubles_heard(struct members *m, int member, link_id link);

/* Time has passed: retires the others, asks once more, or gives the best link up. */
void doubles_look(struct members *m, int member, const struct sink *out);
/* INSTANT_NEVER while there is nothing to decide. */
instant doubles_due(const struct member *p);

#endif
