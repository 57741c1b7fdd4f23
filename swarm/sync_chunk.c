#include "parcel.h"
#include "reduce_variant.h"
#include "sync_parts.h"
#include "wire.h"

static void write(const struct sync *s, uint32_t c, struct bytes anchor, struct bytes momentum,
                  const struct sink *out)
{
    struct action a = {
        .kind = ACTION_STATE,
        .part = {.offset = outer_chunk_start(&s->config.layout, c), .floats = anchor}};
    sink_act(out, &a);
    a.part.vector = 1;
    a.part.floats = momentum;
    sink_act(out, &a);
}

/* From my own state to the spare buffers. */
static void copy(struct sync *s, uint32_t c, const struct sink *out)
{
    const struct lineage_state *mine = &s->now.state;
    write(s, c, sync_vector(s, mine->anchor, c), sync_vector(s, mine->momentum, c), out);
    s->chunks[c].hold = SYNC_HOLDS;
}

/* For a next life of this process. What was brought forward from my own state is not: that lies in
 * a checkpoint. */
static void keep(const struct sync *s, uint32_t c, const struct sink *out)
{
    if (!s->downloaded) return;
    struct action a = {.kind = ACTION_KEEP, .keep = {.chunk = c, .epoch = s->chunks[c].epoch}};
    memcpy(a.keep.lineage, sync_chain_lineage(s, a.keep.epoch), sizeof a.keep.lineage);
    sink_act(out, &a);
}

/* Is it of a state that the chain leads over? No, where the chain ends before it. */
static void settle_doubt(const struct sync *s, struct sync_chunk *k)
{
    const uint8_t *lineage = sync_chain_lineage(s, k->epoch);
    if (!lineage && !sync_chain_whole(s)) return;
    k->doubted = false;
    if (!lineage || memcmp(lineage, k->lineage, sizeof k->lineage)) k->hold = SYNC_LACKS;
}

void sync_chunk_advance(struct sync *s, uint32_t c)
{
    struct sync_chunk *k = &s->chunks[c];
    if (k->doubted) settle_doubt(s, k);
    while (k->hold != SYNC_LACKS && k->epoch < sync_chain_head(s)) {
        struct reduce_variant v = reduce_variant_at(sync_chain_step(s, k->epoch)->vector, c);
        if (!reduce_no_bytes(&v)) return;
        k->epoch++;
    }
}

void sync_chunk_finish(struct sync *s, const struct sink *out)
{
    for (uint32_t c = 0; c < s->config.layout.chunks; c++)
        if (s->chunks[c].hold == SYNC_OWNS) copy(s, c, out);
}

bool sync_chunk_take(struct sync *s, uint32_t c, uint64_t epoch, struct bytes reply,
                     const struct sink *out)
{
    const uint8_t *lineage = sync_chain_lineage(s, epoch);
    const uint8_t *leaves = lineage ? sync_manifest_leaves(s, lineage) : NULL;
    size_t half = sync_vector_bytes(s, c);
    uint8_t digest[CRYPTO_DIGEST_BYTES];
    if (!leaves) return true; /* asked before the chain changed */
    if (reply.count != 2 * half) return false;
    struct bytes anchor = bytes_of(reply.data, half), momentum = bytes_of(reply.data + half, half);
    outer_leaf(s->config.crypto, anchor, momentum, digest);
    if (memcmp(digest, leaves + (size_t)c * CRYPTO_DIGEST_BYTES, sizeof digest)) return false;
    if (s->chunks[c].hold != SYNC_LACKS) return true;
    write(s, c, anchor, momentum, out);
    s->chunks[c].hold = SYNC_HOLDS;
    s->chunks[c].epoch = epoch;
    s->bytes += reply.count;
    keep(s, c, out);
    sync_chunk_advance(s, c);
    return true;
}

/* Is my contribution in what this parcel carries? */
static bool mine(const struct sync *s, const struct parcel *p)
{
    for (int i = 0; i < SYNC_GIVEN; i++)
        if (!memcmp(s->given[i].gid, p->gid, sizeof p->gid) && p->mask >> s->given[i].self & 1)
            return true;
    return false;
}

bool sync_result_take(struct sync *s, uint32_t c, uint64_t epoch, struct bytes reply,
                      const struct sink *out)
{
    struct sync_chunk *k = &s->chunks[c];
    struct parcel p;
    uint8_t digest[CRYPTO_DIGEST_BYTES];
    if (k->hold == SYNC_LACKS || k->epoch + 1 != epoch || epoch > sync_chain_head(s)) return true;
    const struct sync_step *t = sync_chain_step(s, k->epoch);
    struct reduce_variant v = reduce_variant_at(t->vector, c);
    if (!parcel_read(reply, &s->config.layout, NODE_GROUP_MAX, &p) || p.type != WIRE_RESULT ||
        p.chunk != c || memcmp(p.gid, t->gid, sizeof p.gid))
        return false;
    parcel_digest(s->config.crypto, p.mask, p.wire, digest);
    if (memcmp(digest, v.digest, sizeof digest)) return false;
    if (k->hold == SYNC_OWNS) copy(s, c, out);
    sink_act(out, &(struct action){.kind = ACTION_REPLAY, .replay = {c, p.wire}});
    k->epoch++;
    k->mine = k->mine || mine(s, &p);
    s->bytes += reply.count;
    s->replayed++;
    keep(s, c, out);
    sync_chunk_advance(s, c);
    return true;
}
