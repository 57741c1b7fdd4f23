#include "reduce_sure.h"

#include <assert.h>

#include "lineage.h"
#include "reduce.h"
#include "reduce_send.h"
#include "wire.h"

#define SAID_BYTES (2 * CRYPTO_DIGEST_BYTES + 8)             /* root, lineage, lineage_tokens */
#define BODY_BYTES (CRYPTO_DIGEST_BYTES + SAID_BYTES)        /* gid before it: what is signed */
#define SURE_BYTES (BODY_BYTES + 1 + CRYPTO_SIGNATURE_BYTES) /* and the member behind the gid */

bool reduce_majority(const struct reduce *r, uint32_t members)
{
    return majority((uint32_t)__builtin_popcount(members), r->group.count, members & 1);
}

static void write_said(struct writer *w, const struct reduce_sure *s)
{
    writer_copy(w, s->root, CRYPTO_DIGEST_BYTES);
    writer_copy(w, s->lineage, CRYPTO_DIGEST_BYTES);
    writer_u64(w, s->lineage_tokens);
}

static struct bytes signed_body(const struct reduce *r, const struct reduce_sure *s,
                                uint8_t room[BODY_BYTES])
{
    struct writer w = writer_init(room, BODY_BYTES);
    writer_copy(&w, r->group.gid, CRYPTO_DIGEST_BYTES);
    write_said(&w, s);
    assert(!w.full);
    return writer_bytes(&w);
}

static void say(const struct reduce *r, uint32_t to, uint32_t of, const struct sink *out)
{
    const struct reduce_sure *s = &r->peers[of].sure;
    uint8_t frame[SURE_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_copy(&w, r->group.gid, CRYPTO_DIGEST_BYTES);
    writer_u8(&w, (uint8_t)of);
    write_said(&w, s);
    writer_copy(&w, s->signature, CRYPTO_SIGNATURE_BYTES);
    assert(!w.full);
    reduce_say(r, to, WIRE_SURE, writer_bytes(&w), out);
}

void reduce_say_sure(const struct reduce *r, uint32_t member, const struct sink *out)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != member && r->peers[i].sure.said) say(r, member, i, out);
}

uint64_t reduce_tokens(const struct reduce *r)
{
    uint32_t in_any = 0;
    uint64_t tokens = 0;
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) in_any |= r->chunks[c].best.mask;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (in_any & reduce_bit(i)) tokens += r->group.members[i].offer.weight;
    return tokens;
}

void reduce_be_sure(struct reduce *r, const struct sink *out)
{
    struct reduce_sure *s = &r->peers[reduce_self(r)].sure;
    uint8_t body[BODY_BYTES];
    assert(!s->said);
    s->said = true;
    memcpy(s->root, r->root, sizeof s->root);
    lineage_next(r->config.crypto, r->parent, r->group.round, r->root, s->lineage);
    s->lineage_tokens = r->parent_tokens + reduce_tokens(r);
    wire_sign(r->config.crypto, r->config.run_id, WIRE_SURE, signed_body(r, s, body), s->signature);
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r)) say(r, i, reduce_self(r), out);
}

bool reduce_on_sure(struct reduce *r, struct reader *in)
{
    struct reduce_sure s = {.said = true};
    uint8_t body[BODY_BYTES], lineage[CRYPTO_DIGEST_BYTES];
    uint8_t of = reader_u8(in);
    reader_copy(in, s.root, sizeof s.root);
    reader_copy(in, s.lineage, sizeof s.lineage);
    s.lineage_tokens = reader_u64(in);
    reader_copy(in, s.signature, sizeof s.signature);
    if (!reader_done(in) || of >= r->group.count) return false;
    struct reduce_peer *p = &r->peers[of];
    if (of == reduce_self(r) || p->sure.said) return true;
    lineage_next(r->config.crypto, r->parent, r->group.round, s.root, lineage);
    if (memcmp(lineage, s.lineage, sizeof lineage) ||
        !wire_verify(r->config.crypto, r->config.run_id, WIRE_SURE, signed_body(r, &s, body),
                     r->group.members[of].id, s.signature))
        return false;
    p->sure = s;
    p->news_at = r->now;
    return true;
}

const uint8_t *reduce_certain(const struct reduce *r)
{
    for (uint32_t i = 0; i < r->group.count; i++) {
        uint32_t same = 0;
        if (!r->peers[i].sure.said) continue;
        for (uint32_t j = 0; j < r->group.count; j++)
            if (r->peers[j].sure.said &&
                !memcmp(r->peers[j].sure.root, r->peers[i].sure.root, CRYPTO_DIGEST_BYTES))
                same |= reduce_bit(j);
        if (reduce_majority(r, same)) return r->peers[i].sure.root;
    }
    return NULL;
}
