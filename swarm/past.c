#include "past.h"

#include <assert.h>

#include "parcel.h"
#include "wire.h"

static size_t wire_of_all(const struct outer_layout *l) { return outer_wire_offset(l, l->chunks); }

size_t past_bytes(const struct outer_layout *l, uint32_t rounds)
{
    return rounds * (sizeof(struct reduce_variant) * (size_t)l->chunks + 64 + past_entry_bytes(l)) +
           64;
}

size_t past_means_bytes(const struct outer_layout *l, uint32_t rounds)
{
    return rounds * wire_of_all(l);
}

bool past_init(struct past *p, const struct outer_layout *l, uint32_t rounds, uint8_t *means,
               uint8_t *spare, struct arena *room)
{
    assert(rounds <= PAST_ROUNDS_MAX);
    *p = (struct past){.layout = *l, .count = rounds, .spare = spare};
    bool all = true;
    for (uint32_t i = 0; i < rounds; i++) {
        p->rounds[i].chunks = arena_array(room, struct reduce_variant, l->chunks);
        p->rounds[i].means = means + i * wire_of_all(l);
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
        for (uint32_t c = 0; c < p->layout.chunks; c++) {
            writer_u8(&w, k->chunks[c].rank);
            writer_copy(&w, k->chunks[c].digest, CRYPTO_DIGEST_BYTES);
        }
    }
    assert(!w.full);
    return writer_bytes(&w);
}

bool past_request(struct past *p, sid peer, link_id link, uint64_t ticket, struct bytes request,
                  const struct sink *out)
{
    struct reader in = reader_init(request);
    uint8_t head[PARCEL_HEAD_BYTES], type = reader_u8(&in), name[CRYPTO_DIGEST_BYTES];
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
        struct parcel held = {.type = WIRE_RESULT,
                              .rank = v->rank,
                              .chunk = c,
                              .mask = v->mask,
                              .wire = bytes_of(k->means + outer_wire_offset(&p->layout, c),
                                               outer_wire_bytes(outer_chunk_count(&p->layout, c)))};
        memcpy(held.gid, k->gid, sizeof held.gid);
        a.bytes = parcel_head(&held, &p->layout, head);
        a.more = held.wire;
        sink_act(out, &a);
        return true;
    }
    return false;
}
