/* ticket.h -- a ticket: what the owner of an experiment signs so that one key may join it.
 *
 *     ID 32, from u64, until u64, rights u32, serial u32, sig 64
 *
 * `sig` is that of the experiment's key, as in "Signatures" of SPEC.md with the kind TICKET_KIND: a
 * ticket is of one run, of one ID and of that time. Which were revoked is a record (wire.h). Pure:
 * the present time comes in by hand. SPEC.md, "Who may join". */
#ifndef SHOAL_SWARM_TICKET_H
#define SHOAL_SWARM_TICKET_H

#include "wire.h"

#define TICKET_KIND  0xc0 /* above all kinds of records */
#define TICKET_BYTES 120

#define TICKET_SLACK      span_s(300)   /* SPEC.md, "Timers": two machines' clocks differ */
#define TICKET_TIME_MAX   253402300799u /* of a ticket: the end of the year 9999, in unix seconds */
#define TICKET_TIME_BYTES 21            /* bytes of a time as text */

/* What its holder may do, bit by bit. Other bits are of later versions. */
enum ticket_right {
    TICKET_TRAIN = 1,
    TICKET_OBSERVE = 2 /* read what members have, and take part in no round: not built yet */
};

struct ticket {
    uint8_t id[CRYPTO_KEY_BYTES]; /* of its holder */
    uint64_t from_s, until_s;     /* valid in from_s <= unix seconds < until_s */
    uint32_t rights;
    uint32_t serial; /* of this ticket among those of one key, from 1 */
};

enum ticket_fault {
    TICKET_GOOD,
    TICKET_NONE,      /* nothing was shown */
    TICKET_MALFORMED, /* something else was */
    TICKET_OTHER_ID,
    TICKET_RIGHTS,
    TICKET_EARLY,
    TICKET_ENDED,
    TICKET_REVOKED,
    TICKET_FORGED /* of another experiment's key, or of another run */
};

/* Signs a ticket with the experiment's key, which `owner` signs with. */
void ticket_write(const struct crypto *owner, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                  const struct ticket *t, uint8_t out[TICKET_BYTES]);

/* Reads its fields. False unless the bytes are one whole ticket with valid values; the signature is
 * ticket_signed's to verify. */
bool ticket_read(struct bytes bytes, struct ticket *out);

/* Has the owner of this key signed it for this run? */
bool ticket_signed(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                   struct bytes bytes, const uint8_t key[CRYPTO_KEY_BYTES]);

/* Is it one that lets its holder, of this ID, train now? It does not look at the signature.
 * `slack`: how far the clocks of the owner and of whoever asks may differ. */
enum ticket_fault ticket_look(const struct ticket *t, const uint8_t id[CRYPTO_KEY_BYTES],
                              uint64_t wall_ms, span slack);

/* Is it on the list? */
bool ticket_revoked(const struct record_revoked *v, uint32_t serial);

/* What is wrong, as a sentence for its holder without a full stop. `t` is NULL, or what
 * ticket_read has read. */
#define TICKET_STORY_BYTES 160
const char *ticket_story(enum ticket_fault f, const struct ticket *t, char out[TICKET_STORY_BYTES]);

/* "2026-12-01T00:00:00Z"; later times than TICKET_TIME_MAX as that. */
const char *ticket_time(uint64_t unix_s, char out[TICKET_TIME_BYTES]);

#endif
