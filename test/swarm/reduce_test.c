#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/rng.h"
#include "swarm/lineage.h"
#include "swarm/owners.h"
#include "swarm/parcel.h"
#include "swarm/reduce.h"
#include "swarm/wire.h"
#include "test/swarm/carrier.h"
#include "test/swarm/sizes.h"
#include "test/sim/standin.h"

/* A committed group and the messages between its members, with deaths, duplicates and delays as
 * required by the test. */

#define MEMBERS_MAX 8
#define PARAMETERS  300000 /* 74 chunks, the last one short */

enum message_kind { M_FRAME, M_PARCEL, M_DONE, M_REQUEST, M_REPLY, M_SNAPSHOT };

struct one {
    struct reduce reduce;
    struct standin standin;
    struct crypto crypto;
    struct arena room;
    bool dead, paused;
    uint64_t dies_after; /* actions; 0: never */
    uint64_t actions;
    span snapshot_takes;
    bool empty; /* its snapshot is not finite */
    uint8_t *wire;
    float *delta; /* decoded */
    instant ended;
};

struct world {
    struct one nodes[MEMBERS_MAX];
    int count, acting;
    struct match_group group;
    struct outer_layout layout;
    struct carrier carrier;
    bool duplicates;
    uint32_t rtt_ms;     /* to everybody, as it is known at the start */
    int gets_no_parcels; /* member; -1: none; MEMBERS_MAX: all */
    bool blocked[MEMBERS_MAX][MEMBERS_MAX];
    uint64_t results;
};

static struct world world;
static const uint8_t run_id[CRYPTO_DIGEST_BYTES] = {9};
static const struct lineage_state parent = {.lineage = {8}, .lineage_tokens = 5000};

/* Reads the file once per type. */
static size_t sizes_in_spec_once(uint8_t type, size_t wire)
{
    static size_t known[256];
    if (!known[type]) known[type] = sizes_in_spec(type, 0, 0, 0);
    return known[type] + wire;
}

static void act(void *self, struct action *a)
{
    (void)self;
    int from = world.acting;
    struct one *n = &world.nodes[from];
    if (n->dead || a->kind == ACTION_NOTE) return;
    if (n->dies_after && ++n->actions >= n->dies_after) {
        n->dead = true;
        return;
    }
    int to = 0;
    while (to < world.count && world.group.members[to].sid != a->peer) to++;
    cr_assert_lt(to, world.count);
    cr_assert_neq(to, from);
    uint8_t type = a->kind == ACTION_FRAME   ? a->type
                   : a->kind == ACTION_REPLY ? 0
                                             : a->bytes.data[0];
    cr_assert(a->kind == ACTION_REPLY ||
                  a->bytes.count + a->more.count == sizes_in_spec_once(type, a->more.count),
              "type %02x: %zu bytes", type, a->bytes.count + a->more.count);
    struct carried m = {.from = from,
                        .to = to,
                        .type = a->type,
                        .ticket = a->ticket,
                        .ok = true,
                        .at = carrier_arrival(&world.carrier)};
    struct bytes none = {0};
    bool lost = world.blocked[from][to] || world.nodes[to].dead;
    switch (a->kind) {
    case ACTION_FRAME:
        m.kind = M_FRAME;
        m.at = instant_max(m.at, world.carrier.latest[from][to]);
        world.carrier.latest[from][to] = m.at;
        if (!lost) carrier_post(&world.carrier, m, a->bytes, none);
        break;
    case ACTION_PARCEL:
        m.kind = M_PARCEL;
        if (a->bytes.data[0] == WIRE_RESULT) world.results++;
        if (lost || to == world.gets_no_parcels || world.gets_no_parcels == MEMBERS_MAX)
            break; /* never acknowledged */
        carrier_post(&world.carrier, m, a->bytes, a->more);
        if (world.duplicates) {
            m.at = carrier_arrival(&world.carrier);
            carrier_post(&world.carrier, m, a->bytes, a->more);
        }
        m.kind = M_DONE;
        m.to = from;
        m.at = instant_after(m.at, world.carrier.delay);
        carrier_post(&world.carrier, m, none, none);
        break;
    case ACTION_REQUEST:
        m.kind = M_REQUEST;
        if (!lost) carrier_post(&world.carrier, m, a->bytes, none);
        break;
    case ACTION_REPLY:
        m.kind = M_REPLY;
        m.ok = a->bytes.count > 0;
        if (!lost) carrier_post(&world.carrier, m, a->bytes, a->more);
        break;
    default:
        cr_assert_fail("an action of kind %d", a->kind);
    }
}
static const struct sink sink = {NULL, act};

static float *decode(const uint8_t *wire)
{
    float *to = calloc(PARAMETERS, sizeof *to);
    for (uint32_t c = 0; c < world.layout.chunks; c++)
        outer_accumulate(to + (size_t)c * world.layout.chunk_elements,
                         wire + outer_wire_offset(&world.layout, c),
                         outer_chunk_count(&world.layout, c), 1.0f);
    return to;
}

static uint8_t *wire_of(uint64_t key)
{
    float *anchor = calloc(PARAMETERS, sizeof *anchor), *now = calloc(PARAMETERS, sizeof *now);
    for (size_t i = 0; i < PARAMETERS; i++)
        now[i] = (float)(((double)(rng_at(key, i) >> 11) * 0x1p-53 - 0.5) * 0.01);
    uint8_t *wire = malloc(outer_wire_bytes(PARAMETERS));
    for (uint32_t c = 0; c < world.layout.chunks; c++) {
        size_t at = (size_t)c * world.layout.chunk_elements;
        cr_assert(outer_quantize_delta(anchor + at, now + at, outer_chunk_count(&world.layout, c),
                                       wire + outer_wire_offset(&world.layout, c)));
    }
    free(anchor);
    free(now);
    return wire;
}

static void world_init(int count)
{
    world = (struct world){
        .count = count, .gets_no_parcels = -1, .rtt_ms = 60, .layout = outer_layout_of(PARAMETERS)};
    carrier_init(&world.carrier, span_ms(30), 3);
    world.group =
        (struct match_group){.gid = {1, 2, 3}, .round = 1, .attempt = 1, .count = (uint32_t)count};
    for (int i = 0; i < count; i++) {
        world.group.members[i].sid = 100 + (sid)i;
        world.group.members[i].offer =
            (struct match_offer){.weight = 1000 + 333 * (uint64_t)i,
                                 .steps = 5,
                                 .up_kbps = 1600, /* 8 parcels at a time */
                                 .step_ms = 100};
        struct one *n = &world.nodes[i];
        n->standin = (struct standin){.world = 3, .key = {(uint8_t)(i + 1)}};
        n->crypto = standin_crypto(&n->standin);
        world.group.members[i].id[0] = (uint8_t)(i + 1);
        n->snapshot_takes = span_ms(100);
        struct reduce_config c = {
            .crypto = &n->crypto, .layout = world.layout, .group_max = MEMBERS_MAX};
        memcpy(c.run_id, run_id, sizeof run_id);
        cr_assert_eq(arena_open(&n->room, reduce_bytes(&c), NULL), ERR_OK);
        cr_assert(reduce_init(&n->reduce, &c, &n->room));
        arena_seal(&n->room);
        n->wire = wire_of((uint64_t)i + 1);
        n->delta = decode(n->wire);
    }
}

static void begin_one(int i)
{
    struct one *n = &world.nodes[i];
    struct match_group g = world.group;
    g.self = (uint32_t)i;
    struct reduce_path paths[NODE_GROUP_MAX];
    for (int j = 0; j < NODE_GROUP_MAX; j++)
        paths[j] = (struct reduce_path){.linked = true, .rtt_ms = world.rtt_ms};
    world.acting = i;
    reduce_start(&n->reduce, &g, &parent, paths, span_s(900), world.carrier.now, &sink);
    struct carried m = {.kind = M_SNAPSHOT,
                        .from = i,
                        .to = i,
                        .at = instant_after(world.carrier.now, n->snapshot_takes)};
    carrier_post(&world.carrier, m, (struct bytes){0}, (struct bytes){0});
}

static void begin(void)
{
    for (int i = 0; i < world.count; i++)
        if (!world.nodes[i].dead) begin_one(i);
}

static void hand_over(const struct carried *m)
{
    struct one *n = &world.nodes[m->to];
    sid from = world.group.members[m->from].sid;
    struct bytes b = bytes_of(m->data, m->count);
    world.acting = m->to;
    bool good = true;
    switch (m->kind) {
    case M_FRAME:
        good = reduce_frame(&n->reduce, from, m->type, b, world.carrier.now, &sink);
        break;
    case M_PARCEL:
        reduce_flow(&n->reduce, from, 0, b.count, world.carrier.now);
        good = reduce_parcel(&n->reduce, from, b, world.carrier.now, &sink);
        break;
    case M_DONE:
        reduce_flow(&n->reduce, from, 1, 0, world.carrier.now);
        reduce_parcel_done(&n->reduce, m->ticket, m->ok, world.carrier.now, &sink);
        break;
    case M_REQUEST:
        good = reduce_request(&n->reduce, from, 0, m->ticket, b, world.carrier.now, &sink);
        break;
    case M_REPLY:
        reduce_flow(&n->reduce, from, 0, b.count, world.carrier.now);
        good = reduce_reply(&n->reduce, m->ticket, m->ok, b, world.carrier.now, &sink);
        break;
    case M_SNAPSHOT:
        reduce_snapshot(&n->reduce, bytes_of(n->wire, n->empty ? 0 : outer_wire_bytes(PARAMETERS)),
                        world.carrier.now, &sink);
        break;
    }
    cr_assert(good, "node %d refused message %d of node %d", m->to, m->kind, m->from);
}

static bool ended(const struct one *n)
{
    return n->reduce.state == REDUCE_AGREED || n->reduce.state == REDUCE_FAILED;
}

static void watch(int i)
{
    struct one *n = &world.nodes[i];
    if (ended(n) && !n->ended.ns) n->ended = world.carrier.now;
}

static instant due(int i)
{
    const struct one *n = &world.nodes[i];
    return n->dead || n->paused ? INSTANT_NEVER : reduce_due(&n->reduce);
}

static void tick(int i)
{
    world.acting = i;
    reduce_tick(&world.nodes[i].reduce, world.carrier.now, &sink);
    watch(i);
}

static bool takes(int i) { return !world.nodes[i].paused; }

static void deliver(const struct carried *m)
{
    if (!world.nodes[m->to].dead) hand_over(m);
    watch(m->to);
}

static void run_for(span how_long)
{
    carrier_run(
        &world.carrier,
        &(struct carrier_machines){
            .count = world.count, .due = due, .tick = tick, .takes = takes, .deliver = deliver},
        how_long);
}

/* The mean of a chunk against an independent float64 sum of the contributions in its mask. */
static void check_mean(const struct one *n, uint32_t c)
{
    const struct reduce *r = &n->reduce;
    uint32_t mask = r->chunks[c].best.mask;
    size_t count = outer_chunk_count(&world.layout, c),
           at = (size_t)c * world.layout.chunk_elements;
    const uint8_t *wire = r->average.means + outer_wire_offset(&world.layout, c);
    for (size_t i = 0; i < count; i += 7) {
        double sum = 0, weights = 0;
        for (int j = 0; j < world.count; j++)
            if (mask >> j & 1) {
                sum += (double)world.group.members[j].offer.weight *
                       (double)world.nodes[j].delta[at + i];
                weights += (double)world.group.members[j].offer.weight;
            }
        float scale;
        memcpy(&scale, wire + i / OUTER_BLOCK * 4, 4);
        int8_t q = (int8_t)wire[(count + OUTER_BLOCK - 1) / OUTER_BLOCK * 4 + i];
        double error = fabs((double)scale * q - sum / weights);
        cr_assert_leq(error, (double)scale * 0.5001,
                      "chunk %u element %zu mask %x: off by %g of %g", c, i, mask, error, scale);
    }
}

/* Checks that survivors who agreed hold the same bits, and that these are correct means. Returns
 * the number that agreed. */
static int check_agreement(void)
{
    const struct reduce *first = NULL;
    int agreed = 0;
    for (int i = 0; i < world.count; i++) {
        struct one *n = &world.nodes[i];
        if (n->dead || n->reduce.state != REDUCE_AGREED) continue;
        agreed++;
        const struct reduce *r = &n->reduce;
        for (uint32_t c = 0; c < world.layout.chunks; c++) {
            cr_assert_eq(r->average.null[c], r->chunks[c].best.mask == 0);
            if (!r->average.null[c] && (!first || c % 9 == 0)) check_mean(n, c);
            if (!first) continue;
            cr_assert_eq(r->average.null[c], first->average.null[c]);
            cr_assert_eq(r->chunks[c].best.mask, first->chunks[c].best.mask);
            cr_assert(r->average.null[c] ||
                      !memcmp(r->average.means + outer_wire_offset(&world.layout, c),
                              first->average.means + outer_wire_offset(&world.layout, c),
                              outer_wire_bytes(outer_chunk_count(&world.layout, c))));
        }
        if (first) {
            cr_assert(!memcmp(r->root, first->root, sizeof r->root));
            cr_assert_eq(r->tokens, first->tokens);
        } else first = r;
    }
    return agreed;
}

static int alive(void)
{
    int n = 0;
    for (int i = 0; i < world.count; i++) n += !world.nodes[i].dead;
    return n;
}

static void world_fini(void)
{
    carrier_fini(&world.carrier);
    for (int i = 0; i < world.count; i++) {
        arena_close(&world.nodes[i].room);
        free(world.nodes[i].wire);
        free(world.nodes[i].delta);
    }
}

static double seconds(instant t) { return (double)(t.ns - 1000000000) * 1e-9; }

Test(reduce, all_members_hold_the_same_means_of_all_contributions)
{
    for (int n = 1; n <= 8; n++) {
        world_init(n);
        begin();
        run_for(span_s(20));
        cr_assert_eq(check_agreement(), n);
        uint64_t tokens = 0;
        for (int i = 0; i < n; i++) tokens += world.group.members[i].offer.weight;
        for (int i = 0; i < n; i++) {
            const struct reduce *r = &world.nodes[i].reduce;
            cr_assert_eq(r->tokens, tokens);
            cr_assert_lt(seconds(world.nodes[i].ended), 1.5);
            cr_assert(reduce_finished(r));
            for (uint32_t c = 0; c < world.layout.chunks; c++) {
                cr_assert_eq(r->chunks[c].best.mask, (1u << n) - 1);
                cr_assert_eq(r->average.mine[c], 1);
            }
        }
        cr_assert_eq(world.results, (uint64_t)world.layout.chunks * (uint64_t)(n - 1));
        world_fini();
    }
}

Test(reduce, the_mean_is_what_the_outer_arithmetic_says_bit_for_bit)
{
    world_init(3);
    begin();
    run_for(span_s(20));
    const struct reduce *r = &world.nodes[1].reduce;
    for (uint32_t c = 0; c < world.layout.chunks; c++) {
        size_t n = outer_chunk_count(&world.layout, c), at = outer_wire_offset(&world.layout, c);
        float *acc = calloc(n, sizeof *acc);
        uint8_t *mean = malloc(outer_wire_bytes(n));
        for (int i = 0; i < 3; i++)
            outer_accumulate(acc, world.nodes[i].wire + at, n, (float)(1000 + 333 * i));
        cr_assert(outer_quantize_mean(acc, n, 3999.0f, mean));
        cr_assert(!memcmp(mean, r->average.means + at, outer_wire_bytes(n)), "chunk %u", c);
        free(acc);
        free(mean);
    }
    world_fini();
}

Test(reduce, duplicates_and_reordering_change_nothing)
{
    world_init(4);
    world.duplicates = true;
    world.carrier.jitter = span_ms(400);
    begin();
    run_for(span_s(30));
    cr_assert_eq(check_agreement(), 4);
    for (uint32_t c = 0; c < world.layout.chunks; c++)
        cr_assert_eq(world.nodes[0].reduce.chunks[c].best.mask, 15);
    world_fini();
}

Test(reduce, a_member_without_a_finite_contribution_still_owns_and_applies)
{
    world_init(4);
    world.nodes[2].empty = true;
    begin();
    run_for(span_s(20));
    cr_assert_eq(check_agreement(), 4);
    for (uint32_t c = 0; c < world.layout.chunks; c++) {
        cr_assert_eq(world.nodes[0].reduce.chunks[c].best.mask, 11);
        cr_assert_eq(world.nodes[2].reduce.average.mine[c], 0);
    }
    cr_assert_eq(world.nodes[2].reduce.tokens, 1000 + 1333 + 1999);
    world_fini();
}

Test(reduce, nothing_to_average_is_no_average)
{
    world_init(2);
    world.nodes[0].empty = world.nodes[1].empty = true;
    begin();
    run_for(span_s(40));
    for (int i = 0; i < 2; i++) cr_assert_eq(world.nodes[i].reduce.state, REDUCE_FAILED);
    world_fini();
}

Test(reduce, links_far_slower_than_was_guessed_cost_time_and_no_contribution)
{
    world_init(3);
    /* One window of chunks takes four seconds, and there are several. */
    world.carrier.delay = span_s(1);
    begin();
    run_for(span_s(100));
    cr_assert_eq(check_agreement(), 3);
    for (uint32_t c = 0; c < world.layout.chunks; c++)
        cr_assert_eq(world.nodes[1].reduce.chunks[c].best.mask, 7, "chunk %u", c);
    cr_assert_gt(seconds(world.nodes[0].ended), 11.0, "this was too fast to show anything");
    world_fini();
}

Test(reduce, a_slow_snapshot_is_waited_for_and_time_counts_from_it)
{
    world_init(3);
    world.group.members[1].offer.step_ms = 20000; /* an inner step takes 20 s */
    world.nodes[1].snapshot_takes = span_s(55);
    begin();
    run_for(span_s(100));
    cr_assert_eq(check_agreement(), 3);
    for (uint32_t c = 0; c < world.layout.chunks; c++)
        cr_assert_eq(world.nodes[0].reduce.chunks[c].best.mask, 7);
    world_fini();
}

Test(reduce, a_snapshot_that_never_comes_costs_its_contribution_and_no_more)
{
    world_init(4);
    world.nodes[1].snapshot_takes = span_s(1000);
    begin();
    run_for(span_s(60));
    cr_assert_eq(check_agreement(), 4);
    for (uint32_t c = 0; c < world.layout.chunks; c++)
        cr_assert_eq(world.nodes[3].reduce.chunks[c].best.mask, 13);
    cr_assert_lt(seconds(world.nodes[0].ended), 10.3 + 5 + 5);
    world_fini();
}

Test(reduce, a_member_dead_from_the_start_costs_its_contribution_and_no_more)
{
    world_init(4);
    world.nodes[2].dead = true;
    begin();
    run_for(span_s(60));
    cr_assert_eq(check_agreement(), 3);
    for (int i = 0; i < 4; i++)
        for (uint32_t c = 0; c < world.layout.chunks && i != 2; c++) {
            cr_assert_eq(world.nodes[i].reduce.chunks[c].best.mask, 11);
            cr_assert(!world.nodes[i].reduce.average.null[c]);
        }
    for (int i = 0; i < 4; i++)
        if (i != 2) cr_assert_lt(seconds(world.nodes[i].ended), 12.0);
    world_fini();
}

Test(reduce, a_death_that_membership_reports_is_acted_on_at_once)
{
    world_init(4);
    world.nodes[2].dead = true;
    begin();
    run_for(span_ms(200));
    for (int i = 0; i < 4; i++) {
        if (i == 2) continue;
        world.acting = i;
        reduce_gone(&world.nodes[i].reduce, 102, world.carrier.now, &sink);
    }
    run_for(span_s(5));
    cr_assert_eq(check_agreement(), 3);
    for (int i = 0; i < 4; i++)
        if (i != 2) cr_assert_lt(seconds(world.nodes[i].ended), 5.0);
    world_fini();
}

/* This member has withdrawn from the group and is not in it yet. */
static void begin_without(int away)
{
    world.nodes[away].dead = true;
    begin();
    for (int i = 0; i < world.count; i++)
        if (i != away)
            reduce_withdrew(&world.nodes[i].reduce, world.group.members[away].sid,
                            world.carrier.now);
}

/* A member that signed, did not learn that the others had all signatures, and withdrew: their
 * certificate reaches it, and it comes. */
Test(reduce, one_that_withdrew_and_comes_back_is_in_every_mean)
{
    world_init(4);
    begin_without(2);
    run_for(span_ms(2000));
    world.nodes[2].dead = false;
    begin_one(2);
    run_for(span_s(20));
    cr_assert_eq(check_agreement(), 4);
    for (uint32_t c = 0; c < world.layout.chunks; c++)
        cr_assert_eq(world.nodes[0].reduce.chunks[c].best.mask, 15);
    world_fini();
}

Test(reduce, one_that_withdrew_and_stays_away_is_waited_for_some_seconds)
{
    world_init(4);
    begin_without(2);
    run_for(span_s(20));
    cr_assert_eq(check_agreement(), 3);
    cr_assert_gt(seconds(world.nodes[0].ended), 2.5);
    cr_assert_lt(seconds(world.nodes[0].ended), 9, "%f", seconds(world.nodes[0].ended));
    world_fini();
}

Test(reduce, as_much_is_in_flight_as_an_uplink_carries)
{
    const struct {
        uint32_t up, rtt_ms, parcels;
    } cases[] = {{1, 60, 2},       {1600, 60, 8},    {1600, 0, 18},
                 {1600, 1000, 76}, {1600, 5000, 76}, {UINT32_MAX, 1, 8067}}; /* 32 MiB */
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        world_init(5);
        world.group.members[0].offer.up_kbps = cases[k].up;
        world.rtt_ms = cases[k].rtt_ms;
        begin();
        const struct reduce *r = &world.nodes[0].reduce;
        uint32_t is = r->peers[3].flight_max;
        cr_assert_eq(is, cases[k].parcels, "case %zu: %u", k, is);
        cr_assert_eq(r->open, world.layout.chunks, "little: all of it fits");
        world_fini();
    }
    for (uint32_t n = 1; n <= NODE_GROUP_MAX; n++) { /* large chunks: as many as fit */
        struct outer_layout l = outer_layout_of(1000000000);
        size_t bytes = reduce_open(&l, n) * n * outer_wire_bytes(l.chunk_elements);
        cr_assert_geq(reduce_open(&l, n), REDUCE_OPEN_MIN);
        cr_assert_leq(reduce_open(&l, n), REDUCE_OPEN_MAX);
        cr_assert(bytes <= REDUCE_ROOM || reduce_open(&l, n) == REDUCE_OPEN_MIN);
    }
}

/* One member dies after each possible number of actions, in steps: as contributor, as owner before,
 * while and after it broadcasts results, and in closing. All survivors agree, whatever had been
 * sent. */
static void deaths(int n, uint64_t from, uint64_t to, uint64_t step, bool duplicates)
{
    uint64_t with_some = 0;
    for (uint64_t after = from; after < to; after += step) {
        world_init(n);
        world.carrier.rng = rng_init(after);
        world.carrier.jitter = span_ms(after % 3 * 60);
        world.duplicates = duplicates;
        world.nodes[1].dies_after = after;
        begin();
        run_for(span_s(60));
        int agreed = check_agreement();
        cr_assert_eq(agreed, alive(), "after %lu actions %d of %d agreed", after, agreed, alive());
        bool all = true;
        for (uint32_t c = 0; c < world.layout.chunks; c++) {
            cr_assert_not(world.nodes[0].reduce.average.null[c], "chunk %u is null, after %lu", c,
                          after);
            all = all && world.nodes[0].reduce.average.mine[c] &&
                  world.nodes[0].reduce.chunks[c].best.mask == (1u << n) - 1;
        }
        with_some += !all;
        for (int i = 0; i < n; i++)
            if (!world.nodes[i].dead) cr_assert_lt(seconds(world.nodes[i].ended), 30.0);
        world_fini();
    }
    cr_assert_gt(with_some, 0, "no death cost a contribution: nothing was tested");
}

Test(reduce, a_death_after_any_action_leaves_the_survivors_alike) { deaths(3, 1, 200, 3, false); }
Test(reduce, a_death_with_duplicates_leaves_the_survivors_alike) { deaths(4, 2, 300, 11, true); }

Test(reduce, two_deaths_leave_the_survivors_alike)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        world_init(5);
        world.carrier.rng = rng_init(seed);
        world.carrier.jitter = span_ms(100);
        world.nodes[seed % 5].dies_after = 1 + rng_below(&world.carrier.rng, 250);
        world.nodes[(seed + 2) % 5].dies_after = 1 + rng_below(&world.carrier.rng, 250);
        begin();
        run_for(span_s(80));
        int agreed = check_agreement();
        cr_assert_eq(agreed, alive(), "seed %lu: %d of %d agreed", seed, agreed, alive());
        world_fini();
    }
}

Test(reduce, the_last_one_left_does_not_apply)
{
    world_init(3);
    world.nodes[0].dies_after = 60;
    world.nodes[2].dies_after = 70;
    begin();
    run_for(span_s(60));
    cr_assert_eq(world.nodes[1].reduce.state, REDUCE_FAILED);
    world_fini();
}

Test(reduce, a_pair_that_does_not_hear_each_other_agrees_through_the_others)
{
    world_init(4);
    world.blocked[0][1] = world.blocked[1][0] = true;
    begin();
    run_for(span_s(60));
    cr_assert_eq(check_agreement(), 4);
    for (uint32_t c = 0; c < world.layout.chunks; c++)
        cr_assert_not(world.nodes[0].reduce.average.null[c]);
    world_fini();
}

Test(reduce, results_that_never_arrive_are_fetched_from_those_who_have_them)
{
    world_init(4);
    world.gets_no_parcels = 2;
    world.group.members[2].offer.up_kbps = 5; /* so slow that it owns nothing */
    begin();
    run_for(span_s(60));
    cr_assert_eq(check_agreement(), 4);
    for (uint32_t c = 0; c < world.layout.chunks; c++)
        cr_assert_eq(world.nodes[2].reduce.chunks[c].best.mask | 4, 15, "chunk %u", c);
    cr_assert_lt(seconds(world.nodes[2].ended), 20.0, "%g", seconds(world.nodes[2].ended));
    world_fini();
}

Test(reduce, what_one_has_is_more_than_what_another_gave_up)
{
    world_init(3);
    begin();
    run_for(span_s(5));
    struct reduce *r = &world.nodes[1].reduce; /* as if it had frozen without chunk 5 */
    struct reduce_variant had = r->chunks[5].best;
    r->state = REDUCE_CLOSING;
    r->stage = REDUCE_STAGE_CLOSE;
    r->chunks[5].best = (struct reduce_variant){.rank = REDUCE_NULL};
    r->chunks[5].settled = false;
    for (int i = 0; i < 3; i++) {
        world.nodes[1].reduce.peers[i].stage = REDUCE_STAGE_CLOSE;
        world.nodes[i].reduce.peers[1].stage = REDUCE_STAGE_CLOSE;
        world.nodes[i].reduce.peers[1].close = 0;
        world.nodes[i].reduce.state = REDUCE_CLOSING;
        world.nodes[i].reduce.stage = REDUCE_STAGE_CLOSE;
        world.nodes[i].reduce.closed = world.carrier.now;
        for (int j = 0; j < 3; j++) {
            world.nodes[i].reduce.peers[j].heard_at = world.carrier.now;
            world.nodes[i].reduce.peers[j].sure = (struct reduce_sure){0};
        }
        world.nodes[i].reduce.beat = world.carrier.now;
    }
    run_for(span_s(9));
    cr_assert_eq(check_agreement(), 3);
    cr_assert_eq(r->chunks[5].best.mask, had.mask);
    world_fini();
}

Test(reduce, one_that_stood_still_catches_up_with_what_the_others_applied)
{
    world_init(4);
    begin();
    run_for(span_ms(250));
    world.nodes[3].paused = true;
    run_for(span_s(40));
    cr_assert_eq(check_agreement(), 3);
    for (int i = 0; i < 3; i++) cr_assert_lt(seconds(world.nodes[i].ended), 20.0);
    world.nodes[3].paused = false;
    run_for(span_s(5));
    cr_assert_eq(check_agreement(), 4);
    world_fini();
}

Test(reduce, every_round_ends_even_when_the_group_is_cut_in_two)
{
    for (uint64_t cut = 100; cut < 700; cut += 60) {
        world_init(4);
        begin();
        run_for(span_ms(cut));
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) world.blocked[i][j] = (i < 2) != (j < 2);
        for (size_t i = 0; i < world.carrier.count;) { /* messages in flight are lost, too */
            const struct carried *m = &world.carrier.queue[i];
            if ((m->from < 2) == (m->to < 2)) i++;
            else free(carrier_take(&world.carrier, i).data);
        }
        run_for(span_s(90));
        for (int i = 0; i < 4; i++) {
            cr_assert(ended(&world.nodes[i]), "cut at %lu ms: node %d in state %d", cut, i,
                      world.nodes[i].reduce.state);
            cr_assert_lt(seconds(world.nodes[i].ended), 1 + 10 + 30 + 20);
        }
        check_agreement();
        world_fini();
    }
}

Test(reduce, where_nothing_moves_the_third_stand_still_is_the_last)
{
    world_init(3);
    world.gets_no_parcels = MEMBERS_MAX;
    begin();
    run_for(span_s(90));
    for (int i = 0; i < 3; i++) {
        double end = seconds(world.nodes[i].ended);
        cr_assert_eq(world.nodes[i].reduce.state, REDUCE_FAILED);
        cr_assert(end > 30 && end < 32, "member %d ended after %g s", i, end);
    }
    world_fini();
}

Test(reduce, of_a_group_cut_in_two_the_larger_part_applies_and_the_other_does_not)
{
    for (uint64_t cut = 100; cut < 700; cut += 60) {
        world_init(5);
        begin();
        run_for(span_ms(cut));
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 5; j++) world.blocked[i][j] = (i < 2) != (j < 2);
        run_for(span_s(90));
        for (int i = 0; i < 5; i++) {
            const enum reduce_state state = world.nodes[i].reduce.state;
            cr_assert(ended(&world.nodes[i]), "cut at %lu ms: node %d", cut, i);
            if (i >= 2) cr_assert_eq(state, REDUCE_AGREED, "cut at %lu ms: node %d", cut, i);
        }
        check_agreement();
        world_fini();
    }
}

/* Its frames pass, so nobody suspects it. */
Test(reduce, an_owner_whom_no_chunk_reaches_is_replaced_and_averages_nothing_alone)
{
    world_init(4);
    world.gets_no_parcels = 1;
    begin();
    run_for(span_s(90));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(world.nodes[i].reduce.state, REDUCE_AGREED, "node %d", i);
    cr_assert_eq(check_agreement(), 4);
    for (uint32_t c = 0; c < world.layout.chunks; c++)
        cr_assert_eq(world.nodes[0].reduce.chunks[c].best.mask | 2, 15, "chunk %u", c);
    cr_assert_lt(seconds(world.nodes[0].ended), 30.0);
    world_fini();
}

Test(reduce, a_signature_counts_for_whoever_made_it_and_once)
{
    world_init(3);
    begin();
    run_for(span_ms(100));
    struct reduce *r = &world.nodes[0].reduce;
    uint8_t frame[16 + 1 + 16 + 16 + 8 + 64] = {0};
    struct writer w = writer_init(frame, sizeof frame);
    struct reduce_sure s = {.root = {1}, .lineage_tokens = 77};
    lineage_next(&world.nodes[1].crypto, parent.lineage, world.group.round, s.root, s.lineage);
    writer_copy(&w, world.group.gid, 16);
    writer_u8(&w, 1);
    writer_copy(&w, s.root, 16);
    writer_copy(&w, s.lineage, 16);
    writer_u64(&w, s.lineage_tokens);
    uint8_t body[16 + 16 + 16 + 8];
    memcpy(body, frame, 16);
    memcpy(body + 16, frame + 17, sizeof body - 16);
    wire_sign(&world.nodes[2].crypto, run_id, WIRE_SURE, bytes_of(body, sizeof body), frame + 57);
    sid from = world.group.members[2].sid;
    struct bytes said = bytes_of(frame, sizeof frame);
    world.acting = 0;
    cr_assert_not(reduce_frame(r, from, WIRE_SURE, said, world.carrier.now, &sink),
                  "2 signed for 1");
    cr_assert_not(r->peers[1].sure.said);
    wire_sign(&world.nodes[1].crypto, run_id, WIRE_SURE, bytes_of(body, sizeof body), frame + 57);
    cr_assert(reduce_frame(r, from, WIRE_SURE, said, world.carrier.now, &sink), "2 passes it on");
    cr_assert(r->peers[1].sure.said);
    frame[33] ^= 1; /* another lineage than follows from the root */
    r->peers[1].sure.said = false;
    cr_assert_not(reduce_frame(r, from, WIRE_SURE, said, world.carrier.now, &sink));
    frame[33] ^= 1;
    frame[16] = 3; /* there is no fourth member */
    cr_assert_not(reduce_frame(r, from, WIRE_SURE, said, world.carrier.now, &sink));
    world_fini();
}

Test(reduce, a_second_round_reuses_the_memory_and_old_completions_are_nothing_to_it)
{
    world_init(3);
    begin();
    run_for(span_ms(400));
    cr_assert_gt(world.carrier.count, 0, "nothing is under way");
    run_for(span_s(10));
    cr_assert_eq(check_agreement(), 3);
    world.group.gid[0]++;
    for (int i = 0; i < 3; i++) {
        free(world.nodes[i].wire);
        free(world.nodes[i].delta);
        world.nodes[i].wire = wire_of(50 + (uint64_t)i);
        world.nodes[i].delta = decode(world.nodes[i].wire);
    }
    begin();
    run_for(span_s(10));
    cr_assert_eq(check_agreement(), 3);
    world_fini();
}

/* ---- misbehaving peers ---- */

/* The first parcel of this type on its way, once there is one. */
static struct carried *next_parcel(uint8_t type)
{
    for (int ms = 0; ms < 400; ms++) {
        run_for(span_ms(1));
        for (size_t i = 0; i < world.carrier.count; i++)
            if (world.carrier.queue[i].kind == M_PARCEL && world.carrier.queue[i].data[0] == type)
                return &world.carrier.queue[i];
    }
    cr_assert_fail("no parcel of type %02x", type);
    return NULL;
}

Test(reduce, a_damaged_or_foreign_parcel_is_refused)
{
    world_init(3);
    begin();
    struct carried *m = next_parcel(WIRE_CONTRIBUTION);
    struct reduce *r = &world.nodes[m->to].reduce;
    sid from = world.group.members[m->from].sid;
    world.acting = m->to;
    size_t spots[] = {0, 1, 20, 21, 24, 25, 28, 32, 36, 44, 47, m->count - 1};
    for (size_t s = 0; s < sizeof spots / sizeof *spots; s++) {
        m->data[spots[s]] ^= 0x80;
        cr_assert_not(reduce_parcel(r, from, bytes_of(m->data, m->count), world.carrier.now, &sink),
                      "byte %zu", spots[s]);
        m->data[spots[s]] ^= 0x80;
    }
    for (size_t cut = 0; cut < 60; cut++)
        cr_assert_not(reduce_parcel(r, from, bytes_of(m->data, cut), world.carrier.now, &sink));
    cr_assert_not(
        reduce_parcel(r, from, bytes_of(m->data, m->count - 1), world.carrier.now, &sink));
    uint32_t c;
    memcpy(&c, m->data + 20, 4);
    cr_assert_eq(r->own[r->chunks[c].place % r->open].arrived, 0);
    cr_assert(reduce_parcel(r, from, bytes_of(m->data, m->count), world.carrier.now, &sink));
    cr_assert_neq(r->own[r->chunks[c].place % r->open].arrived, 0);
    world_fini();
}

Test(reduce, a_result_from_one_who_does_not_own_the_chunk_is_refused)
{
    world_init(3);
    begin();
    struct carried *m = next_parcel(WIRE_RESULT);
    int other = 3 - m->from - m->to;
    world.acting = m->to;
    cr_assert_not(reduce_parcel(&world.nodes[m->to].reduce, world.group.members[other].sid,
                                bytes_of(m->data, m->count), world.carrier.now, &sink));
    world_fini();
}

Test(reduce, a_result_that_its_maker_did_not_sign_is_refused)
{
    world_init(3);
    begin();
    struct carried *m = next_parcel(WIRE_RESULT);
    struct reduce *r = &world.nodes[m->to].reduce;
    const sid from = world.group.members[m->from].sid;
    world.acting = m->to;
    m->data[PARCEL_HEAD_BYTES + 5] ^= 1;
    cr_assert_not(reduce_parcel(r, from, bytes_of(m->data, m->count), world.carrier.now, &sink));
    m->data[PARCEL_HEAD_BYTES + 5] ^= 1;
    m->data[m->count - 1] ^= 1; /* another mean, with the sum of its bytes */
    struct writer w = writer_init(m->data + PARCEL_HEAD_BYTES - 8, 8);
    writer_u64(&w, XXH64(m->data + PARCEL_RESULT_BYTES, m->count - PARCEL_RESULT_BYTES, 0));
    cr_assert_not(reduce_parcel(r, from, bytes_of(m->data, m->count), world.carrier.now, &sink));
    world_fini();
}

Test(reduce, nobody_but_its_maker_says_that_a_chunk_has_no_mean)
{
    world_init(3);
    begin();
    struct reduce *r = &world.nodes[0].reduce;
    uint8_t have[41];
    uint32_t c = 0;
    while (r->chunks[c].owner == 2) c++;
    struct writer w = writer_init(have, sizeof have);
    writer_copy(&w, r->group.gid, CRYPTO_DIGEST_BYTES);
    writer_u32(&w, c);
    memset(have + w.used, 0, sizeof have - w.used); /* rank 0, of no contributions */
    world.acting = 0;
    cr_assert(reduce_frame(r, world.group.members[2].sid, WIRE_HAVE, bytes_of(have, sizeof have),
                           world.carrier.now, &sink));
    cr_assert_not(r->chunks[c].settled, "it asks for it, and for the signature");
    run_for(span_s(60));
    cr_assert_eq(check_agreement(), 3);
    cr_assert_eq(r->chunks[c].best.mask, 7);
    world_fini();
}

/* ---- owners ---- */

static struct match_group group_with(const uint32_t *kbps, uint32_t n)
{
    struct match_group g = {.count = n, .gid = {7, 7}};
    for (uint32_t i = 0; i < n; i++) {
        g.members[i].sid = 50 + i;
        g.members[i].offer.up_kbps = kbps[i];
    }
    return g;
}

Test(owners, shares_add_up_and_follow_the_bandwidth)
{
    for (uint64_t seed = 0; seed < 2000; seed++) {
        uint32_t n = 1 + (uint32_t)(seed % 20), kbps[NODE_GROUP_MAX];
        uint32_t chunks = 1 + (uint32_t)(rng_at(1, seed) % 5000);
        for (uint32_t i = 0; i < n; i++)
            kbps[i] = 1 + (uint32_t)(rng_at(seed, i) >> (34 + seed % 25));
        struct match_group g = group_with(kbps, n);
        uint32_t share[NODE_GROUP_MAX], total = 0;
        owners_share(&g, chunks, share);
        for (uint32_t i = 0; i < n; i++) {
            total += share[i];
            for (uint32_t j = 0; j < n && n > 2; j++)
                if (kbps[i] > kbps[j]) cr_assert_geq(share[i] + 1, share[j]);
        }
        cr_assert_eq(total, chunks);
        if (n <= 2) continue;
        /* No other division is faster: moving a chunk from the last to finish to any other member
         * makes that one later. */
        double finish[NODE_GROUP_MAX], last = 0;
        uint32_t slowest = 0;
        for (uint32_t i = 0; i < n; i++) {
            finish[i] = (1.0 + (n - 2.0) * share[i] / chunks) / kbps[i];
            if (finish[i] > last) last = finish[i], slowest = i;
        }
        if (share[slowest] == 0) continue; /* its own vector alone takes this long */
        for (uint32_t i = 0; i < n; i++) {
            double more = (1.0 + (n - 2.0) * (share[i] + 2) / chunks) / kbps[i];
            cr_assert_gt(more, last * (1 - 1e-12), "seed %lu: %u could take over from %u", seed, i,
                         slowest);
        }
    }
}

/* Member i says that it has no link to member j. */
static void name(struct match_group *g, uint32_t i, uint32_t j)
{
    struct match_offer *o = &g->members[i].offer;
    o->apart[o->apart_count++] = g->members[j].sid;
}

Test(owners, who_does_not_reach_all_owns_nothing_if_both_sides_say_so)
{
    const uint32_t kbps[] = {100, 1000, 100, 100};
    struct match_group g = group_with(kbps, 4);
    uint32_t before[NODE_GROUP_MAX], share[NODE_GROUP_MAX];
    owners_share(&g, 1000, before);
    name(&g, 1, 2);
    owners_share(&g, 1000, share);
    cr_assert_arr_eq(share, before, sizeof share, "one alone cannot say it");
    name(&g, 2, 1);
    owners_share(&g, 1000, share);
    cr_assert_eq(share[1] + share[2], 0);
    cr_assert_eq(share[0], 500);
    cr_assert_eq(share[3], 500);
    name(&g, 0, 3);
    name(&g, 3, 0);
    owners_share(&g, 1000, share);
    cr_assert_arr_eq(share, before, sizeof share, "where nobody reaches all, all may own");
}

Test(owners, every_chunk_has_each_member_at_exactly_one_rank)
{
    uint32_t kbps[NODE_GROUP_MAX];
    for (int i = 0; i < NODE_GROUP_MAX; i++) kbps[i] = 100;
    uint32_t heirs[NODE_GROUP_MAX] = {0};
    for (uint32_t n = 1; n <= 20; n++) {
        struct match_group g = group_with(kbps, n);
        uint32_t share[NODE_GROUP_MAX];
        uint8_t owner[300];
        owners_share(&g, 300, share);
        owners_assign(share, n, 300, owner);
        uint32_t owned[NODE_GROUP_MAX] = {0};
        for (uint32_t c = 0; c < 300; c++) {
            owned[owner[c]]++;
            uint32_t seen = 0;
            for (uint32_t k = 0; k < n; k++) {
                uint32_t i = owners_at_rank(&g, c, owner[c], k);
                cr_assert_not(seen >> i & 1);
                seen |= 1u << i;
                if (k == 1 && n == 20) heirs[i]++;
            }
            cr_assert_eq(owners_at_rank(&g, c, owner[c], 0), owner[c]);
        }
        for (uint32_t i = 0; i < n; i++) cr_assert_eq(owned[i], share[i]);
    }
    for (int i = 0; i < 20; i++) cr_assert_gt(heirs[i], 3); /* expected 15 */
}
