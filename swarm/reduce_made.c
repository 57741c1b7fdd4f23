#include "reduce_made.h"

#include <assert.h>

#include "owners.h"
#include "wire.h"

#define MADE_BYTES (2 * CRYPTO_DIGEST_BYTES + 4 + 1 + 4) /* what is signed */

static struct bytes signed_body(const struct reduce *r, uint32_t c, const struct reduce_variant *v,
                                uint8_t room[MADE_BYTES])
{
    struct writer w = writer_init(room, MADE_BYTES);
    writer_copy(&w, r->group.gid, CRYPTO_DIGEST_BYTES);
    writer_u32(&w, c);
    writer_u8(&w, v->rank);
    writer_u32(&w, v->mask);
    writer_copy(&w, v->digest, CRYPTO_DIGEST_BYTES);
    assert(!w.full && w.used == MADE_BYTES);
    return writer_bytes(&w);
}

void reduce_sign_made(const struct reduce *r, uint32_t c, const struct reduce_variant *v,
                      uint8_t out[CRYPTO_SIGNATURE_BYTES])
{
    uint8_t body[MADE_BYTES];
    wire_sign(r->config.crypto, r->config.run_id, WIRE_RESULT, signed_body(r, c, v, body), out);
}

bool reduce_made(const struct reduce *r, const struct parcel *p, struct reduce_variant *out)
{
    uint8_t body[MADE_BYTES];
    uint32_t maker = owners_at_rank(&r->group, p->chunk, r->chunks[p->chunk].owner, p->rank);
    *out = (struct reduce_variant){.rank = p->rank, .mask = p->mask};
    parcel_digest(r->config.crypto, p->mask, p->wire, out->digest);
    return wire_verify(r->config.crypto, r->config.run_id, WIRE_RESULT,
                       signed_body(r, p->chunk, out, body), r->group.members[maker].id,
                       p->signature);
}
