#include "sync.h"

#define LEAVES 2 /* of two manifests */

size_t sync_bytes(const struct sync_config *c)
{
    const struct outer_layout *l = &c->layout;
    return LEAVES * (outer_leaves_bytes(l) + 64) + SYNC_STEPS * (reduce_vector_bytes(l) + 64) +
           SYNC_MANIFEST_HEAD + outer_leaves_bytes(l) + 64 + l->chunks * sizeof(struct sync_chunk) +
           64;
}

bool sync_init(struct sync *s, const struct sync_config *c, struct arena *room)
{
    *s = (struct sync){.config = *c};
    uint8_t **leaves[LEAVES] = {&s->manifest.leaves, &s->manifest_before.leaves};
    bool all = true;
    for (int i = 0; i < LEAVES; i++) {
        *leaves[i] = arena_array(room, uint8_t, outer_leaves_bytes(&c->layout));
        all = all && *leaves[i];
    }
    for (int i = 0; i < SYNC_STEPS; i++) {
        s->steps[i].vector = arena_array(room, uint8_t, reduce_vector_bytes(&c->layout));
        all = all && s->steps[i].vector;
    }
    s->reply = arena_array(room, uint8_t, SYNC_MANIFEST_HEAD + outer_leaves_bytes(&c->layout));
    s->chunks = arena_array(room, struct sync_chunk, c->layout.chunks);
    return all && s->reply && s->chunks;
}
