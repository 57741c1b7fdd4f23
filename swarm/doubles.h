/* doubles.h -- which of several links to one member stays.
 *
 * Both sides may dial at once, and a peer may dial again because it lost a link that we still hold.
 * One link stays, by a rule that both sides share (member_better_link). The others retire as soon
 * as something has arrived on that link since there was more than one. To make that happen it is
 * sent a PING; if nothing arrives within 5 s, the peer no longer has this link: it is closed, and
 * another one stays. SPEC.md, "Identity and transport".
 *
 * Part of membership (member.h), on the same struct. */
#ifndef SHOAL_SWARM_DOUBLES_H
#define SHOAL_SWARM_DOUBLES_H

#include "member_parts.h"

/* A HELLO has made one more link to this member usable. */
void doubles_greeted(struct members *m, int member, const struct sink *out);

/* The peer has sent something on this link of the member's. */
void doubles_heard(struct members *m, int member, link_id link);

/* Time has passed: retires the other links, sends another PING, or gives up the best link. */
void doubles_look(struct members *m, int member, const struct sink *out);
/* INSTANT_NEVER while there is nothing to decide. */
instant doubles_due(const struct member *p);

#endif
