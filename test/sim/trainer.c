#include "trainer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    t->parameters = vector(count);
    t->learned = calloc(count, sizeof *t->learned);
    if (!t->learned) abort();
    struct disk *d = &n->disk;
    d->anchor = vector(count);
    d->momentum = vector(count);
    d->kept_anchor = vector(count);
    d->kept_momentum = vector(count);
    d->kept = calloc(outer_layout_of(count).chunks, sizeof *d->kept);
    if (!d->kept) abort();
}

void trainer_close(struct sim_node *n)
{
    arena_close(&n->trainer.memory);
    free(n->trainer.parameters);
    free(n->trainer.learned);
    free(n->disk.anchor);
    free(n->disk.momentum);
    free(n->disk.kept_anchor);
    free(n->disk.kept_momentum);
    free(n->disk.kept);
}

static void upload(void *self, void *device, const void *host, size_t bytes)
{
    (void)self;
    memcpy(device, host, bytes);
}

static enum err download(void *self, void *host, const void *device, size_t bytes, struct why *w)
{
    (void)self, (void)w;
    memcpy(host, device, bytes);
    return ERR_OK;
}

void trainer_device_open(struct trainer_device *d)
{
    struct why why;
    *d = (struct trainer_device){.backend = {.name = "sim",
                                             .host = true,
                                             .self = &d->cpu,
                                             .upload = upload,
                                             .download = download,
                                             .outer_quantize = ops_outer_quantize,
                                             .outer_step = ops_outer_step}};
    if (pool_open(&d->cpu.pool, 1, 0, &why)) abort();
}

void trainer_device_close(struct trainer_device *d) { pool_close(d->cpu.pool); }

static void save(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    struct disk *d = &n->disk;
    size_t bytes = w->scenario.parameters * sizeof(float);
    memcpy(d->anchor, t->replica.state.anchor, bytes);
    memcpy(d->momentum, t->replica.state.momentum, bytes);
    d->state = t->replica.state;
    d->state.anchor = d->anchor;
    d->state.momentum = d->momentum;
    d->state.leaves = NULL;
    d->any = true;
    d->saved = w->now;
}

void trainer_boot(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    struct replica *r = &t->replica;
    struct why why;
    const uint64_t count = w->scenario.parameters;
    arena_close(&t->memory);
    if (arena_open(&t->memory, replica_bytes(count), &why)) abort();
    for (uint64_t i = 0; i < count; i++)
        t->parameters[i] = (float)(int32_t)rng_at(w->options.seed, i) * 0x1p-33f;
    if (replica_init(r, &t->memory, &rule, t->parameters, count, w->run_id, &n->crypto,
                     &w->device.backend, w->device.cpu.pool, &why))
        abort();
    memset(t->learned, 0, count * sizeof *t->learned);
    t->on = t->held = t->breaks = false;
    t->job = JOB_NONE;
    t->order_count = 0;
    t->round = (struct round_progress){.tokens_per_s = 1, .step_ms = (uint32_t)span_in_ms(t->step)};
    if (n->disk.any) {
        const struct lineage_state *s = &n->disk.state;
        memcpy(r->anchor[r->current], s->anchor, count * sizeof(float));
        memcpy(r->momentum[r->current], s->momentum, count * sizeof(float));
        replica_restored(r, s->epoch, s->lineage, s->lineage_tokens);
        replica_restart(r, t->parameters);
    }
    check_state(w, n, n->disk.any ? "restored" : "genesis");
}

void trainer_keep(struct sim_node *n, const struct kept_chunk *k)
{
    struct replica *r = &n->trainer.replica;
    const size_t at = outer_chunk_start(&r->layout, k->chunk);
    const size_t bytes = outer_chunk_count(&r->layout, k->chunk) * sizeof(float);
    memcpy(n->disk.kept_anchor + at, replica_spare(r, 0, k->chunk), bytes);
    memcpy(n->disk.kept_momentum + at, replica_spare(r, 1, k->chunk), bytes);
    n->disk.kept[k->chunk] = *k;
}

static void forget_kept(struct sim_node *n)
{
    memset(n->disk.kept, 0, n->trainer.replica.layout.chunks * sizeof *n->disk.kept);
}

void trainer_wipe(struct sim_node *n)
{
    n->disk.any = false;
    forget_kept(n);
}

void trainer_find_kept(struct world *w, struct sim_node *n)
{
    struct replica *r = &n->trainer.replica;
    for (uint32_t c = 0; c < r->layout.chunks; c++) {
        const struct kept_chunk *k = &n->disk.kept[c];
        const size_t at = outer_chunk_start(&r->layout, c);
        const size_t bytes = outer_chunk_count(&r->layout, c) * sizeof(float);
        if (k->epoch <= r->state.epoch) continue;
        memcpy(replica_spare(r, 0, c), n->disk.kept_anchor + at, bytes);
        memcpy(replica_spare(r, 1, c), n->disk.kept_momentum + at, bytes);
        world_give(w, n, &(struct event){.kind = EVENT_KEPT, .kept = *k});
    }
}

/* Random changes to every element, from a separate stream for each node and step. */
static void inner_step(struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    struct rng r = rng_init(rng_at(0x5eed + (uint64_t)n->index, t->steps++));
    uint64_t word = 0;
    for (uint64_t i = 0; i < t->replica.layout.parameters; i++, word >>= 8) {
        if (i % 8 == 0) word = rng_next(&r);
        t->parameters[i] += (float)(int8_t)(word & 0xff) * STEP_UNIT;
        t->learned[i] += (int8_t)(word & 0xff);
    }
}

static void tell_state(struct world *w, struct sim_node *n, enum event_kind kind)
{
    world_give(w, n, &(struct event){.kind = kind, .state = n->trainer.replica.state});
}

static void step_done(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    inner_step(n);
    if (t->breaks)
        t->parameters[rng_below(&w->rng, w->scenario.parameters)] =
            rng_below(&w->rng, 2) ? INFINITY : NAN;
    t->breaks = false;
    t->round.steps++;
    t->round.tokens += w->scenario.batch_tokens;
    t->round.loss = 5.0f + 1.0f / (float)(1 + t->steps);
    t->round.step_ms = (uint32_t)span_in_ms(t->step);
    t->round.tokens_per_s = (uint32_t)((double)w->scenario.batch_tokens / span_in_s(t->step));
    world_give(w, n, &(struct event){.kind = EVENT_STEP, .round = t->round});
}

/* As c/node/worker.c does when what it learned is not finite. */
static void start_from_anchor(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    w->report->faults[FAULT_NUMBER]++;
    t->round.steps = t->round.tokens = 0;
    replica_restart(&t->replica, t->parameters);
    memset(t->learned, 0, w->scenario.parameters * sizeof *t->learned);
    memset(&n->watch.offers, 0, sizeof n->watch.offers);
    world_give(w, n, &(struct event){.kind = EVENT_STEP, .round = t->round});
}

static void snapshot_done(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    const struct outer_layout *l = &t->replica.layout;
    struct why why;
    bool finite;
    if (replica_snapshot(&t->replica, t->parameters, &finite, &why)) abort();
    size_t count = finite ? outer_wire_offset(l, l->chunks) : 0;
    const uint32_t life = n->life;
    t->snapshot_tokens = t->round.tokens;
    if (finite) check_snapshot(w, n);
    world_give(w, n,
               &(struct event){.kind = EVENT_SNAPSHOT, .wire = bytes_of(t->replica.wire, count)});
    if (!finite && n->alive && n->life == life) start_from_anchor(w, n);
}

static void apply_done(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    struct lineage_state before = t->replica.state;
    struct why why;
    check_means(w, n);
    if (replica_apply(&t->replica, &t->order, t->parameters, &why)) abort();
    t->round.steps = t->round.tokens = 0;
    check_applied(w, n, &before);
    if (instant_since(w->now, n->disk.saved).ns >= w->scenario.checkpoint_every.ns) save(w, n);
    tell_state(w, n, EVENT_APPLIED);
}

static void adopt_done(struct world *w, struct sim_node *n)
{
    struct trainer *t = &n->trainer;
    struct lineage_state before = t->replica.state;
    struct why why;
    bool keeps;
    if (replica_adopt(&t->replica, &t->order, t->parameters, &keeps, &why)) abort();
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
            if (o.kind == ORDER_APPLY) forget_kept(n);
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
    if (spare_in_use(w, n)) return;
    if (!replica_take(&n->trainer.replica, a->part.vector, a->part.offset, a->part.floats))
        world_violated(w, "driver: node %d writes state outside of the vector", n->index);
}

void trainer_replay(struct world *w, struct sim_node *n, const struct action *a)
{
    if (spare_in_use(w, n)) return;
    if (!replica_replay(&n->trainer.replica, a->replay.chunk, a->replay.mean))
        world_violated(w, "driver: node %d replays a chunk that there is not", n->index);
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

void trainer_flip(struct world *w, struct sim_node *n)
{
    struct replica *r = &n->trainer.replica;
    float *vector = (rng_below(&w->rng, 2) ? r->anchor : r->momentum)[r->current];
    float *x = vector + rng_below(&w->rng, w->scenario.parameters);
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    bits ^= 1u << rng_below(&w->rng, 16);
    memcpy(x, &bits, sizeof bits);
    w->report->faults[FAULT_FLIP]++;
    check_flipped(w, n);
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
