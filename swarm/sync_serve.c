#include <assert.h>

#include "sync.h"
#include "sync_parts.h"
#include "wire.h"

#define HASH_STEP (1u << 17) /* elements of both vectors hashed in one tick: half a millisecond */

void sync_offer(struct sync *s, const struct lineage_state *state, bool keep)
{
    struct sync_offer old = s->now;
    uint8_t *spare = s->before.leaves;
    s->before = old;
    s->before.any = old.any && keep;
    s->now = (struct sync_offer){.any = true, .state = *state, .leaves = spare};
    for (int i = 0; i < SYNC_WAITING; i++) s->waiting[i].before = true;
}

static void answer(const struct sink *out, sid peer, link_id link, uint64_t ticket,
                   struct bytes bytes, struct bytes more)
{
    struct action a = {.kind = ACTION_REPLY,
                       .peer = peer,
                       .link = link,
                       .ticket = ticket,
                       .bytes = bytes,
                       .more = more};
    sink_act(out, &a);
}

static const struct bytes none = {(const uint8_t *)"", 0};

static void answer_waiting(struct sync *s, bool before, struct bytes bytes, const struct sink *out)
{
    for (int i = 0; i < SYNC_WAITING; i++) {
        if (!s->waiting[i].used || s->waiting[i].before != before) continue;
        s->waiting[i].used = false;
        answer(out, 0, s->waiting[i].link, s->waiting[i].ticket, bytes, none);
    }
}

void sync_withdraw(struct sync *s, const struct sink *out)
{
    s->before.any = false;
    answer_waiting(s, true, none, out);
}

bool sync_takes(uint8_t type) { return type == WIRE_GET_MANIFEST || type == WIRE_GET_CHUNK; }

static struct sync_offer *offer_of(struct sync *s, const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    if (s->now.any && memcmp(s->now.state.lineage, lineage, CRYPTO_DIGEST_BYTES) == 0)
        return &s->now;
    if (s->before.any && memcmp(s->before.state.lineage, lineage, CRYPTO_DIGEST_BYTES) == 0)
        return &s->before;
    return NULL;
}

void sync_leaf(const struct sync *s, struct bytes anchor, struct bytes momentum,
               uint8_t out[CRYPTO_DIGEST_BYTES])
{
    crypto_digest(s->config.crypto, (struct bytes[]){anchor, momentum}, 2, out);
}

static struct bytes manifest(struct sync *s, const struct sync_offer *o)
{
    struct writer w =
        writer_init(s->reply, SYNC_MANIFEST_HEAD + sync_leaves_bytes(&s->config.layout));
    writer_u8(&w, 0);
    writer_u64(&w, o->state.epoch);
    writer_copy(&w, o->state.lineage, CRYPTO_DIGEST_BYTES);
    writer_u64(&w, o->state.lineage_tokens);
    writer_u64(&w, s->config.layout.parameters);
    writer_u32(&w, s->config.layout.chunk_elements);
    writer_u32(&w, s->config.layout.chunks);
    writer_copy(&w, o->leaves, sync_leaves_bytes(&s->config.layout));
    assert(!w.full);
    return writer_bytes(&w);
}

static void wait_for_manifest(struct sync *s, link_id link, uint64_t ticket, bool before,
                              const struct sink *out)
{
    for (int i = 0; i < SYNC_WAITING; i++) {
        if (s->waiting[i].used) continue;
        s->waiting[i].used = true;
        s->waiting[i].before = before;
        s->waiting[i].link = link;
        s->waiting[i].ticket = ticket;
        return;
    }
    answer(out, 0, link, ticket, none, none);
}

void sync_request(struct sync *s, sid peer, link_id link, uint64_t ticket, struct bytes request,
                  instant now, const struct sink *out)
{
    (void)now;
    struct reader r = reader_init(request);
    uint8_t type = reader_u8(&r), lineage[CRYPTO_DIGEST_BYTES];
    reader_copy(&r, lineage, sizeof lineage);
    uint32_t chunk = type == WIRE_GET_CHUNK ? reader_u32(&r) : 0;
    struct sync_offer *o = r.bad ? NULL : offer_of(s, lineage);
    const struct lineage_state *held = o ? &o->state : NULL;
    if (!o || !reader_done(&r) || chunk >= s->config.layout.chunks)
        answer(out, peer, link, ticket, none, none);
    else if (type == WIRE_GET_CHUNK)
        answer(out, peer, link, ticket, sync_vector(s, held->anchor, chunk),
               sync_vector(s, held->momentum, chunk));
    else if (o->hashed == s->config.layout.chunks)
        answer(out, peer, link, ticket, manifest(s, o), none);
    else wait_for_manifest(s, link, ticket, o == &s->before, out);
}

static bool wanted(const struct sync *s, bool before)
{
    for (int i = 0; i < SYNC_WAITING; i++)
        if (s->waiting[i].used && s->waiting[i].before == before) return true;
    return false;
}

/* Computes further leaves; true when all are done. */
static bool hash_some(struct sync *s, struct sync_offer *o)
{
    const struct outer_layout *l = &s->config.layout;
    for (uint32_t n = 0; n < HASH_STEP && o->hashed < l->chunks; n += l->chunk_elements) {
        sync_leaf(s, sync_vector(s, o->state.anchor, o->hashed),
                  sync_vector(s, o->state.momentum, o->hashed),
                  o->leaves + (size_t)o->hashed * CRYPTO_DIGEST_BYTES);
        o->hashed++;
    }
    return o->hashed == l->chunks;
}

void sync_serve_tick(struct sync *s, const struct sink *out)
{
    for (int b = 0; b < 2; b++) {
        struct sync_offer *o = b ? &s->before : &s->now;
        if (!wanted(s, b)) continue;
        if (!o->any) answer_waiting(s, b, none, out);
        else if (hash_some(s, o)) answer_waiting(s, b, manifest(s, o), out);
    }
}

bool sync_serve_busy(const struct sync *s) { return wanted(s, false) || wanted(s, true); }
