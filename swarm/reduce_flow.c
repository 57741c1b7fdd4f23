#include "reduce_flow.h"

static void moves(struct reduce *r, uint32_t i)
{
    r->peers[i].moved_at = r->now;
    r->peers[i].late = false;
}

void reduce_flow_with(struct reduce *r, uint32_t i, uint64_t sent, uint64_t received)
{
    r->moved += sent + received;
    r->moved_at = r->now;
    if (received) moves(r, i);
}

void reduce_flow_said(struct reduce *r, uint32_t i, uint64_t moved)
{
    struct reduce_peer *p = &r->peers[i];
    if (moved <= p->moved) return;
    p->moved = moved;
    moves(r, i);
}

bool reduce_still(const struct reduce *r, uint32_t i, instant since)
{
    instant latest = instant_max(r->peers[i].moved_at, since);
    return instant_reached(r->now, instant_after(latest, REDUCE_STILL));
}

instant reduce_latest_move(const struct reduce *r)
{
    instant latest = instant_max(r->moved_at, r->settled_at);
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r) && !r->peers[i].suspect)
            latest = instant_max(latest, r->peers[i].moved_at);
    return latest;
}
