#include "relay_wire.h"

#include <assert.h>

#include "wire.h"

#define SEALED_BYTES (8 + 8 + 8 + 4 + 1 + 1 + CRYPTO_DIGEST_BYTES)

static struct bytes sealed_body(const struct crypto *c, const struct relay_envelope *e,
                                struct bytes bytes, struct bytes more, uint8_t room[SEALED_BYTES])
{
    uint8_t digest[CRYPTO_DIGEST_BYTES];
    struct bytes parts[] = {bytes, more};
    crypto_digest(c, parts, 2, digest);
    struct writer w = writer_init(room, SEALED_BYTES);
    writer_u64(&w, e->from);
    writer_u64(&w, e->to);
    writer_u64(&w, e->life);
    writer_u32(&w, e->seq);
    writer_u8(&w, (uint8_t)e->form);
    writer_u8(&w, e->type);
    writer_copy(&w, digest, sizeof digest);
    assert(!w.full && w.used == SEALED_BYTES);
    return writer_bytes(&w);
}

void relay_seal(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                struct relay_envelope *e, struct bytes bytes, struct bytes more)
{
    uint8_t room[SEALED_BYTES];
    wire_sign(c, run_id, WIRE_RELAY, sealed_body(c, e, bytes, more, room), e->signature);
}

bool relay_sealed(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                  const struct relay_envelope *e, struct bytes message,
                  const uint8_t id[CRYPTO_KEY_BYTES])
{
    uint8_t room[SEALED_BYTES];
    struct bytes none = {message.data, 0};
    return wire_verify(c, run_id, WIRE_RELAY, sealed_body(c, e, message, none, room), id,
                       e->signature);
}

void relay_write(const struct relay_envelope *e, struct writer *w)
{
    writer_u64(w, e->from);
    writer_u64(w, e->to);
    writer_u64(w, e->life);
    writer_u32(w, e->seq);
    writer_copy(w, e->signature, sizeof e->signature);
    if (e->form == RELAY_FRAME) writer_u8(w, e->type);
}

bool relay_read(struct reader *r, enum relay_form form, struct relay_envelope *out)
{
    *out = (struct relay_envelope){.form = form};
    out->from = reader_u64(r);
    out->to = reader_u64(r);
    out->life = reader_u64(r);
    out->seq = reader_u32(r);
    reader_copy(r, out->signature, sizeof out->signature);
    if (form == RELAY_FRAME) out->type = reader_u8(r);
    return !r->bad && out->seq > 0 && out->from != out->to;
}
