#include "node/replica.h"

#include <stdlib.h>
#include <string.h>

#include "swarm/lineage.h"

size_t replica_bytes(uint64_t parameters)
{
    struct outer_layout l = outer_layout_of(parameters);
    return 4 * (parameters * sizeof(float) + 64) + 2 * (outer_leaves_bytes(&l) + 64) +
           outer_wire_offset(&l, l.chunks) + 4096;
}

static void hash_chunk(void *ctx, size_t c, size_t thread)
{
    (void)thread;
    const struct replica *r = ctx;
    outer_leaf_at(r->crypto, &r->layout, r->anchor[r->current], r->momentum[r->current],
                  (uint32_t)c, r->leaves[r->current]);
}

static void describe(struct replica *r, uint64_t epoch, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                     uint64_t lineage_tokens)
{
    struct lineage_state *s = &r->state;
    s->epoch = epoch;
    s->lineage_tokens = lineage_tokens;
    memcpy(s->lineage, lineage, sizeof s->lineage);
    s->anchor = r->anchor[r->current];
    s->momentum = r->momentum[r->current];
    s->leaves = r->leaves[r->current];
    pool_run(r->pool, hash_chunk, r, r->layout.chunks);
    outer_digest(r->crypto, &r->layout, s->leaves, s->digest);
}

enum err replica_init(struct replica *r, struct arena *room, const struct outer_rule *rule,
                      const float *parameters, uint64_t count,
                      const uint8_t run_id[CRYPTO_DIGEST_BYTES], const struct crypto *crypto,
                      const struct backend *b, struct pool *pool, struct why *w)
{
    *r = (struct replica){.layout = outer_layout_of(count),
                          .rule = *rule,
                          .crypto = crypto,
                          .backend = b,
                          .pool = pool};
    for (int i = 0; i < 2; i++) {
        r->anchor[i] = arena_array(room, float, count);
        r->momentum[i] = arena_array(room, float, count);
        r->leaves[i] = arena_array(room, uint8_t, outer_leaves_bytes(&r->layout));
        if (!r->anchor[i] || !r->momentum[i] || !r->leaves[i])
            return why(w, ERR_MEMORY, "no memory for anchor and momentum");
    }
    r->wire = arena_take(room, outer_wire_offset(&r->layout, r->layout.chunks), 64);
    if (!r->wire) return why(w, ERR_MEMORY, "no memory for the quantized pseudo-gradient");
    enum err e = b->download(b->self, r->anchor[0], parameters, count * sizeof(float), w);
    if (e) return e;
    uint8_t lineage[CRYPTO_DIGEST_BYTES];
    lineage_genesis(crypto, run_id, lineage);
    describe(r, 0, lineage, 0);
    return ERR_OK;
}

void replica_restored(struct replica *r, uint64_t epoch, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                      uint64_t lineage_tokens)
{
    describe(r, epoch, lineage, lineage_tokens);
}

enum err replica_snapshot(struct replica *r, const float *parameters, bool *finite, struct why *w)
{
    const struct op_outer_quantize o = {
        .layout = &r->layout, .wire = r->wire, .anchor = r->state.anchor, .parameters = parameters};
    return r->backend->outer_quantize(r->backend->self, &o, finite, w);
}

enum err replica_apply(struct replica *r, const struct order *o, float *parameters, struct why *w)
{
    const struct op_outer_step step = {.layout = &r->layout,
                                       .rule = &r->rule,
                                       .anchor = r->state.anchor,
                                       .momentum = r->state.momentum,
                                       .anchor_out = r->anchor[!r->current],
                                       .momentum_out = r->momentum[!r->current],
                                       .means = o->average.means,
                                       .null = o->average.null,
                                       .mine = o->average.mine,
                                       .parameters = parameters};
    enum err e = r->backend->outer_step(r->backend->self, &step, w);
    if (e) return e;
    r->current = !r->current;
    describe(r, o->epoch, o->lineage, o->lineage_tokens);
    return ERR_OK;
}

/* A vector of the spare pair. */
static float *spare(const struct replica *r, uint8_t vector)
{
    return vector == 0 ? r->anchor[!r->current] : r->momentum[!r->current];
}

bool replica_take(struct replica *r, uint8_t vector, uint64_t offset, struct bytes floats)
{
    uint64_t n = floats.count / sizeof(float);
    if (vector > 1 || floats.count % sizeof(float) || offset > r->layout.parameters ||
        n > r->layout.parameters - offset)
        return false;
    memcpy(spare(r, vector) + offset, floats.data, floats.count);
    return true;
}

float *replica_spare(struct replica *r, uint8_t vector, uint32_t chunk)
{
    return spare(r, vector) + outer_chunk_start(&r->layout, chunk);
}

bool replica_replay(struct replica *r, uint32_t chunk, struct bytes mean)
{
    if (chunk >= r->layout.chunks) return false;
    const size_t n = outer_chunk_count(&r->layout, chunk);
    if (mean.count != outer_wire_bytes(n)) return false;
    float *anchor = replica_spare(r, 0, chunk), *momentum = replica_spare(r, 1, chunk);
    outer_step(&r->rule, anchor, momentum, mean.data, n, anchor, momentum);
    return true;
}

/* Parameters of one chunk move with the anchor from the pair before to the present one. `room`: a
 * chunk. */
static enum err carry(struct replica *r, uint32_t chunk, float *parameters, float *room,
                      struct why *w)
{
    const size_t n = outer_chunk_count(&r->layout, chunk);
    const size_t at = outer_chunk_start(&r->layout, chunk);
    const float *to = r->state.anchor + at, *from = r->anchor[!r->current] + at;
    const struct backend *b = r->backend;
    enum err e = b->download(b->self, room, parameters + at, n * sizeof *room, w);
    if (e) return e;
    for (size_t i = 0; i < n; i++) room[i] = to[i] + (room[i] - from[i]);
    b->upload(b->self, parameters + at, room, n * sizeof *room);
    return ERR_OK;
}

enum err replica_adopt(struct replica *r, const struct order *o, float *parameters, bool *keeps,
                       struct why *w)
{
    enum err e = ERR_OK;
    const size_t chunk_bytes = r->layout.chunk_elements * sizeof(float);
    float *room = o->carries ? malloc(chunk_bytes) : NULL;
    if (o->carries && !room) return why(w, ERR_MEMORY, "no memory for a chunk of parameters");
    r->current = !r->current;
    describe(r, o->epoch, o->lineage, o->lineage_tokens);
    *keeps = o->carries;
    if (!o->carries) replica_restart(r, parameters);
    for (uint32_t c = 0; o->carries && !e && c < r->layout.chunks; c++) {
        const size_t at = outer_chunk_start(&r->layout, c);
        if (!o->average.mine[c]) e = carry(r, c, parameters, room, w);
        else
            r->backend->upload(r->backend->self, parameters + at, r->state.anchor + at,
                               outer_chunk_count(&r->layout, c) * sizeof(float));
        *keeps = *keeps && !o->average.mine[c];
    }
    free(room);
    return e;
}

void replica_restart(const struct replica *r, float *parameters)
{
    r->backend->upload(r->backend->self, parameters, r->state.anchor,
                       r->layout.parameters * sizeof(float));
}
