#include "past.h"

#include <assert.h>

#include "parcel.h"
#include "reduce_send.h"
#include "reduce_variant.h"
#include "wire.h"

size_t past_bytes(const struct outer_layout *l, uint32_t rounds)
{
    return rounds * (sizeof(struct reduce_variant) * (size_t)l->chunks + 64 + past_entry_bytes(l)) +
           64;
}

size_t past_means_bytes(const struct outer_layout *l, uint32_t rounds)
{
    return rounds * outer_wire_offset(l, l->chunks);
}

bool past_init(struct past *p, const struct outer_layout *l, uint32_t rounds, uint8_t *means,
               uint8_t *spare, struct arena *room)
{
    assert(rounds <= NODE_PAST_MAX);
    *p = (struct past){.layout = *l, .count = rounds, .spare = spare};
    bool all = true;
    for (uint32_t i = 0; i < rounds; i++) {
        p->rounds[i].chunks = arena_array(room, struct reduce_variant, l->chunks);
        p->rounds[i].means = means + past_means_bytes(l, i);
        all = all && p->rounds[i].chunks;
    }
    p->reply = arena_array(room, uint8_t, rounds * past_entry_bytes(l));
    return all && p->reply;
}

void past_keep(struct past *p, const struct reduce *r, const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    if (!p->count) return;
    struct past_round *k = &p->rounds[p->next];
    p->next = (p->next + 1) % p->count;
    p->spare = k->means;
    k->held = true;
    k->means = r->average.means;
    memcpy(k->gid, r->group.gid, sizeof k->gid);
    memcpy(k->parent, r->parent, sizeof k->parent);
    memcpy(k->lineage, lineage, sizeof k->lineage);
    for (uint32_t c = 0; c < p->layout.chunks; c++) k->chunks[c] = r->chunks[c].best;
}

uint8_t *past_spare(const struct past *p) { return p->spare; }

/* The kept round that leads on from this lineage. */
static const struct past_round *after(const struct past *p, const uint8_t *lineage)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->rounds[i].held && !memcmp(p->rounds[i].parent, lineage, CRYPTO_DIGEST_BYTES))
            return &p->rounds[i];
    return NULL;
}

/* All kept rounds from this lineage on. */
static struct bytes rounds_from(struct past *p, const uint8_t *lineage)
{
    struct writer w = writer_init(p->reply, p->count * past_entry_bytes(&p->layout));
    const struct past_round *k = after(p, lineage);
    for (uint32_t n = 0; k && n < p->count; n++, k = after(p, k->lineage)) {
        writer_copy(&w, k->gid, sizeof k->gid);
        for (uint32_t c = 0; c < p->layout.chunks; c++) reduce_variant_write(&w, &k->chunks[c]);
    }
    assert(!w.full);
    return writer_bytes(&w);
}

bool past_request(struct past *p, sid peer, link_id link, uint64_t ticket, struct bytes request,
                  const struct sink *out)
{
    struct reader in = reader_init(request);
    uint8_t head[PARCEL_RESULT_BYTES], type = reader_u8(&in), name[CRYPTO_DIGEST_BYTES];
    struct action a = {.kind = ACTION_REPLY, .peer = peer, .link = link, .ticket = ticket};
    reader_copy(&in, name, sizeof name);
    if (type == WIRE_GET_PAST) {
        if (reader_done(&in)) a.bytes = rounds_from(p, name);
        sink_act(out, &a);
        return true;
    }
    uint32_t c = reader_u32(&in);
    struct bytes digest = reader_bytes(&in, CRYPTO_DIGEST_BYTES);
    if (type != WIRE_FETCH || !reader_done(&in) || c >= p->layout.chunks) return false;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct past_round *k = &p->rounds[i];
        const struct reduce_variant *v = &k->chunks[c];
        if (!k->held || memcmp(k->gid, name, sizeof name) || !v->mask ||
            memcmp(v->digest, digest.data, sizeof v->digest))
            continue;
        struct parcel held = reduce_result_of(&p->layout, k->gid, c, v, k->means);
        a.bytes = parcel_head(&held, &p->layout, head);
        a.more = held.wire;
        sink_act(out, &a);
        return true;
    }
    return false;
}
