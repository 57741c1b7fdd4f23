#include "parcel.h"

#include <assert.h>
#include <xxhash.h>

#include "wire.h"

#define CODEC_INT8 1

struct bytes parcel_head(const struct parcel *p, const struct outer_layout *l,
                         uint8_t room[PARCEL_RESULT_BYTES])
{
    struct writer w = writer_init(room, PARCEL_RESULT_BYTES);
    writer_u8(&w, p->type);
    writer_u8(&w, CODEC_INT8);
    writer_u8(&w, p->rank);
    writer_u8(&w, 0);
    writer_copy(&w, p->gid, sizeof p->gid);
    writer_u32(&w, p->chunk);
    writer_u32(&w, (uint32_t)outer_chunk_count(l, p->chunk));
    writer_u32(&w, p->mask);
    writer_u32(&w, (uint32_t)p->wire.count);
    writer_u64(&w, XXH64(p->wire.data, p->wire.count, 0));
    assert(!w.full && w.used == PARCEL_HEAD_BYTES);
    if (p->type == WIRE_RESULT) writer_copy(&w, p->signature, sizeof p->signature);
    return writer_bytes(&w);
}

bool parcel_read(struct bytes all, const struct outer_layout *l, uint32_t members,
                 struct parcel *out)
{
    struct reader r = reader_init(all);
    out->type = reader_u8(&r);
    uint8_t codec = reader_u8(&r);
    out->rank = reader_u8(&r);
    reader_u8(&r);
    reader_copy(&r, out->gid, sizeof out->gid);
    out->chunk = reader_u32(&r);
    uint32_t n = reader_u32(&r);
    out->mask = reader_u32(&r);
    uint32_t count = reader_u32(&r);
    uint64_t sum = reader_u64(&r);
    if (out->type == WIRE_RESULT) reader_copy(&r, out->signature, sizeof out->signature);
    out->wire = reader_bytes(&r, count);
    if (!reader_done(&r) || codec != CODEC_INT8 || out->rank >= members) return false;
    if (out->type != WIRE_CONTRIBUTION && out->type != WIRE_RESULT) return false;
    if (out->chunk >= l->chunks || out->mask >> members) return false;
    if (n != outer_chunk_count(l, out->chunk)) return false;
    if (count != (out->mask ? outer_wire_bytes(n) : 0)) return false;
    if (XXH64(out->wire.data, count, 0) != sum) return false;
    return !out->mask || outer_wire_valid(out->wire.data, n);
}

void parcel_digest(const struct crypto *c, uint32_t mask, struct bytes wire,
                   uint8_t out[CRYPTO_DIGEST_BYTES])
{
    uint8_t number[4];
    struct writer w = writer_init(number, sizeof number);
    writer_u32(&w, mask);
    struct bytes parts[] = {writer_bytes(&w), wire};
    if (mask) crypto_digest(c, parts, 2, out);
    else memset(out, 0, CRYPTO_DIGEST_BYTES);
}
