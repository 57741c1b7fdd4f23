#include <string.h>
#include <xxhash.h>

#include "lies.h"
#include "lies_parts.h"
#include "outer/outer.h"
#include "swarm/match_wire.h"
#include "swarm/node_parts.h"
#include "swarm/parcel.h"
#include "swarm/reduce_made.h"
#include "swarm/wire.h"
#include "world.h"

#define READY_STEPS_AT (2 + 8 + 8 + 8 + 2 + 16 + 8 + 8) /* SPEC.md, "Matchmaking" */
#define PROPOSE_HEAD   (8 + 2 + 1 + 2)

uint32_t lies_match(struct world *w, struct sim_node *n, struct action *a)
{
    uint8_t *tale = w->tale;
    if (a->kind != ACTION_FRAME || a->bytes.count > sizeof w->tale) return 1;
    memcpy(tale, a->bytes.data, a->bytes.count);
    if (n->index % 3 == 0 && a->type == WIRE_READY) {
        size_t count = tale[0] | (size_t)tale[1] << 8;
        tale[READY_STEPS_AT] ^= (uint8_t)a->link; /* one to each */
        wire_sign(&n->crypto, w->run_id, WIRE_READY, bytes_of(tale + 2, count), tale + 2 + count);
    } else if (n->index % 3 == 1 && a->type == WIRE_PROPOSE) {
        for (size_t at = PROPOSE_HEAD; at + 16 <= a->bytes.count; at += 16)
            tale[at + 15] ^= first_eight(tale + at) != wire_sid(n->id);
    } else if (n->index % 3 > 0 && a->type == WIRE_ACCEPT) {
        w->report->faults[FAULT_TALE]++;
        return 0;
    } else return 1;
    w->report->faults[FAULT_TALE]++;
    a->bytes = bytes_of(tale, a->bytes.count);
    return 1;
}

/* ---- averaging ---- */

#define STAGE_AT 16 /* SPEC.md, "Averaging": offsets in the body of STAGE */
#define CLOSE_AT 17
#define ROOT_AT  21
#define MOVED_AT 37

/* Another mean, as quantization could have made it. */
static struct bytes false_mean(size_t elements, uint8_t value)
{
    static uint8_t room[4 * ((1 << 18) / OUTER_BLOCK) + (1 << 18)];
    const float one = 1e-6f;
    size_t blocks = (elements + OUTER_BLOCK - 1) / OUTER_BLOCK;
    for (size_t i = 0; i < blocks; i++) memcpy(room + sizeof one * i, &one, sizeof one);
    memset(room + sizeof one * blocks, value, elements);
    return bytes_of(room, outer_wire_bytes(elements));
}

/* Says that the owner of each chunk made nothing of it. */
static void deny(struct world *w, struct sim_node *n, const struct action *stage,
                 const struct sink *out)
{
    for (uint32_t c = 0; c < n->trainer.replica.layout.chunks; c++) {
        uint8_t body[41];
        struct writer to = writer_init(body, sizeof body);
        writer_copy(&to, stage->bytes.data, CRYPTO_DIGEST_BYTES);
        writer_u32(&to, c);
        memset(body + to.used, 0, sizeof body - to.used); /* rank 0, mask 0, no digest */
        struct action have = *stage;
        have.type = WIRE_HAVE;
        have.bytes = bytes_of(body, sizeof body);
        sink_act(out, &have);
        w->report->faults[FAULT_TALE]++;
    }
}

/* Its own mean, another one to each. */
static uint32_t equivocate(struct world *w, struct sim_node *n, struct action *a)
{
    struct parcel p;
    static uint8_t whole[PARCEL_RESULT_BYTES + (1 << 20)];
    const struct outer_layout *l = &n->trainer.replica.layout;
    if (a->kind != ACTION_PARCEL || a->bytes.data[0] != WIRE_RESULT) return 1;
    memcpy(whole, a->bytes.data, a->bytes.count);
    memcpy(whole + a->bytes.count, a->more.data, a->more.count);
    if (!parcel_read(bytes_of(whole, a->bytes.count + a->more.count), l, NODE_GROUP_MAX, &p))
        return 1;
    p.wire = false_mean(outer_chunk_count(l, p.chunk), (uint8_t)(a->link % 100));
    struct reduce_variant v = {.rank = p.rank, .mask = p.mask};
    parcel_digest(&n->crypto, p.mask, p.wire, v.digest);
    reduce_sign_made(&n->node->reduce, p.chunk, &v, p.signature);
    a->bytes = parcel_head(&p, l, w->tale);
    a->more = p.wire;
    w->report->faults[FAULT_TALE]++;
    return 1;
}

/* As if the owner of each chunk had made another mean; and here it is. */
static uint32_t forge(struct world *w, struct sim_node *n, struct action *a)
{
    const struct outer_layout *l = &n->trainer.replica.layout;
    const struct event *e = w->giving;
    if (a->kind != ACTION_REPLY || !e || e->kind != EVENT_REQUEST || !e->bytes.count) return 1;
    struct reader in = reader_init(e->bytes);
    uint8_t type = reader_u8(&in);
    struct parcel p = {.type = WIRE_RESULT, .mask = 1};
    reader_copy(&in, p.gid, sizeof p.gid);
    if (type == WIRE_VEC && a->bytes.count) {
        struct writer to = writer_init(w->tale, sizeof w->tale);
        for (uint32_t c = 0; c < l->chunks; c++) {
            uint8_t digest[CRYPTO_DIGEST_BYTES];
            parcel_digest(&n->crypto, 1, false_mean(outer_chunk_count(l, c), 7), digest);
            writer_u8(&to, 0);
            writer_copy(&to, digest, sizeof digest);
        }
        a->bytes = writer_bytes(&to);
    } else if (type == WIRE_FETCH) {
        p.chunk = reader_u32(&in);
        p.wire = false_mean(outer_chunk_count(l, p.chunk), 7);
        a->bytes = parcel_head(&p, l, w->tale);
        a->more = p.wire;
    } else return 1;
    w->report->faults[FAULT_TALE]++;
    return 1;
}

bool lies_about_means(const struct world *w)
{
    bool any = false;
    for (uint32_t i = 0; i < w->node_count; i++)
        any = any || (node_lies(w, &w->nodes[i]) && i % 3 == 0);
    return any && w->scenario.kind == LIES_MEANS;
}

uint32_t lies_means(struct world *w, struct sim_node *n, struct action *a, const struct sink *out)
{
    if (n->index % 3 == 0) return equivocate(w, n, a);
    if (n->index % 3 == 1) return forge(w, n, a);
    if (a->kind == ACTION_FRAME && a->type == WIRE_STAGE && a->bytes.data[STAGE_AT] == 1)
        deny(w, n, a, out);
    return 1;
}

bool lies_stall_together(const struct world *w)
{
    return w->scenario.kind == LIES_STALL && __builtin_popcount(w->scenario.fabulists) > 1;
}

/* Claims, and nothing behind them: that bytes move, that it has closed with another root each time. */
uint32_t lies_stall(struct world *w, struct sim_node *n, struct action *a)
{
    if (a->kind == ACTION_PARCEL && n->index % 3 < 2) { /* it sends nothing */
        w->report->faults[FAULT_TALE]++;
        return 0;
    }
    if (a->kind != ACTION_FRAME || (a->type != WIRE_STAGE && a->type != WIRE_SURE)) return 1;
    if (a->type == WIRE_SURE && n->index % 3 < 2) return 0;
    memcpy(w->tale, a->bytes.data, a->bytes.count);
    struct writer to = writer_init(w->tale + MOVED_AT, 8);
    if (n->index % 3 == 0 && a->type == WIRE_STAGE) {
        writer_u64(&to, w->now.ns);
    } else if (a->type == WIRE_STAGE && (n->index % 3 == 1 || w->tale[STAGE_AT] >= 3)) {
        w->tale[STAGE_AT] = 3;
        to = writer_init(w->tale + CLOSE_AT, 4);
        writer_u32(&to, (uint32_t)(w->now.ns >> 20));
        to = writer_init(w->tale + ROOT_AT, 8);
        writer_u64(&to, rng_next(&w->rng));
    } else if (a->type == WIRE_SURE) return 0; /* and signs nothing */
    w->report->faults[FAULT_TALE]++;
    a->bytes = bytes_of(w->tale, a->bytes.count);
    return 1;
}
