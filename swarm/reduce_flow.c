#include "reduce_flow.h"

/* SPEC.md, "Averaging": what others say of themselves counts for so long after the latest byte that I
 * moved. */
#define BELIEVED       span_s(90)
#define BELIEVED_AGAIN span_s(20) /* the same once the group has stood still */

void reduce_flow_with(struct reduce *r, uint32_t i, uint64_t sent, uint64_t received)
{
    struct reduce_peer *p = &r->peers[i];
    /* Parcels alone: whoever asks again and again, or downloads a state, is sent bytes for ever. */
    uint64_t moved = received + (p->sending ? sent : 0);
    r->moved += moved;
    if (moved) r->moved_at = r->now;
    p->sending = p->in_flight > 0;
    if (!received) return;
    p->moved_at = r->now;
    p->late = false;
}

void reduce_flow_said(struct reduce *r, uint32_t i, uint64_t moved)
{
    struct reduce_peer *p = &r->peers[i];
    if (moved <= p->moved) return;
    p->moved = moved;
    p->said_at = r->now;
    if (reduce_word(r, i).ns == r->now.ns) p->late = false;
}

/* The latest that I have measured: bytes that I moved, a chunk that was settled here. */
static instant measured(const struct reduce *r) { return instant_max(r->moved_at, r->settled_at); }

instant reduce_word(const struct reduce *r, uint32_t i)
{
    instant others = instant_max(measured(r), r->closed);
    /* Who has closed can do nothing but wait for those who have not. */
    instant until = INSTANT_NEVER;
    if (r->state == REDUCE_GATHER)
        until = r->stills ? instant_after(instant_max(others, r->still_at), BELIEVED_AGAIN)
                          : instant_after(others, BELIEVED);
    for (uint32_t j = 0; j < r->group.count; j++)
        if (j != i && j != reduce_self(r) && !r->peers[j].suspect)
            others = instant_max(others, r->peers[j].said_at);
    return instant_min(r->peers[i].said_at, instant_min(others, until));
}

bool reduce_too_long(const struct reduce *r)
{
    return r->base.ns != INSTANT_NEVER.ns &&
           instant_reached(r->now, instant_after(r->base, r->patience));
}

bool reduce_still(const struct reduce *r, uint32_t i, instant since)
{
    if (reduce_too_long(r)) return true;
    instant latest = instant_max(r->peers[i].moved_at, since);
    if (!instant_reached(r->now, instant_after(latest, REDUCE_STILL))) return false;
    return instant_reached(r->now, instant_after(reduce_word(r, i), REDUCE_STILL));
}

instant reduce_latest_move(const struct reduce *r)
{
    if (reduce_too_long(r)) return r->settled_at;
    instant latest = measured(r);
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r) && !r->peers[i].suspect)
            latest = instant_max(latest, instant_max(r->peers[i].moved_at, reduce_word(r, i)));
    return latest;
}
