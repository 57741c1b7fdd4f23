#include "reduce_send.h"

#include <assert.h>

#include "reduce_parts.h"
#include "wire.h"

#define T_BEAT_S 1 /* SPEC.md, "Timers": period of STAGE to all members */

#define STAGE_BYTES (CRYPTO_DIGEST_BYTES + 1 + 4 + CRYPTO_DIGEST_BYTES + 8)
#define NEED_BYTES  (CRYPTO_DIGEST_BYTES + 4 + 1)
#define HAVE_BYTES  (CRYPTO_DIGEST_BYTES + 4 + 1 + 4 + CRYPTO_DIGEST_BYTES)

uint64_t reduce_ticket(const struct reduce *r, enum reduce_ticket_kind kind, uint32_t c,
                       uint32_t member)
{
    return REDUCE_TICKET | (uint64_t)kind << 60 | (uint64_t)r->serial << 40 | (uint64_t)c << 8 |
           member;
}

void reduce_note(const struct reduce *r, const struct sink *out, const char *name, const char *key,
                 uint64_t value)
{
    sink_note(out, (struct note){.name = name,
                                 .numbers = {{"round", r->group.round}, {key, value}},
                                 .hex = {"gid", bytes_of(r->group.gid, CRYPTO_DIGEST_BYTES)}});
}

/* ---- frames ---- */

void reduce_say(const struct reduce *r, uint32_t member, uint8_t type, struct bytes body,
                const struct sink *out)
{
    sink_act(out, &(struct action){.kind = ACTION_FRAME,
                                   .peer = r->group.members[member].sid,
                                   .type = type,
                                   .bytes = body});
}

void reduce_say_stage(const struct reduce *r, uint32_t member, const struct sink *out)
{
    static const uint8_t zeros[CRYPTO_DIGEST_BYTES];
    uint8_t frame[STAGE_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_copy(&w, r->group.gid, CRYPTO_DIGEST_BYTES);
    writer_u8(&w, (uint8_t)r->stage);
    writer_u32(&w, r->close);
    writer_copy(&w, r->stage >= REDUCE_STAGE_CLOSE ? r->root : zeros, CRYPTO_DIGEST_BYTES);
    writer_u64(&w, r->moved);
    assert(!w.full);
    reduce_say(r, member, WIRE_STAGE, writer_bytes(&w), out);
}

void reduce_say_stage_to_all(struct reduce *r, const struct sink *out)
{
    r->beat = instant_after(r->now, span_s(T_BEAT_S));
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r)) reduce_say_stage(r, i, out);
}

void reduce_say_need(const struct reduce *r, uint32_t member, uint32_t c, uint8_t rank,
                     const struct sink *out)
{
    uint8_t frame[NEED_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_copy(&w, r->group.gid, CRYPTO_DIGEST_BYTES);
    writer_u32(&w, c);
    writer_u8(&w, rank);
    reduce_say(r, member, WIRE_NEED, writer_bytes(&w), out);
}

void reduce_say_have(const struct reduce *r, uint32_t member, uint32_t c, const struct sink *out)
{
    const struct reduce_variant *best = &r->chunks[c].best;
    uint8_t frame[HAVE_BYTES];
    struct writer w = writer_init(frame, sizeof frame);
    writer_copy(&w, r->group.gid, CRYPTO_DIGEST_BYTES);
    writer_u32(&w, c);
    writer_u8(&w, best->rank);
    writer_u32(&w, best->mask);
    writer_copy(&w, best->digest, CRYPTO_DIGEST_BYTES);
    reduce_say(r, member, WIRE_HAVE, writer_bytes(&w), out);
}

/* ---- parcels ---- */

struct parcel reduce_result_of(const struct outer_layout *l, const uint8_t gid[CRYPTO_DIGEST_BYTES],
                               uint32_t c, const struct reduce_variant *v, const uint8_t *means)
{
    size_t count = v->mask ? outer_wire_bytes(outer_chunk_count(l, c)) : 0;
    struct parcel p = {.type = WIRE_RESULT,
                       .rank = v->rank,
                       .chunk = c,
                       .mask = v->mask,
                       .wire = bytes_of(means + outer_wire_offset(l, c), count)};
    memcpy(p.gid, gid, CRYPTO_DIGEST_BYTES);
    return p;
}

struct parcel reduce_result(const struct reduce *r, uint32_t c)
{
    struct parcel p =
        reduce_result_of(&r->config.layout, r->group.gid, c, &r->chunks[c].best, r->average.means);
    memcpy(p.signature, r->chunks[c].signature, sizeof p.signature);
    return p;
}

static void send(struct reduce *r, uint32_t member, enum reduce_ticket_kind kind,
                 const struct parcel *p, const struct sink *out)
{
    uint8_t head[PARCEL_RESULT_BYTES];
    r->peers[member].in_flight++;
    r->peers[member].sending = true;
    sink_act(out, &(struct action){.kind = ACTION_PARCEL,
                                   .peer = r->group.members[member].sid,
                                   .ticket = reduce_ticket(r, kind, p->chunk, member),
                                   .bytes = parcel_head(p, &r->config.layout, head),
                                   .more = p->wire});
}

void reduce_send_contribution(struct reduce *r, uint32_t member, uint32_t c, uint8_t rank,
                              const struct sink *out)
{
    r->chunks[c].given |= reduce_bit(member);
    struct parcel p = {.type = WIRE_CONTRIBUTION,
                       .rank = rank,
                       .chunk = c,
                       .mask = reduce_bit(reduce_self(r)),
                       .wire = bytes_of(r->mine + outer_wire_offset(&r->config.layout, c),
                                        reduce_wire_bytes(r, c))};
    memcpy(p.gid, r->group.gid, CRYPTO_DIGEST_BYTES);
    send(r, member, REDUCE_TICKET_CONTRIBUTION, &p, out);
}

static void send_result(struct reduce *r, uint32_t member, uint32_t c, const struct sink *out)
{
    r->chunks[c].told |= reduce_bit(member);
    struct parcel p = reduce_result(r, c);
    send(r, member, REDUCE_TICKET_RESULT, &p, out);
}

#define RTT_UNKNOWN_MS 200
#define RTT_MOST_MS    1000 /* a longer one was spent in queues */
#define RTT_SLACK_MS   50   /* until the other side has taken a parcel and said so */
#define FLIGHT_BYTES   ((uint64_t)32 << 20) /* half of what a link queues (net/endpoint.h) */

/* Parcels in flight to a member: what my uplink carries in one and a half round trips. More would
 * wait in a queue on the way, delay the results behind it, and overflow it. */
static uint32_t flight_max(const struct reduce *r, const struct reduce_path *path)
{
    uint64_t up = r->group.members[reduce_self(r)].offer.up_kbps, ms = path->rtt_ms;
    if (!ms) ms = RTT_UNKNOWN_MS;
    if (ms > RTT_MOST_MS) ms = RTT_MOST_MS;
    uint64_t bytes = up * (ms * 3 / 2 + RTT_SLACK_MS) / 8;
    if (bytes > FLIGHT_BYTES) bytes = FLIGHT_BYTES;
    uint32_t most =
        REDUCE_FLIGHT + (uint32_t)(bytes / outer_wire_bytes(r->config.layout.chunk_elements));
    return path->flight && most > path->flight ? path->flight : most;
}

void reduce_take_path(struct reduce *r, uint32_t i, const struct reduce_path *path)
{
    r->peers[i].linked = path->linked;
    if (path->linked) r->peers[i].flight_max = flight_max(r, path);
}

/* Results first: they unblock the others. */
static void fill_window_of(struct reduce *r, uint32_t i, const struct sink *out)
{
    struct reduce_peer *p = &r->peers[i];
    if (!p->linked || !p->heard || p->suspect || p->stage >= REDUCE_STAGE_CLOSE) return;
    for (; p->results_next < r->results_count && p->in_flight < p->flight_max; p->results_next++) {
        uint32_t c = r->results[p->results_next];
        if (!(r->chunks[c].told & reduce_bit(i))) send_result(r, i, c, out);
    }
    if (r->state != REDUCE_GATHER || !r->mine) return;
    /* The owner gathers so many of its chunks at a time: I may be that far ahead of its results. */
    for (uint32_t place = p->settled;
         place < p->owned && place < p->settled + r->open && p->in_flight < p->flight_max;
         place++) {
        uint32_t c = r->order[p->first + place];
        if (!r->chunks[c].settled && !(r->chunks[c].given & reduce_bit(i)))
            reduce_send_contribution(r, i, c, 0, out);
    }
}

void reduce_fill_windows(struct reduce *r, const struct sink *out)
{
    if (r->state == REDUCE_IDLE || r->state == REDUCE_FAILED) return;
    /* From the next member on, so that not all begin with the same one. */
    for (uint32_t j = 1; j < r->group.count; j++)
        fill_window_of(r, (reduce_self(r) + j) % r->group.count, out);
}
