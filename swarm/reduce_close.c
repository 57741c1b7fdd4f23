#include "reduce_close.h"

#include "parcel.h"
#include "reduce_fetch.h"
#include "reduce_gather.h"
#include "reduce_parts.h"
#include "reduce_send.h"
#include "reduce_variant.h"
#include "wire.h"

#define T_CLOSE_S 10 /* SPEC.md, "Timers": the wait for agreement, plus one estimate */

void reduce_freeze(struct reduce *r, const struct sink *out)
{
    r->state = REDUCE_CLOSING;
    r->stage = REDUCE_STAGE_CLOSE;
    r->close = 1;
    r->deadline = instant_after(r->now, span_ns(T_CLOSE_S * 1000000000ull + r->estimate.ns));
    for (uint32_t i = 0; i < REDUCE_WINDOW + REDUCE_RESCUE; i++) r->work[i].busy = false;
    for (uint32_t c = 0; c < r->config.layout.chunks && r->fetch_wanted > 0; c++)
        if (r->chunks[c].fetch == REDUCE_FETCH_WANTED) reduce_unwant(r, c);
    reduce_root(r, r->root);
    reduce_note(r, out, "reduce.frozen", "unsettled", r->config.layout.chunks - r->settled);
    reduce_say_stage_to_all(r, out);
}

void reduce_fail(struct reduce *r, const struct sink *out)
{
    r->state = REDUCE_FAILED;
    reduce_note(r, out, "reduce.failed", "settled", r->settled);
}

void reduce_agree(struct reduce *r, bool unsure, const struct sink *out)
{
    uint32_t in_any = 0;
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) {
        uint32_t mask = r->chunks[c].best.mask;
        r->average.null[c] = mask == 0;
        r->average.mine[c] = mask >> reduce_self(r) & 1;
        in_any |= mask;
    }
    r->tokens = 0;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (in_any & reduce_bit(i)) r->tokens += r->group.members[i].offer.weight;
    reduce_root(r, r->root);
    r->unsure = unsure;
    r->stage = REDUCE_STAGE_APPLIED;
    r->close++;
    reduce_say_stage_to_all(r, out);
    if (!in_any) {
        reduce_fail(r, out);
        return;
    }
    r->state = REDUCE_AGREED;
    reduce_note(r, out, unsure ? "reduce.unsure" : "reduce.agreed", "tokens", r->tokens);
}

/* My variants have changed: announces the new root. */
static void close_again(struct reduce *r, const struct sink *out)
{
    uint8_t root[CRYPTO_DIGEST_BYTES];
    reduce_root(r, root);
    if (!memcmp(root, r->root, sizeof root)) return;
    memcpy(r->root, root, sizeof root);
    r->close++;
    reduce_say_stage_to_all(r, out);
}

void reduce_compare(struct reduce *r, const struct sink *out)
{
    if (r->adopting >= 0) {
        const struct reduce_peer *p = &r->peers[r->adopting];
        if (p->examining) return;
        close_again(r, out);
        if (!memcmp(p->root, r->root, CRYPTO_DIGEST_BYTES)) {
            reduce_agree(r, false, out);
            return;
        }
        r->adopting = -1;
    }
    close_again(r, out);
    bool alike = true;
    for (uint32_t i = 0; i < r->group.count; i++) {
        struct reduce_peer *p = &r->peers[i];
        if (i == reduce_self(r)) continue;
        bool closed = p->stage >= REDUCE_STAGE_CLOSE;
        bool same = closed && !memcmp(p->root, r->root, CRYPTO_DIGEST_BYTES);
        if (p->stage == REDUCE_STAGE_APPLIED && same) {
            reduce_agree(r, false, out);
            return;
        }
        if (p->stage == REDUCE_STAGE_APPLIED && !same && p->examined != p->close) {
            r->adopting = (int)i;
            reduce_ask_vector(r, i, out);
            return;
        }
        if (closed && !same && p->examined != p->close) reduce_ask_vector(r, i, out);
        alike = alike && (same || p->suspect);
    }
    if (alike) reduce_agree(r, false, out);
}

/* ---- vectors of others ---- */

/* A peer's vector: fetches every chunk whose variant wins over mine; when the peer has applied,
 * every chunk that differs. */
bool reduce_on_vector(struct reduce *r, uint32_t i, struct bytes vector, const struct sink *out)
{
    if (vector.count != (size_t)r->config.layout.chunks * REDUCE_VARIANT_BYTES) return false;
    for (size_t at = 0; at < vector.count; at += REDUCE_VARIANT_BYTES)
        if (vector.data[at] >= r->group.count && vector.data[at] != REDUCE_NULL) return false;
    struct reader in = reader_init(vector);
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) {
        struct reduce_variant v = {.rank = reader_u8(&in)};
        reader_copy(&in, v.digest, CRYPTO_DIGEST_BYTES);
        int order = reduce_variant_compare(&v, &r->chunks[c].best);
        if (order == 0 || (order > 0 && r->adopting != (int)i)) continue;
        if (!reduce_no_bytes(&v)) reduce_want(r, c, i, &v);
        else if (v.rank == REDUCE_NULL) r->chunks[c].best = v;
        else reduce_settle(r, c, &v, out); /* a null chunk has no bytes */
    }
    return true;
}

bool reduce_on_fetched(struct reduce *r, uint32_t c, uint32_t from, struct bytes bytes,
                       const struct sink *out)
{
    struct parcel p;
    if (!parcel_read(bytes, &r->config.layout, r->group.count, &p) || p.type != WIRE_RESULT ||
        p.chunk != c || memcmp(p.gid, r->group.gid, CRYPTO_DIGEST_BYTES))
        return false;
    struct reduce_variant v = {.rank = p.rank, .mask = p.mask};
    parcel_digest(r->config.crypto, p.mask, p.wire, v.digest);
    const struct reduce_chunk *chunk = &r->chunks[c];
    if (memcmp(v.digest, chunk->wanted.digest, CRYPTO_DIGEST_BYTES) || v.rank != chunk->wanted.rank)
        return false;
    if (!chunk->settled || r->adopting == (int)from || reduce_variant_compare(&v, &chunk->best) < 0)
        reduce_take_mean(r, &p, &v, out);
    return true;
}
