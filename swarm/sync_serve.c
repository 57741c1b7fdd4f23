#include <assert.h>

#include "sync.h"
#include "sync_parts.h"
#include "wire.h"

#define HASH_STEP (1u << 18) /* elements hashed in one tick: 1 MiB, about half a millisecond */

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
                   struct bytes bytes)
{
    struct action a = {
        .kind = ACTION_REPLY, .peer = peer, .link = link, .ticket = ticket, .bytes = bytes};
    sink_act(out, &a);
}

static void answer_waiting(struct sync *s, bool before, struct bytes bytes, const struct sink *out)
{
    for (int i = 0; i < SYNC_WAITING; i++) {
        if (!s->waiting[i].used || s->waiting[i].before != before) continue;
        s->waiting[i].used = false;
        answer(out, 0, s->waiting[i].link, s->waiting[i].ticket, bytes);
    }
}

void sync_withdraw(struct sync *s, const struct sink *out)
{
    s->before.any = false;
    answer_waiting(s, true, bytes_of("", 0), out);
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

static struct bytes manifest(struct sync *s, const struct sync_offer *o)
{
    struct writer w = writer_init(s->reply, SYNC_MANIFEST_HEAD + sync_leaves_bytes(s));
    writer_u8(&w, 0);
    writer_u64(&w, o->state.epoch);
    writer_copy(&w, o->state.lineage, CRYPTO_DIGEST_BYTES);
    writer_u64(&w, o->state.lineage_tokens);
    writer_u64(&w, s->config.parameters);
    writer_u32(&w, s->elements);
    writer_u32(&w, 2 * s->chunks);
    writer_copy(&w, o->leaves, sync_leaves_bytes(s));
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
    answer(out, 0, link, ticket, bytes_of("", 0));
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
    if (!o || !reader_done(&r) || chunk >= 2 * s->chunks)
        answer(out, peer, link, ticket, bytes_of("", 0));
    else if (type == WIRE_GET_CHUNK)
        answer(out, peer, link, ticket, sync_chunk(s, &o->state, chunk));
    else if (o->hashed == 2 * s->chunks) answer(out, peer, link, ticket, manifest(s, o));
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
    for (uint32_t n = 0; n < HASH_STEP && o->hashed < 2 * s->chunks; n += s->elements) {
        sync_digest(s, sync_chunk(s, &o->state, o->hashed),
                    o->leaves + (size_t)o->hashed * CRYPTO_DIGEST_BYTES);
        o->hashed++;
    }
    return o->hashed == 2 * s->chunks;
}

void sync_serve_tick(struct sync *s, const struct sink *out)
{
    for (int b = 0; b < 2; b++) {
        struct sync_offer *o = b ? &s->before : &s->now;
        if (!wanted(s, b)) continue;
        if (!o->any) answer_waiting(s, b, bytes_of("", 0), out);
        else if (hash_some(s, o)) answer_waiting(s, b, manifest(s, o), out);
    }
}

bool sync_serve_busy(const struct sync *s) { return wanted(s, false) || wanted(s, true); }
