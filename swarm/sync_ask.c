#include "reduce_variant.h"
#include "sync_parts.h"
#include "wire.h"

/* Is it for a chunk or its result, of which a server has so many bytes to send? */
static bool bulk(const struct sync_request *q)
{
    return q->what == SYNC_CHUNK || q->what == SYNC_RESULT;
}

void sync_take_back(struct sync *s, struct sync_request *q)
{
    struct sync_server *v = &s->servers[q->server];
    if (bulk(q)) {
        s->chunks[q->chunk].asked = false;
        v->in_flight--;
        v->flying -= q->bytes;
    }
    q->ticket = 0;
}

void sync_lose(struct sync *s, uint32_t server, enum sync_away why, instant now)
{
    struct sync_server *v = &s->servers[server];
    if (why == SYNC_LIAR) s->liars++;
    v->away = why;
    v->since = now;
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++)
        if (s->requests[i].ticket && s->requests[i].server == server)
            sync_take_back(s, &s->requests[i]);
}

static void ask(struct sync *s, struct sync_request q, instant now, struct writer *w,
                const struct sink *out)
{
    struct sync_server *v = &s->servers[q.server];
    for (size_t i = 0; i < sizeof s->requests / sizeof *s->requests; i++) {
        if (s->requests[i].ticket) continue;
        q.ticket = SYNC_TICKET | ++s->tickets;
        q.until = instant_after(now, SYNC_PATIENCE);
        s->requests[i] = q;
        if (bulk(&q)) {
            s->chunks[q.chunk].asked = true;
            v->in_flight++;
            v->flying += q.bytes;
        }
        sink_act(out, &(struct action){.kind = ACTION_REQUEST,
                                       .peer = v->sid,
                                       .ticket = q.ticket,
                                       .bytes = writer_bytes(w)});
        return;
    }
}

void sync_ask_past(struct sync *s, uint32_t server, instant now, const struct sink *out)
{
    uint8_t room[1 + CRYPTO_DIGEST_BYTES];
    struct writer w = writer_init(room, sizeof room);
    writer_u8(&w, WIRE_GET_PAST);
    writer_copy(&w, sync_chain_end_lineage(s), CRYPTO_DIGEST_BYTES);
    ask(s, (struct sync_request){.what = SYNC_PAST, .server = server, .epoch = sync_chain_end(s)},
        now, &w, out);
}

void sync_ask_manifest(struct sync *s, uint32_t server, instant now, const struct sink *out)
{
    uint8_t room[1 + CRYPTO_DIGEST_BYTES];
    struct writer w = writer_init(room, sizeof room);
    writer_u8(&w, WIRE_GET_MANIFEST);
    writer_copy(&w, s->target.lineage, CRYPTO_DIGEST_BYTES);
    s->servers[server].asked = true;
    ask(s, (struct sync_request){.what = SYNC_LEAVES, .server = server, .epoch = s->target.epoch},
        now, &w, out);
}

void sync_ask_chunk(struct sync *s, uint32_t server, uint32_t c, instant now,
                    const struct sink *out)
{
    uint8_t room[1 + CRYPTO_DIGEST_BYTES + 4];
    struct writer w = writer_init(room, sizeof room);
    writer_u8(&w, WIRE_GET_CHUNK);
    writer_copy(&w, sync_chain_lineage(s, s->manifest.epoch), CRYPTO_DIGEST_BYTES);
    writer_u32(&w, c);
    ask(s,
        (struct sync_request){.what = SYNC_CHUNK,
                              .server = server,
                              .chunk = c,
                              .epoch = s->manifest.epoch,
                              .bytes = 2 * sync_vector_bytes(s, c)},
        now, &w, out);
}

void sync_ask_result(struct sync *s, uint32_t server, uint32_t c, instant now,
                     const struct sink *out)
{
    uint8_t room[1 + CRYPTO_DIGEST_BYTES + 4 + CRYPTO_DIGEST_BYTES];
    struct writer w = writer_init(room, sizeof room);
    const struct sync_step *t = sync_chain_step(s, s->chunks[c].epoch);
    struct reduce_variant v = reduce_variant_at(t->vector, c);
    writer_u8(&w, WIRE_FETCH);
    writer_copy(&w, t->gid, CRYPTO_DIGEST_BYTES);
    writer_u32(&w, c);
    writer_copy(&w, v.digest, sizeof v.digest);
    ask(s,
        (struct sync_request){.what = SYNC_RESULT,
                              .server = server,
                              .chunk = c,
                              .epoch = s->chunks[c].epoch + 1,
                              .bytes = outer_wire_bytes(outer_chunk_count(&s->config.layout, c))},
        now, &w, out);
}
