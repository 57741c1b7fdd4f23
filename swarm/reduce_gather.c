#include "reduce_gather.h"

#include "parcel.h"
#include "reduce_parts.h"
#include "reduce_send.h"

/* Chunks averaged per call: some milliseconds each at the largest size. */
#define AVERAGES_A_CALL 8

/* ---- settling a chunk ---- */

void reduce_settle(struct reduce *r, uint32_t c, const struct reduce_variant *v,
                   const struct sink *out)
{
    struct reduce_chunk *chunk = &r->chunks[c];
    chunk->best = *v;
    if (chunk->fetch == REDUCE_FETCH_WANTED) {
        chunk->fetch = REDUCE_FETCH_NONE;
        r->fetch_wanted--;
    }
    if (chunk->settled) return;
    chunk->settled = true;
    r->rescued = r->rescued || r->peers[chunk->owner].suspect;
    r->settled++;
    r->settled_at = r->now;
    struct reduce_peer *owner = &r->peers[chunk->owner];
    while (owner->settled < owner->owned &&
           r->chunks[r->order[owner->first + owner->settled]].settled)
        owner->settled++;
    for (uint32_t i = 0; i < REDUCE_WINDOW + REDUCE_RESCUE; i++)
        if (r->work[i].busy && r->work[i].chunk == c) r->work[i].busy = false;
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
    reduce_settle(r, p->chunk, v, out);
}

/* ---- chunks that I average ---- */

/* Adds the contributions that have arrived, in member order, and quantizes their mean. */
static void average(struct reduce *r, const struct reduce_work *w, const struct sink *out)
{
    uint32_t c = w->chunk, mask = 0;
    size_t n = outer_chunk_count(&r->config.layout, c);
    size_t room = outer_wire_bytes(r->config.layout.chunk_elements);
    uint64_t weights = 0;
    memset(r->accumulator, 0, n * sizeof(float));
    for (uint32_t i = 0; i < r->group.count; i++) {
        const uint8_t *wire = w->contributions + i * room;
        if (i == reduce_self(r) && r->mine)
            wire = r->mine + outer_wire_offset(&r->config.layout, c);
        else if (i == reduce_self(r) || !(w->arrived & reduce_bit(i))) continue;
        uint64_t weight = r->group.members[i].offer.weight;
        outer_accumulate(r->accumulator, wire, n, (float)weight);
        weights += weight;
        mask |= reduce_bit(i);
    }
    if (mask && !outer_quantize_mean(r->accumulator, n, (float)weights, reduce_mean(r, c)))
        mask = 0;
    struct reduce_variant v = {.rank = w->rank, .mask = mask};
    parcel_digest(r->config.crypto, mask, bytes_of(reduce_mean(r, c), outer_wire_bytes(n)),
                  v.digest);
    r->results[r->results_count++] = c;
    reduce_settle(r, c, &v, out);
}

/* When to stop waiting for contributions: after half of T_REDUCE, so that a late result still
 * reaches everybody; but not before members whose turn has just come could send theirs. */
static instant contributions_due(const struct reduce *r, const struct reduce_work *w)
{
    if (r->base.ns == INSTANT_NEVER.ns) return INSTANT_NEVER;
    return instant_max(
        instant_after(r->base, span_ns(REDUCE_STALL_S * 1000000000ull + r->estimate.ns * 3 / 2)),
        instant_after(w->began, span_s(REDUCE_STALL_S)));
}

/* Is this member's contribution still expected? */
static bool awaited(const struct reduce *r, const struct reduce_work *w, uint32_t i)
{
    const struct reduce_peer *p = &r->peers[i];
    if (p->given_up) return false;
    if (i == reduce_self(r)) return r->stage == REDUCE_STAGE_COMMITTED;
    return !((w->arrived | w->absent) & reduce_bit(i)) && !p->suspect;
}

/* Has everybody's contribution arrived, or is no longer expected? */
static bool complete(const struct reduce *r, const struct reduce_work *w)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (awaited(r, w, i)) return false;
    return true;
}

/* A member that delays a chunk for too long, and contributes nothing meanwhile, is not waited for
 * in later chunks either; what arrives in time still counts. */
static void give_up_on_late(struct reduce *r, const struct reduce_work *w)
{
    if (!instant_reached(r->now, contributions_due(r, w))) return;
    for (uint32_t i = 0; i < r->group.count; i++) {
        bool gives =
            !instant_reached(r->now, instant_after(r->peers[i].gave_at, span_s(REDUCE_STALL_S)));
        if (awaited(r, w, i) && !gives) r->peers[i].given_up = true;
    }
}

void reduce_open_own(struct reduce *r)
{
    const struct reduce_peer *me = &r->peers[reduce_self(r)];
    for (uint32_t place = me->settled; place < me->owned && place < me->settled + REDUCE_WINDOW;
         place++) {
        uint32_t c = r->order[me->first + place];
        struct reduce_work *w = &r->work[place % REDUCE_WINDOW];
        if (w->busy || r->chunks[c].settled) continue;
        *w = (struct reduce_work){
            .busy = true, .chunk = c, .began = r->now, .contributions = w->contributions};
    }
}

void reduce_work_on(struct reduce *r, const struct sink *out)
{
    r->more = false;
    reduce_open_own(r);
    uint32_t done = 0;
    for (uint32_t i = 0; i < REDUCE_WINDOW + REDUCE_RESCUE; i++) {
        struct reduce_work *w = &r->work[i];
        if (!w->busy) continue;
        give_up_on_late(r, w);
        if (!complete(r, w)) continue;
        if (done == AVERAGES_A_CALL) r->more = true;
        else {
            average(r, w, out);
            done++;
        }
    }
    reduce_open_own(r);
    for (uint32_t i = 0; i < REDUCE_WINDOW && done; i++)
        r->more = r->more || (r->work[i].busy && complete(r, &r->work[i]));
}
