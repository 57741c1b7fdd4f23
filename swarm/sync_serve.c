#include <assert.h>

#include "sync.h"
#include "sync_parts.h"
#include "wire.h"

void sync_offer(struct sync *s, const struct lineage_state *state, bool keep)
{
    s->before = s->now;
    s->before.any = s->now.any && keep;
    s->now = (struct sync_offer){.any = true, .state = *state};
}

void sync_withdraw(struct sync *s) { s->before.any = false; }

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

bool sync_takes(uint8_t type) { return type == WIRE_GET_MANIFEST || type == WIRE_GET_CHUNK; }

static const struct lineage_state *held_of(const struct sync *s,
                                           const uint8_t lineage[CRYPTO_DIGEST_BYTES])
{
    if (s->now.any && memcmp(s->now.state.lineage, lineage, CRYPTO_DIGEST_BYTES) == 0)
        return &s->now.state;
    if (s->before.any && memcmp(s->before.state.lineage, lineage, CRYPTO_DIGEST_BYTES) == 0)
        return &s->before.state;
    return NULL;
}

static struct bytes manifest(struct sync *s, const struct lineage_state *o)
{
    struct writer w =
        writer_init(s->reply, SYNC_MANIFEST_HEAD + outer_leaves_bytes(&s->config.layout));
    writer_u8(&w, 0);
    writer_u64(&w, o->epoch);
    writer_copy(&w, o->lineage, CRYPTO_DIGEST_BYTES);
    writer_u64(&w, o->lineage_tokens);
    writer_u64(&w, s->config.layout.parameters);
    writer_u32(&w, s->config.layout.chunk_elements);
    writer_u32(&w, s->config.layout.chunks);
    writer_copy(&w, o->leaves, outer_leaves_bytes(&s->config.layout));
    assert(!w.full);
    return writer_bytes(&w);
}

void sync_request(struct sync *s, sid peer, link_id link, uint64_t ticket, struct bytes request,
                  const struct sink *out)
{
    struct reader r = reader_init(request);
    uint8_t type = reader_u8(&r), lineage[CRYPTO_DIGEST_BYTES];
    reader_copy(&r, lineage, sizeof lineage);
    uint32_t chunk = type == WIRE_GET_CHUNK ? reader_u32(&r) : 0;
    const struct lineage_state *held = r.bad ? NULL : held_of(s, lineage);
    if (!held || !reader_done(&r) || chunk >= s->config.layout.chunks)
        answer(out, peer, link, ticket, none, none);
    else if (type == WIRE_GET_CHUNK)
        answer(out, peer, link, ticket, sync_vector(s, held->anchor, chunk),
               sync_vector(s, held->momentum, chunk));
    else answer(out, peer, link, ticket, manifest(s, held), none);
}
