#include <assert.h>

#include "owners.h"
#include "reduce.h"
#include "reduce_gather.h"
#include "reduce_parts.h"
#include "reduce_send.h"

#define STEP_BELIEVED_MS 30000
#define T_SNAPSHOT_S     10 /* SPEC.md, "Timers": the wait for snapshots, plus three inner steps */

/* ---- memory ---- */

static size_t padded(size_t bytes) { return (bytes + 127) & ~(size_t)63; }

/* Bytes of all contributions to the chunks that are gathered at a time, in the group that needs the
 * most. */
static size_t contributions(const struct reduce_config *c)
{
    size_t most = 0, chunk = outer_wire_bytes(c->layout.chunk_elements);
    for (uint32_t n = 1; n <= c->group_max; n++) {
        size_t bytes = reduce_open(&c->layout, n) * chunk * n;
        if (bytes > most) most = bytes;
    }
    return most;
}

size_t reduce_bytes(const struct reduce_config *c)
{
    const struct outer_layout *l = &c->layout;
    size_t chunk = outer_wire_bytes(l->chunk_elements);
    return padded(sizeof(struct reduce_chunk) * l->chunks) + 2 * padded(4 * (size_t)l->chunks) +
           padded(contributions(c)) + REDUCE_RESCUE * padded(chunk * c->group_max) +
           (c->robust ? 3 : 1) * padded(sizeof(float) * l->chunk_elements) +
           padded(reduce_vector_bytes(l)) + padded(chunk * l->chunks) + 2 * padded(l->chunks);
}

bool reduce_init(struct reduce *r, const struct reduce_config *c, struct arena *room)
{
    assert(c->group_max >= 1);
    assert(c->group_max <= NODE_GROUP_MAX);
    *r = (struct reduce){.config = *c};
    const struct outer_layout *l = &c->layout;
    size_t chunk = outer_wire_bytes(l->chunk_elements);
    r->chunks = arena_array(room, struct reduce_chunk, l->chunks);
    r->order = arena_array(room, uint32_t, l->chunks);
    r->results = arena_array(room, uint32_t, l->chunks);
    bool all = r->chunks && r->order && r->results;
    r->contributions = arena_array(room, uint8_t, contributions(c));
    for (uint32_t i = 0; i < REDUCE_RESCUE; i++) {
        r->rescue[i].contributions = arena_array(room, uint8_t, chunk * c->group_max);
        all = all && r->rescue[i].contributions;
    }
    r->mean_room.total = arena_array(room, float, l->chunk_elements);
    all = all && r->mean_room.total;
    if (c->robust) {
        r->mean_room.center = arena_array(room, float, l->chunk_elements);
        r->mean_room.moved = arena_array(room, float, l->chunk_elements);
        all = all && r->mean_room.center && r->mean_room.moved;
    }
    r->scratch = arena_array(room, uint8_t, reduce_vector_bytes(l));
    r->average.means = arena_array(room, uint8_t, chunk * l->chunks);
    r->average.null = arena_array(room, uint8_t, l->chunks);
    r->average.mine = arena_array(room, uint8_t, l->chunks);
    return all && r->contributions && r->scratch && r->average.means && r->average.null &&
           r->average.mine;
}

void reduce_collect_in(struct reduce *r, uint8_t *means)
{
    assert(!reduce_running(r));
    r->average.means = means;
}

/* ---- a new group ---- */

/* Assigns an owner to each chunk and lists the chunks by owner. */
static void lay_out(struct reduce *r)
{
    uint32_t share[NODE_GROUP_MAX], chunks = r->config.layout.chunks, first = 0;
    owners_share(&r->group, chunks, share);
    /* This array is free until the result is written. */
    owners_assign(share, r->group.count, chunks, r->average.null);
    for (uint32_t i = 0; i < r->group.count; i++) {
        r->peers[i].first = first;
        first += share[i];
    }
    for (uint32_t c = 0; c < chunks; c++) {
        struct reduce_peer *owner = &r->peers[r->average.null[c]];
        r->chunks[c] = (struct reduce_chunk){
            .owner = r->average.null[c], .place = owner->owned, .best.rank = REDUCE_NULL};
        r->order[owner->first + owner->owned++] = c;
    }
}

/* Of the slowest member, as it says; nobody makes the others wait by a word alone. */
static uint64_t slowest_step(const struct match_group *g)
{
    uint32_t by[NODE_GROUP_MAX];
    for (uint32_t i = 0; i < g->count; i++) {
        uint32_t at = i, ms = g->members[i].offer.step_ms;
        for (; at > 0 && by[at - 1] > ms; at--) by[at] = by[at - 1];
        by[at] = ms;
    }
    uint64_t most = 10 * (uint64_t)by[g->count / 2];
    if (most < STEP_BELIEVED_MS) most = STEP_BELIEVED_MS;
    return by[g->count - 1] < most ? by[g->count - 1] : most;
}

void reduce_start(struct reduce *r, const struct match_group *g, const struct lineage_state *parent,
                  const struct reduce_path paths[NODE_GROUP_MAX], span patience, instant now,
                  const struct sink *out)
{
    assert(!reduce_running(r));
    assert(g->count >= 1 && g->count <= r->config.group_max);
    r->state = REDUCE_GATHER;
    r->stage = REDUCE_STAGE_COMMITTED;
    r->group = *g;
    r->now = now;
    r->serial++;
    r->close = r->settled = r->settled_before = r->results_count = r->fetch_wanted = r->fetch_sent =
        0;
    r->mine = NULL;
    r->adopting = -1;
    r->more = r->rescued = false;
    r->base = INSTANT_NEVER;
    r->moved = 0;
    r->stills = 0;
    memset(r->clipped, 0, sizeof r->clipped);
    r->settled_at = r->moved_at = r->still_at = now;
    r->closed = (instant){0};
    r->alike_at = INSTANT_NEVER;
    r->patience = patience;
    memcpy(r->parent, parent->lineage, sizeof r->parent);
    r->parent_tokens = parent->lineage_tokens;
    for (uint32_t i = 0; i < g->count; i++) {
        r->peers[i] =
            (struct reduce_peer){.heard_at = now, .moved_at = now, .said_at = now, .news_at = now};
        reduce_take_path(r, i, &paths[i]);
    }
    r->waits = instant_after(now, span_ms(T_SNAPSHOT_S * 1000 + 3 * slowest_step(g)));
    r->open = reduce_open(&r->config.layout, g->count);
    reduce_drop_work(r);
    lay_out(r);
    reduce_note(r, out, "reduce.start", "members", g->count);
    reduce_say_stage_to_all(r, out);
}
