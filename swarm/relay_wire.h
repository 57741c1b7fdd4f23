/* relay_wire.h -- the envelope of a message that goes through another member. SPEC.md, "Relays".
 *
 * Holds no state. The sender signs the envelope and a digest of the message in it, so that the relay
 * can drop, delay and repeat what it carries, and nothing else. */
#ifndef SHOAL_SWARM_RELAY_WIRE_H
#define SHOAL_SWARM_RELAY_WIRE_H

#include "base/bytes.h"
#include "peer.h"

/* How a message travels. Each form has its own numbers: a parcel may be long on its way, while many
 * frames are not. */
enum relay_form { RELAY_FRAME, RELAY_PARCEL, RELAY_REQUEST, RELAY_FORMS };

struct relay_envelope {
    sid from, to;
    uint64_t life; /* the incarnation that the sender's process started with */
    uint32_t seq;  /* counts what it has sent to this receiver in this form, from 1 */
    enum relay_form form;
    uint8_t type; /* of a frame; 0: another form */
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
};

/* In parcels and requests after the first byte; in frames a type follows. */
#define RELAY_HEAD_BYTES (8 + 8 + 8 + 4 + CRYPTO_SIGNATURE_BYTES)

/* Signs with the node's own key; the message is `bytes` followed by `more`. */
void relay_seal(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                struct relay_envelope *e, struct bytes bytes, struct bytes more);
/* Has the node with this ID signed it? */
bool relay_sealed(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                  const struct relay_envelope *e, struct bytes message,
                  const uint8_t id[CRYPTO_KEY_BYTES]);

/* Without the first byte of a parcel or request. */
void relay_write(const struct relay_envelope *e, struct writer *w);
/* `form` is that of the carrier; the message is what r holds afterwards. False: the bytes are no
 * envelope. */
bool relay_read(struct reader *r, enum relay_form form, struct relay_envelope *out);

#endif
