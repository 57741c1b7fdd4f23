#include "sync.h"

#include "base/whole.h"
#include "sync_parts.h"

/* ---- layout ---- */

uint32_t sync_chunk_elements(uint64_t parameters)
{
    uint32_t e = SYNC_CHUNK_MAX;
    while (e > SYNC_CHUNK_MIN && parameters <= (uint64_t)e * 7) e /= 2;
    return e;
}

static uint32_t chunks_of(const struct sync_config *c)
{
    uint32_t e = sync_chunk_elements(c->parameters);
    return (uint32_t)ceil_div(c->parameters, e);
}

size_t sync_bytes(const struct sync_config *c)
{
    size_t leaves = 2 * (size_t)chunks_of(c) * CRYPTO_DIGEST_BYTES;
    return 4 * (leaves + 64) + SYNC_MANIFEST_HEAD + 2 * (size_t)chunks_of(c) + 2 * 64;
}

bool sync_init(struct sync *s, const struct sync_config *c, struct arena *room)
{
    *s = (struct sync){
        .config = *c, .elements = sync_chunk_elements(c->parameters), .chunks = chunks_of(c)};
    s->leaves = arena_array(room, uint8_t, sync_leaves_bytes(s));
    s->now.leaves = arena_array(room, uint8_t, sync_leaves_bytes(s));
    s->before.leaves = arena_array(room, uint8_t, sync_leaves_bytes(s));
    s->reply = arena_array(room, uint8_t, SYNC_MANIFEST_HEAD + sync_leaves_bytes(s));
    s->have = arena_array(room, uint8_t, 2 * (size_t)s->chunks);
    return s->leaves && s->now.leaves && s->before.leaves && s->reply && s->have;
}

/* ---- time ---- */

void sync_tick(struct sync *s, instant now, const struct sink *out)
{
    sync_serve_tick(s, out);
    sync_fetch_tick(s, now, out);
}

instant sync_due(const struct sync *s)
{
    return sync_serve_busy(s) ? (instant){0} : sync_fetch_due(s);
}
