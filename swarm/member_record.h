/* member_record.h -- records of others. Part of member.c, on the same struct. */
#ifndef SHOAL_SWARM_MEMBER_RECORD_H
#define SHOAL_SWARM_MEMBER_RECORD_H

#include "member_parts.h"

/* Is this version newer than what is held? */
bool member_fresh(const struct stored *s, struct version v);

/* Handles the enveloped records that member `from` sent. False when one of them violates the
 * protocol; those before it have been stored. */
bool member_absorb_all(struct members *m, struct reader *r, int from, const struct sink *out);

/* Is this the PEER record of the peer with this ID, signed by it? */
bool members_own_record(const struct members *m, const uint8_t id[CRYPTO_KEY_BYTES],
                        struct bytes record);

/* Handles the PEER record of a HELLO. False when it is not this member's, or not signed by it. */
bool members_absorb_hello(struct members *m, int member, struct bytes record,
                          const struct sink *out);

#endif
