#include "reduce.h"

#include <assert.h>

#include "owners.h"
#include "parcel.h"
#include "reduce_close.h"
#include "reduce_fetch.h"
#include "reduce_flow.h"
#include "reduce_gather.h"
#include "reduce_made.h"
#include "reduce_parts.h"
#include "reduce_rescue.h"
#include "reduce_send.h"
#include "reduce_sure.h"
#include "reduce_variant.h"
#include "wire.h"

/* No tick for so long: this process was suspended, so silence is nobody's fault. */
#define GAP_S 3

#define T_TELL span_ms(500) /* between two answers to a member that has not applied */

/* ---- time ---- */

/* Starts the transfer timers once all have taken their snapshots, or the wait for them is over. */
static void start_clock(struct reduce *r)
{
    if (r->base.ns != INSTANT_NEVER.ns) return;
    bool all = r->stage != REDUCE_STAGE_COMMITTED;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r) && !r->peers[i].suspect)
            all = all && r->peers[i].stage != REDUCE_STAGE_COMMITTED;
    if (!all && !instant_reached(r->now, r->waits)) return;
    for (uint32_t i = 0; i < r->group.count; i++)
        if ((i == reduce_self(r) ? r->stage : r->peers[i].stage) == REDUCE_STAGE_COMMITTED)
            r->peers[i].given_up = true;
    r->base = r->now;
    r->still_at = r->now;
}

/* GATHER: has nobody moved anything for T_STILL? */
static bool stands_still(const struct reduce *r)
{
    if (r->base.ns == INSTANT_NEVER.ns) return false;
    instant latest = instant_max(r->still_at, reduce_latest_move(r));
    return instant_reached(r->now, instant_after(latest, REDUCE_STILL));
}

static void gather(struct reduce *r, const struct sink *out)
{
    start_clock(r);
    reduce_work_on(r, out);
    if (r->rescued) reduce_recover(r, false, out);
    bool still = stands_still(r);
    if (still && !reduce_majority(r, reduce_present(r))) {
        reduce_fail(r, out); /* whatever these few agree on is never certain */
        return;
    }
    if (r->settled == r->config.layout.chunks || (still && r->stills + 1 == REDUCE_STILLS))
        reduce_freeze(r, out);
    else if (still) reduce_stand_still(r, out);
}

/* Handles everything whose time is over or whose conditions are met. */
static void review(struct reduce *r, const struct sink *out)
{
    if (!reduce_running(r)) return;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r) &&
            instant_reached(r->now, instant_after(r->peers[i].heard_at, REDUCE_SILENT)))
            reduce_suspect(r, i, out);
    bool sure = r->peers[reduce_self(r)].sure.said;
    if (reduce_all_lost(r) && !sure && !reduce_certain(r)) {
        reduce_fail(r, out);
        return;
    }
    if (r->state == REDUCE_GATHER) gather(r, out);
    /* Who says that it holds something better may never send it. */
    bool vain =
        r->state == REDUCE_CLOSING && (reduce_certain(r) ? r->adopting < 0 : reduce_too_long(r));
    if (vain) reduce_fetch_give_up(r);
    else reduce_fetch_more(r, out);
    if (r->state == REDUCE_CLOSING && r->fetch_wanted + r->fetch_sent == 0) reduce_compare(r, out);
    if (r->state == REDUCE_CLOSING && reduce_close_over(r)) reduce_fail(r, out);
    reduce_fill_windows(r, out);
}

/* Sets the time. After a suspension of the process, shifts its timers, so that it suspects nobody
 * on waking up. */
static void take_time(struct reduce *r, instant now)
{
    span gap = instant_since(now, r->now);
    r->now = instant_max(r->now, now);
    if (!reduce_running(r) || gap.ns < GAP_S * 1000000000ull) return;
    r->beat = r->now;
    r->waits = instant_after(r->waits, gap);
    if (r->state == REDUCE_CLOSING) r->closed = instant_after(r->closed, gap);
    if (r->alike_at.ns != INSTANT_NEVER.ns) r->alike_at = instant_after(r->alike_at, gap);
    r->still_at = instant_after(r->still_at, gap);
    r->moved_at = instant_after(r->moved_at, gap);
    if (r->base.ns != INSTANT_NEVER.ns) r->base = instant_after(r->base, gap);
    for (uint32_t i = 0; i < r->group.count; i++) {
        r->peers[i].heard_at = instant_after(r->peers[i].heard_at, gap);
        r->peers[i].moved_at = instant_after(r->peers[i].moved_at, gap);
        r->peers[i].said_at = instant_after(r->peers[i].said_at, gap);
    }
}

/* ---- messages ---- */

static void heard(struct reduce *r, uint32_t member)
{
    r->peers[member].heard_at = r->now;
    r->peers[member].suspect = false; /* the suspicion was wrong: wait for it again */
}

static bool on_stage(struct reduce *r, uint32_t i, struct reader *in, const struct sink *out)
{
    uint8_t stage = reader_u8(in);
    uint32_t close = reader_u32(in);
    uint8_t root[CRYPTO_DIGEST_BYTES];
    reader_copy(in, root, sizeof root);
    uint64_t moved = reader_u64(in);
    if (in->bad || stage > REDUCE_STAGE_APPLIED) return false;
    struct reduce_peer *p = &r->peers[i];
    heard(r, i);
    reduce_flow_said(r, i, moved);
    bool first = !p->heard;
    p->heard = true;
    bool news = stage > p->stage || (stage == p->stage && close > p->close);
    if (news) {
        if (stage == REDUCE_STAGE_GIVES) p->gives = true;
        if (stage == REDUCE_STAGE_EMPTY) p->given_up = true;
        p->stage = (enum reduce_stage)stage;
        p->close = close;
        p->said_at = r->now;
        memcpy(p->root, root, sizeof root);
    }
    bool late = r->stage == REDUCE_STAGE_APPLIED && stage < REDUCE_STAGE_APPLIED &&
                (news || instant_reached(r->now, instant_after(p->told_at, T_TELL)));
    if (late) p->told_at = r->now;
    if ((first && reduce_running(r)) || late) reduce_say_stage(r, i, out);
    if (late || (news && stage == REDUCE_STAGE_CLOSE)) reduce_say_sure(r, i, out);
    return true;
}

static bool on_need(struct reduce *r, uint32_t i, struct reader *in, const struct sink *out)
{
    uint32_t c = reader_u32(in);
    uint8_t rank = reader_u8(in);
    if (in->bad || c >= r->config.layout.chunks || rank >= r->group.count) return false;
    heard(r, i);
    struct reduce_chunk *chunk = &r->chunks[c];
    uint32_t heir = owners_at_rank(&r->group, c, chunk->owner, rank);
    if (chunk->settled) reduce_say_have(r, i, c, out);
    else if (heir == reduce_self(r)) chunk->asked |= reduce_bit(i); /* answer once settled */
    else if (heir != i) return true;
    else if (r->state == REDUCE_GATHER && r->mine) {
        if (!(chunk->given & reduce_bit(i))) reduce_send_contribution(r, i, c, rank, out);
    } else if (r->stage != REDUCE_STAGE_COMMITTED) reduce_say_have(r, i, c, out);
    return true;
}

static bool on_have(struct reduce *r, uint32_t i, struct reader *in, const struct sink *out)
{
    uint32_t c = reader_u32(in);
    struct reduce_variant v;
    v.rank = reader_u8(in);
    v.mask = reader_u32(in);
    reader_copy(in, v.digest, CRYPTO_DIGEST_BYTES);
    if (in->bad || c >= r->config.layout.chunks) return false;
    if (v.rank != REDUCE_NULL && v.rank >= r->group.count) return false;
    heard(r, i);
    if (r->state != REDUCE_GATHER || r->chunks[c].settled) return true;
    struct reduce_work *w = reduce_rescue_of(r, c);
    if (v.rank == REDUCE_NULL) {
        if (w) w->absent |= reduce_bit(i);
    } else reduce_want(r, c, i, &v);
    return true;
}

bool reduce_takes(uint8_t type)
{
    switch (type) {
    case WIRE_CONTRIBUTION:
    case WIRE_RESULT:
    case WIRE_STAGE:
    case WIRE_VEC:
    case WIRE_HAVE:
    case WIRE_NEED:
    case WIRE_FETCH:
    case WIRE_SURE:
        return true;
    default:
        return false;
    }
}

/* The index of the sender, when `gid` is the present group's; -1: another group. */
static int sender_of(const struct reduce *r, sid peer, struct reader *in)
{
    struct bytes gid = reader_bytes(in, CRYPTO_DIGEST_BYTES);
    if (in->bad || r->state == REDUCE_IDLE || memcmp(gid.data, r->group.gid, CRYPTO_DIGEST_BYTES))
        return -1;
    int i = reduce_member(r, peer);
    return i == (int)reduce_self(r) ? -1 : i;
}

bool reduce_frame(struct reduce *r, sid peer, uint8_t type, struct bytes body, instant now,
                  const struct sink *out)
{
    take_time(r, now);
    struct reader in = reader_init(body);
    int i = sender_of(r, peer, &in);
    if (i < 0) return !in.bad;
    bool good = false;
    if (type == WIRE_STAGE) good = on_stage(r, (uint32_t)i, &in, out);
    else if (type == WIRE_NEED) good = on_need(r, (uint32_t)i, &in, out);
    else if (type == WIRE_HAVE) good = on_have(r, (uint32_t)i, &in, out);
    else if (type == WIRE_SURE) good = reduce_on_sure(r, &in);
    review(r, out);
    return good;
}

/* The work that a contribution of this rank belongs to; NULL: there is none. */
static struct reduce_work *work_of(struct reduce *r, const struct parcel *p)
{
    if (p->rank > 0) {
        struct reduce_work *w = reduce_rescue_of(r, p->chunk);
        return w && w->rank == p->rank ? w : NULL;
    }
    const struct reduce_chunk *chunk = &r->chunks[p->chunk];
    const struct reduce_peer *me = &r->peers[reduce_self(r)];
    if (chunk->owner != reduce_self(r) || chunk->place >= me->settled + r->open) return NULL;
    reduce_open_own(r);
    struct reduce_work *w = &r->own[chunk->place % r->open];
    return w->busy && w->chunk == p->chunk ? w : NULL;
}

static void on_contribution(struct reduce *r, uint32_t i, const struct parcel *p)
{
    if (r->state != REDUCE_GATHER || r->chunks[p->chunk].settled) return;
    struct reduce_work *w = work_of(r, p);
    if (!w || w->arrived & reduce_bit(i)) return; /* a contribution counts once */
    size_t room = outer_wire_bytes(r->config.layout.chunk_elements);
    memcpy(w->contributions + i * room, p->wire.data, p->wire.count);
    w->arrived |= reduce_bit(i);
    r->peers[i].gives = true;
}

static bool on_result(struct reduce *r, uint32_t i, const struct parcel *p, const struct sink *out)
{
    const struct reduce_chunk *chunk = &r->chunks[p->chunk];
    if (owners_at_rank(&r->group, p->chunk, chunk->owner, p->rank) != i) return false;
    if (r->state != REDUCE_GATHER) return true; /* frozen: only fetched chunks count */
    struct reduce_variant v;
    if (!reduce_made(r, p, &v)) return false;
    if (!chunk->settled || reduce_variant_compare(&v, &chunk->best) < 0)
        reduce_take_mean(r, p, &v, out);
    return true;
}

bool reduce_parcel(struct reduce *r, sid peer, struct bytes parcel, instant now,
                   const struct sink *out)
{
    take_time(r, now);
    struct reader in = reader_init(parcel);
    /* type, codec, rank: they precede the gid, which says whether the message concerns me */
    reader_u32(&in);
    int i = sender_of(r, peer, &in);
    if (i < 0) return !in.bad;
    heard(r, (uint32_t)i);
    struct parcel p;
    bool good = parcel_read(parcel, &r->config.layout, r->group.count, &p);
    if (good && p.type == WIRE_RESULT) good = on_result(r, (uint32_t)i, &p, out);
    else if (good) {
        good = p.mask == reduce_bit((uint32_t)i);
        if (good) on_contribution(r, (uint32_t)i, &p);
    }
    review(r, out);
    return good;
}

static void reply(sid peer, link_id link, uint64_t ticket, struct bytes bytes, struct bytes more,
                  const struct sink *out)
{
    sink_act(out, &(struct action){.kind = ACTION_REPLY,
                                   .peer = peer,
                                   .link = link,
                                   .ticket = ticket,
                                   .bytes = bytes,
                                   .more = more});
}

bool reduce_request(struct reduce *r, sid peer, link_id link, uint64_t ticket, struct bytes request,
                    instant now, const struct sink *out)
{
    take_time(r, now);
    struct bytes none = {request.data, 0}, head = none, wire = none;
    uint8_t room[PARCEL_RESULT_BYTES];
    struct reader in = reader_init(request);
    uint8_t type = reader_u8(&in);
    if (type != WIRE_FETCH && type != WIRE_VEC) return false;
    int i = sender_of(r, peer, &in);
    uint32_t c = type == WIRE_FETCH ? reader_u32(&in) : 0;
    struct bytes digest = reader_bytes(&in, type == WIRE_FETCH ? CRYPTO_DIGEST_BYTES : 0);
    if (in.bad || i < 0 || c >= r->config.layout.chunks) return false;
    heard(r, (uint32_t)i);
    if (type == WIRE_VEC) {
        head = reduce_vector(r);
    } else if (r->chunks[c].best.rank != REDUCE_NULL &&
               !memcmp(digest.data, r->chunks[c].best.digest, CRYPTO_DIGEST_BYTES)) {
        struct parcel p = reduce_result(r, c);
        head = parcel_head(&p, &r->config.layout, room);
        wire = p.wire;
    }
    reply(peer, link, ticket, head, wire, out);
    review(r, out);
    return true;
}

void reduce_parcel_done(struct reduce *r, uint64_t ticket, bool ok, instant now,
                        const struct sink *out)
{
    take_time(r, now);
    if ((uint16_t)(ticket >> 40) != r->serial || r->state == REDUCE_IDLE) return;
    uint32_t c = (uint32_t)(ticket >> 8), i = ticket & 0xff;
    enum reduce_ticket_kind kind = ticket >> 60 & 7;
    assert(i < r->group.count);
    assert(c < r->config.layout.chunks);
    struct reduce_peer *p = &r->peers[i];
    assert(p->in_flight > 0);
    p->in_flight--;
    if (!ok && kind == REDUCE_TICKET_CONTRIBUTION) r->chunks[c].given &= ~reduce_bit(i);
    if (!ok && kind == REDUCE_TICKET_RESULT) {
        r->chunks[c].told &= ~reduce_bit(i);
        p->results_next = 0;
    }
    if (reduce_running(r)) review(r, out);
    else reduce_fill_windows(r, out);
}

bool reduce_reply(struct reduce *r, uint64_t ticket, bool ok, struct bytes bytes, instant now,
                  const struct sink *out)
{
    take_time(r, now);
    if ((uint16_t)(ticket >> 40) != r->serial || r->state == REDUCE_IDLE) return true;
    uint32_t c = (uint32_t)(ticket >> 8), i = ticket & 0xff;
    enum reduce_ticket_kind kind = ticket >> 60 & 7;
    assert(i < r->group.count);
    bool good = true, has = ok && bytes.count > 0;
    if (has) heard(r, i);
    else r->peers[i].ask_again = true;
    if (kind == REDUCE_TICKET_VEC) {
        r->peers[i].examining = false;
        if (!reduce_running(r)) return true;
        good = !has || reduce_on_vector(r, i, bytes, out);
    } else if (kind == REDUCE_TICKET_FETCH) {
        assert(c < r->config.layout.chunks);
        if (r->chunks[c].fetch != REDUCE_FETCH_SENT || r->chunks[c].fetch_from != i) return true;
        reduce_unwant(r, c);
        if (!reduce_running(r)) return true;
        good = !has || reduce_on_fetched(r, c, i, bytes, out);
    }
    review(r, out);
    return good;
}

/* ---- events ---- */

void reduce_snapshot(struct reduce *r, struct bytes wire, instant now, const struct sink *out)
{
    take_time(r, now);
    if (r->state != REDUCE_GATHER || r->stage != REDUCE_STAGE_COMMITTED) return;
    assert(!wire.count || wire.count == outer_wire_bytes((size_t)r->config.layout.parameters));
    r->mine = wire.count ? wire.data : NULL;
    r->stage = wire.count ? REDUCE_STAGE_GIVES : REDUCE_STAGE_EMPTY;
    reduce_say_stage_to_all(r, out);
    review(r, out);
}

void reduce_link(struct reduce *r, sid peer, struct reduce_path path, instant now,
                 const struct sink *out)
{
    take_time(r, now);
    int i = r->state == REDUCE_IDLE ? -1 : reduce_member(r, peer);
    if (i < 0 || i == (int)reduce_self(r)) return;
    reduce_take_path(r, (uint32_t)i, &path);
    if (path.linked) reduce_say_stage(r, (uint32_t)i, out);
    if (reduce_running(r)) review(r, out);
    else reduce_fill_windows(r, out);
}

void reduce_flow(struct reduce *r, sid peer, uint64_t sent, uint64_t received, instant now)
{
    take_time(r, now);
    int i = reduce_running(r) ? reduce_member(r, peer) : -1;
    if (i >= 0 && i != (int)reduce_self(r)) reduce_flow_with(r, (uint32_t)i, sent, received);
}

void reduce_withdrew(struct reduce *r, sid peer, instant now)
{
    take_time(r, now);
    int i = reduce_running(r) ? reduce_member(r, peer) : -1;
    if (i < 0) return;
    struct reduce_peer *p = &r->peers[i];
    uint64_t patience = REDUCE_SILENT.ns - REDUCE_RETURN.ns;
    instant as_if = {r->now.ns > patience ? r->now.ns - patience : 0};
    p->heard_at = instant_min(p->heard_at, as_if);
}

void reduce_gone(struct reduce *r, sid peer, instant now, const struct sink *out)
{
    take_time(r, now);
    int i = r->state == REDUCE_IDLE ? -1 : reduce_member(r, peer);
    if (i < 0 || i == (int)reduce_self(r)) return;
    reduce_suspect(r, (uint32_t)i, out);
    review(r, out);
}

/* Nothing has arrived lately, and another member has everything: fetch what is missing from it. */
static void ask_the_closed(struct reduce *r, const struct sink *out)
{
    bool stalled = r->settled == r->settled_before && r->fetch_wanted + r->fetch_sent == 0;
    r->settled_before = r->settled;
    for (uint32_t j = 1; stalled && j < r->group.count; j++) {
        uint32_t i = (reduce_self(r) + j) % r->group.count;
        if (r->peers[i].stage < REDUCE_STAGE_CLOSE || r->peers[i].suspect) continue;
        reduce_ask_vector(r, i, out);
        return;
    }
}

void reduce_tick(struct reduce *r, instant now, const struct sink *out)
{
    take_time(r, now);
    if (!reduce_running(r)) return;
    if (instant_reached(r->now, r->beat)) {
        reduce_say_stage_to_all(r, out);
        reduce_recover(r, true, out);
        if (r->state == REDUCE_GATHER) ask_the_closed(r, out);
        for (uint32_t i = 0; i < r->group.count; i++) {
            if (r->peers[i].ask_again) r->peers[i].examined = 0;
            r->peers[i].ask_again = false;
        }
    }
    review(r, out);
}

bool reduce_suspects(const struct reduce *r, sid peer)
{
    int i = reduce_running(r) ? reduce_member(r, peer) : -1;
    return i >= 0 && r->peers[i].suspect;
}

instant reduce_due(const struct reduce *r)
{
    if (!reduce_running(r)) return INSTANT_NEVER;
    return r->more ? r->now : r->beat;
}

bool reduce_finished(const struct reduce *r)
{
    if (reduce_running(r)) return false;
    for (uint32_t i = 0; r->state == REDUCE_AGREED && i < r->group.count; i++)
        if (i != reduce_self(r) && !r->peers[i].suspect &&
            r->peers[i].stage != REDUCE_STAGE_APPLIED)
            return false;
    return true;
}

void reduce_rest(struct reduce *r) { r->state = REDUCE_IDLE; }
