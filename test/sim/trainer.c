#include "trainer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "swarm/lineage.h"
#include "world.h"

static const struct outer_rule rule = {.lr = 0.7f, .momentum = 0.9f, .nesterov = true};

static float *vector(uint64_t n)
{
    float *v = calloc(n, sizeof *v);
    if (!v) abort();
    return v;
}

void trainer_open(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    uint64_t count = w->scenario.parameters;
    t->layout = outer_layout_of(count);
    t->parameters = vector(count);
    for (int i = 0; i < 2; i++) {
        t->anchor[i] = vector(count);
        t->momentum[i] = vector(count);
        t->leaves[i] = calloc(1, outer_leaves_bytes(&t->layout));
        if (!t->leaves[i]) abort();
    }
    t->wire = calloc(1, outer_wire_offset(&t->layout, t->layout.chunks));
    if (!t->wire) abort();
    n->disk.anchor = vector(count);
    n->disk.momentum = vector(count);
}

void trainer_close(struct sim_node *n)
{
    free(n->trainer.parameters);
    for (int i = 0; i < 2; i++) {
        free(n->trainer.anchor[i]);
        free(n->trainer.momentum[i]);
        free(n->trainer.leaves[i]);
    }
    free(n->trainer.wire);
    free(n->disk.anchor);
    free(n->disk.momentum);
}

/* The current pair becomes the state of this epoch. */
static void become(struct sim_node *n, uint64_t epoch, const uint8_t *lineage, uint64_t tokens)
{
    struct trainer *t = &n->trainer;
    t->state.epoch = epoch;
    memcpy(t->state.lineage, lineage, sizeof t->state.lineage);
    t->state.lineage_tokens = tokens;
    t->state.anchor = t->anchor[t->current];
    t->state.momentum = t->momentum[t->current];
    t->state.leaves = t->leaves[t->current];
    outer_leaves(&n->crypto, &t->layout, t->state.anchor, t->state.momentum, t->leaves[t->current]);
    outer_digest(&n->crypto, &t->layout, t->state.leaves, t->state.digest);
}

static void restart_from_anchor(struct trainer *t)
{
    memcpy(t->parameters, t->anchor[t->current], t->layout.parameters * sizeof(float));
}

static void save(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    struct disk *d = &n->disk;
    size_t bytes = t->layout.parameters * sizeof(float);
    (void)w;
    memcpy(d->anchor, t->state.anchor, bytes);
    memcpy(d->momentum, t->state.momentum, bytes);
    d->state = t->state;
    d->state.anchor = d->anchor;
    d->state.momentum = d->momentum;
    d->any = true;
    d->saved = w->now;
}

void trainer_boot(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    size_t bytes = t->layout.parameters * sizeof(float);
    t->current = 0;
    t->on = t->held = false;
    t->job = JOB_NONE;
    t->order_count = 0;
    t->round = (struct round_progress){.tokens_per_s = 1, .step_ms = (uint32_t)span_in_ms(t->step)};
    if (n->disk.any) {
        memcpy(t->anchor[0], n->disk.anchor, bytes);
        memcpy(t->momentum[0], n->disk.momentum, bytes);
        become(n, n->disk.state.epoch, n->disk.state.lineage, n->disk.state.lineage_tokens);
    } else {
        uint8_t genesis[CRYPTO_DIGEST_BYTES];
        lineage_genesis(&n->crypto, w->run_id, genesis);
        for (uint64_t i = 0; i < t->layout.parameters; i++)
            t->anchor[0][i] = (float)(int32_t)rng_at(w->options.seed, i) * 0x1p-33f;
        memset(t->momentum[0], 0, bytes);
        become(n, 0, genesis, 0);
    }
    restart_from_anchor(t);
    check_state(w, n, n->disk.any ? "restored" : "genesis");
}

/* Random changes to every element, from a separate stream for each node and step. */
static void inner_step(struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    struct rng r = rng_init(rng_at(0x5eed + (uint64_t)n->index, t->steps++));
    uint64_t word = 0;
    for (uint64_t i = 0; i < t->layout.parameters; i++, word >>= 8) {
        if (i % 8 == 0) word = rng_next(&r);
        t->parameters[i] += (float)(int8_t)(word & 0xff) * 0x1p-14f;
    }
}

static void tell_state(struct world *w, struct sim_node *n, enum event_kind kind)
{
    world_give(w, n, &(struct event){.kind = kind, .state = n->trainer.state});
}

static void step_done(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    inner_step(n);
    t->round.steps++;
    t->round.tokens += w->scenario.batch_tokens;
    t->round.loss = 5.0f + 1.0f / (float)(1 + t->steps);
    t->round.step_ms = (uint32_t)span_in_ms(t->step);
    t->round.tokens_per_s = (uint32_t)((double)w->scenario.batch_tokens / span_in_s(t->step));
    world_give(w, n, &(struct event){.kind = EVENT_STEP, .round = t->round});
}

static void snapshot_done(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    bool finite = true;
    for (uint32_t c = 0; c < t->layout.chunks; c++) {
        size_t at = outer_chunk_start(&t->layout, c);
        finite = finite && outer_quantize_delta(t->state.anchor + at, t->parameters + at,
                                                outer_chunk_count(&t->layout, c),
                                                t->wire + outer_wire_offset(&t->layout, c));
    }
    size_t count = finite ? outer_wire_offset(&t->layout, t->layout.chunks) : 0;
    t->snapshot_tokens = t->round.tokens;
    check_snapshot(w, n);
    world_give(w, n, &(struct event){.kind = EVENT_SNAPSHOT, .wire = bytes_of(t->wire, count)});
}

/* One chunk of the outer step, from the current pair to the spare one; the parameters follow. */
static void apply_chunk(struct world *w, struct trainer *t, uint32_t c)
{
    size_t at = outer_chunk_start(&t->layout, c), n = outer_chunk_count(&t->layout, c);
    const float *a = t->anchor[t->current] + at, *m = t->momentum[t->current] + at;
    float *a_out = t->anchor[!t->current] + at, *m_out = t->momentum[!t->current] + at;
    (void)w;
    if (t->order.average.null[c]) {
        memcpy(a_out, a, n * sizeof *a);
        memcpy(m_out, m, n * sizeof *m);
        return;
    }
    outer_step(&rule, a, m, t->order.average.means + outer_wire_offset(&t->layout, c), n, a_out,
               m_out);
    for (size_t i = 0; i < n; i++)
        t->parameters[at + i] =
            t->order.average.mine[c] ? a_out[i] : a_out[i] + (t->parameters[at + i] - a[i]);
}

static void apply_done(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    struct lineage_state before = t->state;
    check_means(w, n);
    for (uint32_t c = 0; c < t->layout.chunks; c++) apply_chunk(w, t, c);
    t->current = !t->current;
    become(n, t->order.epoch, t->order.lineage, t->order.lineage_tokens);
    t->round.steps = t->round.tokens = 0;
    check_applied(w, n, &before);
    if (instant_since(w->now, n->disk.saved).ns >= w->scenario.checkpoint_every.ns) save(w, n);
    tell_state(w, n, EVENT_APPLIED);
}

/* The parameters follow the anchor from the state before to the present one; true if they keep what
 * they learned everywhere. */
static bool carry(struct trainer *t)
{
    bool all = true;
    for (uint64_t i = 0; i < t->layout.parameters; i++) {
        bool given = t->order.average.mine[i / t->layout.chunk_elements];
        float to = t->anchor[t->current][i];
        t->parameters[i] = given ? to : to + (t->parameters[i] - t->anchor[!t->current][i]);
        all = all && !given;
    }
    return all;
}

static void adopt_done(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    struct lineage_state before = t->state;
    t->current = !t->current;
    become(n, t->order.epoch, t->order.lineage, t->order.lineage_tokens);
    bool keeps = t->order.carries && carry(t);
    if (!t->order.carries) restart_from_anchor(t);
    if (!keeps) t->round.steps = t->round.tokens = 0;
    check_adopted(w, n, &before);
    save(w, n);
    tell_state(w, n, EVENT_ADOPTED);
}

static void start_job(struct world *w, struct sim_node *n, enum trainer_job job, span takes)
{
    n->trainer.job = job;
    queue_push(&w->queue, (struct happening){.at = instant_after(w->now, takes),
                                             .kind = HAPPEN_TRAINER,
                                             .node = n->index,
                                             .life = n->life});
}

/* Carries out orders until one takes time; then continues training if it may. */
static void next_job(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    span brief = span_us(500 + rng_below(&w->rng, 20000));
    while (t->job == JOB_NONE && t->order_count > 0) {
        struct order o = t->orders[0];
        memmove(t->orders, t->orders + 1, --t->order_count * sizeof *t->orders);
        if (o.kind == ORDER_TRAIN || o.kind == ORDER_HOLD) t->on = o.kind == ORDER_TRAIN;
        if (o.kind == ORDER_RESUME) t->held = false;
        if (o.kind == ORDER_SNAPSHOT) {
            t->held = true;
            t->held_since = w->now;
            start_job(w, n, JOB_SNAPSHOT, brief);
        }
        if (o.kind == ORDER_APPLY || o.kind == ORDER_ADOPT) {
            t->held = false;
            t->order = o;
            start_job(w, n, o.kind == ORDER_APPLY ? JOB_APPLY : JOB_ADOPT, brief);
        }
    }
    if (t->job != JOB_NONE || !t->on || t->held) return;
    if (w->scenario.count_steps && t->round.steps >= w->scenario.every) return;
    span jitter = span_ns((uint64_t)((double)t->step.ns * (0.9 + 0.2 * rng_unit(&w->rng))));
    start_job(w, n, JOB_STEP, jitter);
}

static bool spare_in_use(struct world *w, struct sim_node *n)
{
    if (n->trainer.job != JOB_APPLY && n->trainer.job != JOB_ADOPT) return false;
    world_violated(w, "driver: node %d writes to the spare buffers while they are being used",
                   n->index);
    return true;
}

void trainer_part(struct world *w, struct sim_node *n, const struct action *a)
{
    struct trainer *t = &n->trainer;
    struct bytes floats = a->part.floats;
    uint64_t count = floats.count / sizeof(float);
    if (a->part.vector > 1 || floats.count % sizeof(float) ||
        a->part.offset > t->layout.parameters || count > t->layout.parameters - a->part.offset) {
        world_violated(w, "driver: node %d writes state outside of the vector", n->index);
        return;
    }
    if (spare_in_use(w, n)) return;
    float *spare = a->part.vector ? t->momentum[!t->current] : t->anchor[!t->current];
    memcpy(spare + a->part.offset, floats.data, floats.count);
}

void trainer_replay(struct world *w, struct sim_node *n, const struct action *a)
{
    struct trainer *t = &n->trainer;
    const uint32_t c = a->replay.chunk;
    if (c >= t->layout.chunks ||
        a->replay.mean.count != outer_wire_bytes(outer_chunk_count(&t->layout, c))) {
        world_violated(w, "driver: node %d replays a chunk that there is not", n->index);
        return;
    }
    if (spare_in_use(w, n)) return;
    size_t at = outer_chunk_start(&t->layout, c);
    float *anchor = t->anchor[!t->current] + at, *momentum = t->momentum[!t->current] + at;
    outer_step(&rule, anchor, momentum, a->replay.mean.data, outer_chunk_count(&t->layout, c),
               anchor, momentum);
}

void trainer_order(struct world *w, struct sim_node *n, const struct order *o)
{
    struct trainer *t = &n->trainer;
    if (t->order_count == TRAINER_ORDERS) {
        world_violated(w, "driver: node %d has %d orders for its trainer waiting", n->index,
                       TRAINER_ORDERS);
        return;
    }
    t->orders[t->order_count++] = *o;
    if (t->job == JOB_NONE) next_job(w, n);
}

void trainer_happen(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    if (t->hung_until.ns > w->now.ns) {
        start_job(w, n, t->job, instant_since(t->hung_until, w->now));
        return;
    }
    enum trainer_job job = t->job;
    uint32_t life = n->life;
    t->job = JOB_NONE;
    switch (job) {
    case JOB_NONE:
        assert(!"the trainer has nothing to finish");
        break;
    case JOB_STEP:
        step_done(w, n);
        break;
    case JOB_SNAPSHOT:
        snapshot_done(w, n);
        break;
    case JOB_APPLY:
        apply_done(w, n);
        break;
    case JOB_ADOPT:
        adopt_done(w, n);
        break;
    }
    if (n->alive && n->life == life && t->job == JOB_NONE) next_job(w, n);
}
