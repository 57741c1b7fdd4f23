#include "sync.h"

size_t sync_bytes(const struct sync_config *c)
{
    const struct outer_layout *l = &c->layout;
    return 2 * (outer_leaves_bytes(l) + 64) + SYNC_STEPS * (reduce_vector_bytes(l) + 64) +
           SYNC_MANIFEST_HEAD + outer_leaves_bytes(l) + 64 + l->chunks * sizeof(struct sync_chunk) +
           64;
}

bool sync_init(struct sync *s, const struct sync_config *c, struct arena *room)
{
    *s = (struct sync){.config = *c};
    s->manifest.leaves = arena_array(room, uint8_t, outer_leaves_bytes(&c->layout));
    s->manifest_before.leaves = arena_array(room, uint8_t, outer_leaves_bytes(&c->layout));
    bool all = s->manifest.leaves && s->manifest_before.leaves;
    for (int i = 0; i < SYNC_STEPS; i++) {
        s->steps[i].vector = arena_array(room, uint8_t, reduce_vector_bytes(&c->layout));
        all = all && s->steps[i].vector;
    }
    s->reply = arena_array(room, uint8_t, SYNC_MANIFEST_HEAD + outer_leaves_bytes(&c->layout));
    s->chunks = arena_array(room, struct sync_chunk, c->layout.chunks);
    return all && s->reply && s->chunks;
}
