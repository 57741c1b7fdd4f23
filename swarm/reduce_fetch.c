#include "reduce_fetch.h"

#include "reduce_parts.h"
#include "reduce_send.h"
#include "wire.h"

#define FETCH_BYTES (1 + CRYPTO_DIGEST_BYTES + 4 + CRYPTO_DIGEST_BYTES)

void reduce_want(struct reduce *r, uint32_t c, uint32_t from, const struct reduce_variant *v)
{
    struct reduce_chunk *chunk = &r->chunks[c];
    if (chunk->fetch == REDUCE_FETCH_SENT) return;
    if (chunk->fetch == REDUCE_FETCH_NONE) r->fetch_wanted++;
    chunk->fetch = REDUCE_FETCH_WANTED;
    chunk->fetch_from = (uint8_t)from;
    chunk->wanted = *v;
}

void reduce_unwant(struct reduce *r, uint32_t c)
{
    struct reduce_chunk *chunk = &r->chunks[c];
    if (chunk->fetch == REDUCE_FETCH_WANTED) r->fetch_wanted--;
    if (chunk->fetch == REDUCE_FETCH_SENT) r->fetch_sent--;
    chunk->fetch = REDUCE_FETCH_NONE;
}

void reduce_fetch_more(struct reduce *r, const struct sink *out)
{
    for (uint32_t c = 0;
         c < r->config.layout.chunks && r->fetch_wanted > 0 && r->fetch_sent < REDUCE_FETCH; c++) {
        struct reduce_chunk *chunk = &r->chunks[c];
        if (chunk->fetch != REDUCE_FETCH_WANTED || !r->peers[chunk->fetch_from].linked) continue;
        chunk->fetch = REDUCE_FETCH_SENT;
        r->fetch_wanted--;
        r->fetch_sent++;
        uint8_t request[FETCH_BYTES];
        struct writer w = writer_init(request, sizeof request);
        writer_u8(&w, WIRE_FETCH);
        writer_copy(&w, r->group.gid, CRYPTO_DIGEST_BYTES);
        writer_u32(&w, c);
        writer_copy(&w, chunk->wanted.digest, CRYPTO_DIGEST_BYTES);
        sink_act(out, &(struct action){
                          .kind = ACTION_REQUEST,
                          .peer = r->group.members[chunk->fetch_from].sid,
                          .ticket = reduce_ticket(r, REDUCE_TICKET_FETCH, c, chunk->fetch_from),
                          .bytes = writer_bytes(&w)});
    }
}

void reduce_fetch_give_up(struct reduce *r)
{
    for (uint32_t c = 0; c < r->config.layout.chunks && r->fetch_wanted + r->fetch_sent > 0; c++)
        reduce_unwant(r, c);
}

void reduce_ask_vector(struct reduce *r, uint32_t member, const struct sink *out)
{
    struct reduce_peer *p = &r->peers[member];
    if (p->examining || !p->linked) return;
    p->examining = true;
    p->examined = p->close;
    uint8_t request[1 + CRYPTO_DIGEST_BYTES];
    struct writer w = writer_init(request, sizeof request);
    writer_u8(&w, WIRE_VEC);
    writer_copy(&w, r->group.gid, CRYPTO_DIGEST_BYTES);
    sink_act(out, &(struct action){.kind = ACTION_REQUEST,
                                   .peer = r->group.members[member].sid,
                                   .ticket = reduce_ticket(r, REDUCE_TICKET_VEC, 0, member),
                                   .bytes = writer_bytes(&w)});
}
