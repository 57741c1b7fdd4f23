#include "reduce_gather.h"

#include "outer/mean.h"
#include "parcel.h"
#include "reduce_fetch.h"
#include "reduce_flow.h"
#include "reduce_made.h"
#include "reduce_parts.h"
#include "reduce_send.h"
#include "reduce_variant.h"

/* Chunks averaged per call, before the network is looked at again: each may take milliseconds. */
#define AVERAGES_A_CALL 1

#define LATE_GRACE span_s(3) /* SPEC.md, "The way of a chunk" */

/* ---- settling a chunk ---- */

struct reduce_work *reduce_rescue_of(struct reduce *r, uint32_t c)
{
    for (uint32_t i = 0; i < REDUCE_RESCUE; i++)
        if (r->rescue[i].busy && r->rescue[i].chunk == c) return &r->rescue[i];
    return NULL;
}

void reduce_settle(struct reduce *r, uint32_t c, const struct reduce_variant *v,
                   const uint8_t signature[CRYPTO_SIGNATURE_BYTES], const struct sink *out)
{
    struct reduce_chunk *chunk = &r->chunks[c];
    chunk->best = *v;
    memcpy(chunk->signature, signature, sizeof chunk->signature);
    /* What is on its way and no better is not waited for: over a slow link it lasts. */
    bool better =
        chunk->fetch == REDUCE_FETCH_SENT && reduce_variant_compare(&chunk->wanted, v) < 0;
    if (!better) reduce_unwant(r, c);
    if (chunk->settled) return;
    chunk->settled = true;
    r->rescued = r->rescued || reduce_lost(&r->peers[chunk->owner]);
    r->settled++;
    r->settled_at = r->now;
    struct reduce_peer *owner = &r->peers[chunk->owner];
    while (owner->settled < owner->owned &&
           r->chunks[r->order[owner->first + owner->settled]].settled)
        owner->settled++;
    struct reduce_work *own = &r->own[chunk->place % r->open], *rescue = reduce_rescue_of(r, c);
    if (own->chunk == c) own->busy = false;
    if (rescue) rescue->busy = false;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (chunk->asked & reduce_bit(i)) reduce_say_have(r, i, c, out);
    chunk->asked = 0;
}

void reduce_take_mean(struct reduce *r, const struct parcel *p, const struct reduce_variant *v,
                      const struct sink *out)
{
    if (p->wire.count) memcpy(reduce_mean(r, p->chunk), p->wire.data, p->wire.count);
    /* My own average, if any, is replaced: do not send it any more. */
    r->chunks[p->chunk].told = UINT32_MAX;
    reduce_settle(r, p->chunk, v, p->signature, out);
}

/* ---- chunks that I average ---- */

/* Adds the contributions that have arrived, in member order, and quantizes their mean. */
static void average(struct reduce *r, const struct reduce_work *w, const struct sink *out)
{
    uint32_t c = w->chunk, mask = 0, count = 0, clipped = 0;
    uint32_t members[NODE_GROUP_MAX];
    struct outer_given given[NODE_GROUP_MAX];
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
    size_t n = outer_chunk_count(&r->config.layout, c);
    size_t room = outer_wire_bytes(r->config.layout.chunk_elements);
    for (uint32_t i = 0; i < r->group.count; i++) {
        const uint8_t *wire = w->contributions + i * room;
        if (i == reduce_self(r) && r->mine)
            wire = r->mine + outer_wire_offset(&r->config.layout, c);
        else if (i == reduce_self(r) || !(w->arrived & reduce_bit(i))) continue;
        given[count] = (struct outer_given){wire, r->group.members[i].offer.weight};
        members[count++] = i;
        mask |= reduce_bit(i);
    }
    if (mask &&
        !outer_mean(given, count, n, r->config.robust, &r->mean_room, reduce_mean(r, c), &clipped))
        mask = 0;
    for (uint32_t i = 0; i < count; i++)
        if (clipped >> i & 1) r->clipped[members[i]]++;
    struct reduce_variant v = {.rank = w->rank, .mask = mask};
    parcel_digest(r->config.crypto, mask, bytes_of(reduce_mean(r, c), outer_wire_bytes(n)),
                  v.digest);
    r->results[r->results_count++] = c;
    reduce_sign_made(r, c, &v, signature);
    reduce_settle(r, c, &v, signature, out);
}

/* Is this member's contribution still expected? A member that was late is given a moment for each
 * further chunk. */
static bool awaited(const struct reduce *r, const struct reduce_work *w, uint32_t i)
{
    const struct reduce_peer *p = &r->peers[i];
    if (p->given_up) return false;
    if (i == reduce_self(r)) return r->stage == REDUCE_STAGE_COMMITTED;
    if ((w->arrived | w->absent) & reduce_bit(i) || p->suspect) return false;
    return !p->late || !instant_reached(r->now, instant_after(w->began, LATE_GRACE));
}

/* Has everybody's contribution arrived, or is no longer expected? */
static bool complete(const struct reduce *r, const struct reduce_work *w)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (awaited(r, w, i)) return false;
    return true;
}

/* A member that delays a chunk and has moved nothing for T_STILL, to nobody, is late until it moves
 * again; what arrives in time still counts. */
static void look_for_late(struct reduce *r, const struct reduce_work *w)
{
    if (r->base.ns == INSTANT_NEVER.ns) return;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (awaited(r, w, i) && reduce_still(r, i, instant_max(r->base, w->began)))
            r->peers[i].late = true;
}

/* Do enough members have a part in it? More than half of those who contribute, or half of them
 * where the others are lost: an owner whom nothing reaches must not make its own contribution the
 * mean. */
static bool enough(const struct reduce *r, const struct reduce_work *w)
{
    uint32_t givers = 0, there = 0, lost = 0;
    for (uint32_t i = 0; i < r->group.count; i++) {
        bool self = i == reduce_self(r);
        bool here = self ? r->mine != NULL : w->arrived >> i & 1;
        if (!here && !(self ? false : r->peers[i].gives)) continue;
        givers++;
        there += here;
        lost += !here && r->peers[i].suspect;
    }
    return 2 * there > givers || (2 * there == givers && there + lost == givers);
}

static bool ready(const struct reduce *r, const struct reduce_work *w)
{
    return w->busy && complete(r, w) && enough(r, w);
}

void reduce_open_own(struct reduce *r)
{
    const struct reduce_peer *me = &r->peers[reduce_self(r)];
    size_t bytes = r->group.count * outer_wire_bytes(r->config.layout.chunk_elements);
    for (uint32_t place = me->settled; place < me->owned && place < me->settled + r->open;
         place++) {
        uint32_t c = r->order[me->first + place];
        struct reduce_work *w = &r->own[place % r->open];
        if (w->busy || r->chunks[c].settled) continue;
        *w = (struct reduce_work){.busy = true,
                                  .chunk = c,
                                  .began = r->now,
                                  .contributions = r->contributions + place % r->open * bytes};
    }
}

void reduce_drop_work(struct reduce *r)
{
    for (uint32_t i = 0; i < r->open; i++) r->own[i].busy = false;
    for (uint32_t i = 0; i < REDUCE_RESCUE; i++) r->rescue[i].busy = false;
}

/* Averages the chunk if all is there, unless enough was done in this call. */
static void work_on(struct reduce *r, struct reduce_work *w, uint32_t *done, const struct sink *out)
{
    if (!w->busy) return;
    look_for_late(r, w);
    if (!ready(r, w)) return;
    if (*done == AVERAGES_A_CALL) {
        r->more = true;
        return;
    }
    average(r, w, out);
    ++*done;
}

void reduce_work_on(struct reduce *r, const struct sink *out)
{
    r->more = false;
    reduce_open_own(r);
    uint32_t done = 0;
    for (uint32_t i = 0; i < r->open; i++) work_on(r, &r->own[i], &done, out);
    for (uint32_t i = 0; i < REDUCE_RESCUE; i++) work_on(r, &r->rescue[i], &done, out);
    reduce_open_own(r);
    for (uint32_t i = 0; i < r->open && done; i++) r->more = r->more || ready(r, &r->own[i]);
}
