#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/rng.h"
#include "swarm/lineage.h"
#include "swarm/parcel.h"
#include "swarm/past.h"
#include "swarm/reduce_variant.h"
#include "swarm/sync.h"
#include "swarm/wire.h"
#include "test/sim/standin.h"
#include "test/swarm/carrier.h"

/* One downloader and several servers, who do rounds together. Requests arrive immediately, in the
 * order they were sent. */

#define GIVERS 4
#define ROUNDS 4 /* kept */

static uint64_t parameters;
static struct outer_layout layout;
static const struct outer_rule rule = {.lr = 0.7f, .momentum = 0.9f, .nesterov = true};

struct giver {
    struct sync sync;
    struct past past;
    struct reduce reduce; /* what past_keep reads of an average */
    struct lineage_state state;
    float *anchor[2], *momentum[2];
    uint8_t *leaves[2];
    int current;
    sid sid;
    bool lies;    /* its chunks and results have a wrong byte */
    bool forgets; /* answers with nothing */
    bool silent;  /* does not answer at all */
    uint64_t chunks, results;
};

static struct standin standin;
static struct crypto crypto;
static struct giver givers[GIVERS];
static struct sync taker;
static struct carrier carrier; /* requests of the downloader */
static float *anchor, *momentum, *own_anchor, *own_momentum;
static uint64_t parts, replays;
static struct kept_chunk kept[64]; /* what outlives the downloader */
static uint32_t kept_count;
static struct arena room;
static struct lineage_state target;
static instant now = {1000000000};
static uint32_t most_in_flight;
static struct rng dice;

static uint8_t reply[4 << 20];
static size_t reply_count;
static bool replied;

static void taker_act(void *self, struct action *a)
{
    (void)self;
    if (a->kind == ACTION_REQUEST) {
        carrier_post(&carrier, (struct carried){.to = (int)a->peer - 1, .ticket = a->ticket},
                     a->bytes, (struct bytes){0});
    } else if (a->kind == ACTION_STATE) {
        cr_assert(a->part.offset * sizeof(float) + a->part.floats.count <=
                  parameters * sizeof(float));
        memcpy((a->part.vector ? momentum : anchor) + a->part.offset, a->part.floats.data,
               a->part.floats.count);
        parts++;
    } else if (a->kind == ACTION_REPLAY) {
        size_t at = outer_chunk_start(&layout, a->replay.chunk);
        size_t n = outer_chunk_count(&layout, a->replay.chunk);
        cr_assert(eq(sz, a->replay.mean.count, outer_wire_bytes(n)));
        outer_step(&rule, anchor + at, momentum + at, a->replay.mean.data, n, anchor + at,
                   momentum + at);
        replays++;
    } else if (a->kind == ACTION_KEEP) {
        uint32_t i = 0;
        while (i < kept_count && kept[i].chunk != a->keep.chunk) i++;
        cr_assert(i < sizeof kept / sizeof *kept);
        kept[i] = a->keep;
        if (i == kept_count) kept_count++;
    }
}

static void giver_act(void *self, struct action *a)
{
    (void)self;
    cr_assert(eq(int, (int)a->kind, ACTION_REPLY));
    cr_assert(a->bytes.count + a->more.count <= sizeof reply);
    replied = true;
    reply_count = a->bytes.count + a->more.count;
    if (a->bytes.count) memcpy(reply, a->bytes.data, a->bytes.count);
    if (a->more.count) memcpy(reply + a->bytes.count, a->more.data, a->more.count);
}

static const struct sink to_taker = {NULL, taker_act}, to_giver = {NULL, giver_act};

static float *vector(void)
{
    float *v = calloc(parameters, sizeof *v);
    cr_assert_not_null(v);
    return v;
}

/* The current pair is what the giver holds. */
static void become(struct giver *g, const struct lineage_state *s)
{
    g->state = *s;
    g->state.anchor = g->anchor[g->current];
    g->state.momentum = g->momentum[g->current];
    g->state.leaves = g->leaves[g->current];
    outer_leaves(&crypto, &layout, g->state.anchor, g->state.momentum, g->leaves[g->current]);
    outer_digest(&crypto, &layout, g->state.leaves, g->state.digest);
}

static void fill(struct giver *g, uint64_t seed)
{
    struct rng r = rng_init(seed);
    for (uint64_t i = 0; i < parameters; i++) {
        g->anchor[g->current][i] = (float)rng_unit(&r);
        g->momentum[g->current][i] = (float)rng_unit(&r);
    }
    become(g, &target);
}

static void open_giver(struct giver *g, int index, const struct sync_config *c)
{
    *g = (struct giver){.sid = (sid)(index + 1)};
    for (int i = 0; i < 2; i++) {
        g->anchor[i] = vector();
        g->momentum[i] = vector();
        g->leaves[i] = malloc(outer_leaves_bytes(&layout));
    }
    fill(g, 1);
    g->reduce.config.layout = layout;
    g->reduce.chunks = calloc(layout.chunks, sizeof *g->reduce.chunks);
    size_t wire = outer_wire_offset(&layout, layout.chunks);
    cr_assert(sync_init(&g->sync, c, &room));
    cr_assert(past_init(&g->past, &layout, ROUNDS, calloc(ROUNDS, wire), malloc(wire), &room));
    sync_offer(&g->sync, &g->state, false);
}

static void open_with(uint64_t count)
{
    struct why why = {0};
    parameters = count;
    layout = outer_layout_of(count);
    struct sync_config c = {&crypto, layout};
    standin = (struct standin){.world = 3};
    crypto = standin_crypto(&standin);
    dice = rng_init(77);
    cr_assert_not(arena_open(
        &room, (GIVERS + 2) * sync_bytes(&c) + GIVERS * past_bytes(&layout, ROUNDS), &why));
    target = (struct lineage_state){.epoch = 7, .lineage = {9, 9}, .lineage_tokens = 4000};
    anchor = vector();
    momentum = vector();
    own_anchor = vector();
    own_momentum = vector();
    cr_assert(sync_init(&taker, &c, &room));
    for (int i = 0; i < GIVERS; i++) open_giver(&givers[i], i, &c);
    carrier_fini(&carrier);
    carrier_init(&carrier, span_ns(0), 0);
    parts = replays = 0;
    kept_count = most_in_flight = 0;
}

/* The downloader ends, and another process goes on with what was kept; all else is overwritten. */
static void end_and_begin_again(void)
{
    float *before[2] = {anchor, momentum}, *after[2] = {vector(), vector()};
    for (uint64_t i = 0; i < parameters; i++) after[0][i] = after[1][i] = NAN;
    struct sync_config c = taker.config;
    cr_assert(sync_init(&taker, &c, &room));
    carrier_fini(&carrier);
    carrier_init(&carrier, span_ns(0), 0);
    for (uint32_t i = 0; i < kept_count; i++) {
        size_t at = outer_chunk_start(&layout, kept[i].chunk);
        size_t n = outer_chunk_count(&layout, kept[i].chunk);
        for (int v = 0; v < 2; v++) memcpy(after[v] + at, before[v] + at, n * sizeof(float));
        sync_kept(&taker, &kept[i]);
    }
    for (int i = 0; i < GIVERS; i++) givers[i].chunks = givers[i].results = 0;
    for (int v = 0; v < 2; v++) free(before[v]);
    anchor = after[0];
    momentum = after[1];
}

/* The downloader holds what the givers hold now. */
static void own(void)
{
    static struct lineage_state mine;
    memcpy(own_anchor, givers[0].state.anchor, parameters * sizeof(float));
    memcpy(own_momentum, givers[0].state.momentum, parameters * sizeof(float));
    mine = givers[0].state;
    mine.anchor = own_anchor;
    mine.momentum = own_momentum;
    sync_offer(&taker, &mine, false);
}

/* One giver applies the round whose means and variants are in its average. */
static void apply(struct giver *g, const struct lineage_state *after)
{
    int to = !g->current;
    for (uint32_t c = 0; c < layout.chunks; c++) {
        size_t at = outer_chunk_start(&layout, c), n = outer_chunk_count(&layout, c);
        float *a = g->anchor[to] + at, *m = g->momentum[to] + at;
        memcpy(a, g->anchor[!to] + at, n * sizeof *a);
        memcpy(m, g->momentum[!to] + at, n * sizeof *m);
        if (g->reduce.chunks[c].best.mask)
            outer_step(&rule, a, m, g->reduce.average.means + outer_wire_offset(&layout, c), n, a,
                       m);
    }
    memcpy(g->reduce.parent, g->state.lineage, sizeof g->reduce.parent);
    past_keep(&g->past, &g->reduce, after->lineage);
    sync_withdraw(&g->sync);
    g->current = to;
    become(g, after);
    sync_offer(&g->sync, &g->state, true);
}

/* All givers do a round, whose every fifth chunk is null; it becomes the target. */
static void advance(void)
{
    uint8_t root[CRYPTO_DIGEST_BYTES], gid[CRYPTO_DIGEST_BYTES];
    static float delta[1 << 18];
    uint8_t *list = malloc(reduce_vector_bytes(&layout));
    struct writer vector = writer_init(list, reduce_vector_bytes(&layout));
    for (size_t i = 0; i < sizeof gid; i++) gid[i] = (uint8_t)rng_below(&dice, 256);
    for (int i = 0; i < GIVERS; i++) {
        givers[i].reduce.average.means = past_spare(&givers[i].past);
        memcpy(givers[i].reduce.group.gid, gid, sizeof gid);
    }
    for (uint32_t c = 0; c < layout.chunks; c++) {
        size_t n = outer_chunk_count(&layout, c), offset = outer_wire_offset(&layout, c);
        uint8_t *mean = givers[0].reduce.average.means + offset;
        struct reduce_variant v = {.rank = (uint8_t)(c % 5 == 4 ? REDUCE_NULL : c % 3)};
        for (size_t i = 0; i < n; i++) delta[i] = (float)rng_unit(&dice) - 0.5f;
        cr_assert(outer_quantize_mean(delta, n, 1, mean));
        if (v.rank != REDUCE_NULL) {
            v.mask = 1 + (uint32_t)rng_below(&dice, 15);
            parcel_digest(&crypto, v.mask, bytes_of(mean, outer_wire_bytes(n)), v.digest);
        }
        for (int i = 0; i < GIVERS; i++) {
            if (i) memcpy(givers[i].reduce.average.means + offset, mean, outer_wire_bytes(n));
            givers[i].reduce.chunks[c].best = v;
        }
        reduce_variant_write(&vector, &v);
    }
    lineage_root(&crypto, gid, writer_bytes(&vector), root);
    target.epoch++;
    target.lineage_tokens += 100;
    lineage_next(&crypto, target.lineage, target.epoch, root, target.lineage);
    for (int i = 0; i < GIVERS; i++) apply(&givers[i], &target);
    free(list);
}

/* All givers adopt another history of the same epoch, which becomes the target. */
static void turn(void)
{
    target.lineage[0] ^= 1;
    target.lineage_tokens++;
    for (int i = 0; i < GIVERS; i++) {
        struct giver *g = &givers[i];
        g->current = !g->current;
        fill(g, 5);
        sync_offer(&g->sync, &g->state, true);
    }
}

static void answer(struct giver *g, const struct carried *q)
{
    replied = false;
    struct bytes request = bytes_of(q->data, q->count);
    bool result = q->data[0] == WIRE_FETCH, chunk = q->data[0] == WIRE_GET_CHUNK;
    if (result || q->data[0] == WIRE_GET_PAST) {
        if (!past_request(&g->past, 99, 1, q->ticket, request, &to_giver)) reply_count = 0;
    } else {
        sync_request(&g->sync, 99, 1, q->ticket, request, &to_giver);
    }
    if (g->forgets) reply_count = 0;
    if ((chunk || result) && g->lies && reply_count) reply[reply_count / 2] ^= 1;
    if (result && g->lies && reply_count) { /* with the checksum of what it says */
        struct writer w = writer_init(reply + PARCEL_HEAD_BYTES - 8, 8);
        writer_u64(&w, XXH64(reply + PARCEL_RESULT_BYTES, reply_count - PARCEL_RESULT_BYTES, 0));
    }
    g->chunks += chunk;
    g->results += result;
    sync_reply(&taker, q->ticket, true, bytes_of(reply, reply_count), now, &to_taker);
}

/* Delivers requests in order until the download ends or nobody answers. */
static void carry(size_t at_most)
{
    for (size_t n = 0; n < at_most && carrier.count > 0; n++) {
        uint32_t per[GIVERS] = {0};
        for (size_t i = 0; i < carrier.count; i++)
            if (++per[carrier.queue[i].to] > most_in_flight)
                most_in_flight = per[carrier.queue[i].to];
        struct carried q = carrier_take(&carrier, carrier_first(&carrier, NULL));
        if (!givers[q.to].silent) answer(&givers[q.to], &q);
        free(q.data);
    }
}

static void serve(int count)
{
    for (int i = 0; i < count; i++) sync_server(&taker, givers[i].sid, false, now, &to_taker);
}

/* The last giver's state is the one that most have. */
static void announce(void) { sync_sound(&taker, first_eight(givers[GIVERS - 1].state.digest), 2); }

static void retarget(void)
{
    sync_retarget(&taker, &target, now, &to_taker);
    announce();
}

static void begin(int count, bool from_own)
{
    sync_start(&taker, &target, from_own, now);
    announce();
    serve(count);
}

static void start(int count) { begin(count, false); }

static bool same_as(const struct giver *g)
{
    size_t bytes = parameters * sizeof(float);
    return !memcmp(anchor, g->state.anchor, bytes) && !memcmp(momentum, g->state.momentum, bytes);
}

/* The download ends, with the state of this giver. */
static void arrives(const struct giver *g)
{
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(same_as(g));
}

static void set_up(void) { open_with(50001); }

TestSuite(sync, .init = set_up);

Test(sync, the_state_arrives_bit_for_bit_from_several)
{
    start(4);
    arrives(&givers[0]);
    cr_assert(eq(u64, parts, (uint64_t)2 * layout.chunks));
    cr_assert(eq(u64, taker.bytes, parameters * 8));
    cr_assert(eq(u32, sync_givers(&taker), 4u));
    for (int i = 0; i < 4; i++) cr_assert(givers[i].chunks >= layout.chunks / 4 - 1);
    cr_assert(most_in_flight <= SYNC_IN_FLIGHT + 1);
}

Test(sync, one_who_gives_is_enough)
{
    start(1);
    arrives(&givers[0]);
}

Test(sync, a_chunk_with_a_wrong_byte_is_never_written_and_its_giver_not_asked_again)
{
    givers[1].lies = true;
    start(3);
    arrives(&givers[0]);
    cr_assert(eq(u64, taker.liars, 1u));
    cr_assert(givers[1].chunks <= SYNC_IN_FLIGHT);
    cr_assert(eq(u64, parts, (uint64_t)2 * layout.chunks));
}

Test(sync, a_manifest_with_another_digest_than_most_announce_is_a_lie)
{
    fill(&givers[0], 2); /* another state under the same lineage, and it answers first */
    start(2);
    arrives(&givers[1]);
    cr_assert(eq(u64, givers[0].chunks, 0u));
    cr_assert(eq(u64, taker.liars, 1u));
}

Test(sync, what_more_members_announce_replaces_the_digest_and_its_manifest)
{
    fill(&givers[0], 2);
    sync_start(&taker, &target, false, now);
    sync_sound(&taker, first_eight(givers[0].state.digest), 1); /* the damaged one was the first */
    sync_server(&taker, givers[0].sid, false, now, &to_taker);
    carry(1);
    cr_assert(taker.manifest.any);
    announce();
    sync_sound(&taker, first_eight(givers[0].state.digest), 2); /* not more than those */
    cr_assert_not(taker.manifest.any);
    sync_server(&taker, givers[1].sid, false, now, &to_taker);
    sync_gone(&taker, givers[0].sid, now, &to_taker);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(eq(u64, givers[1].chunks, (uint64_t)layout.chunks));
    cr_assert(same_as(&givers[1]));
}

Test(sync, who_alone_lies_makes_it_fail)
{
    givers[0].lies = true;
    start(1);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_FAILED));
    cr_assert(eq(u64, parts, 0u));
}

Test(sync, the_work_of_one_who_dies_is_done_by_the_others)
{
    start(3);
    carry(7);
    cr_assert(eq(int, (int)taker.state, SYNC_RUNNING));
    givers[2].silent = true;
    sync_gone(&taker, givers[2].sid, now, &to_taker);
    arrives(&givers[0]);
}

Test(sync, the_work_of_one_who_is_silent_is_done_by_the_others_after_a_while)
{
    start(3);
    carry(6);
    givers[2].silent = true;
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_RUNNING));
    now = instant_after(now, span_s(31));
    cr_assert(sync_due(&taker).ns <= now.ns);
    sync_tick(&taker, now, &to_taker);
    arrives(&givers[0]);
}

Test(sync, one_whose_bytes_keep_coming_is_not_late_however_slow_it_is)
{
    start(1);
    carry(2);
    givers[0].silent = true; /* its whole answers: parts of them come */
    carry(1000);
    for (int i = 0; i < 10; i++) {
        now = instant_after(now, span_s(20));
        sync_flow(&taker, givers[0].sid, 1, now);
        sync_tick(&taker, now, &to_taker);
        cr_assert(eq(int, (int)taker.state, SYNC_RUNNING));
    }
    now = instant_after(now, span_s(31));
    sync_flow(&taker, givers[0].sid, 0, now);
    sync_tick(&taker, now, &to_taker);
    cr_assert(eq(int, (int)taker.state, SYNC_FAILED));
}

Test(sync, when_all_are_gone_it_fails_and_a_new_start_after_it_was_spoilt_is_fresh)
{
    start(2);
    carry(8);
    sync_gone(&taker, givers[0].sid, now, &to_taker);
    sync_gone(&taker, givers[1].sid, now, &to_taker);
    cr_assert(eq(int, (int)taker.state, SYNC_FAILED));
    carrier_clear(&carrier);
    sync_spoil(&taker);
    start(4);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(eq(u64, taker.bytes, parameters * 8));
}

Test(sync, what_arrived_before_a_failure_is_not_asked_for_again)
{
    start(2);
    carry(9);
    uint32_t there = sync_written(&taker);
    cr_assert(there > 0);
    sync_gone(&taker, givers[0].sid, now, &to_taker);
    sync_gone(&taker, givers[1].sid, now, &to_taker);
    cr_assert(eq(int, (int)taker.state, SYNC_FAILED));
    carrier_clear(&carrier);
    advance();
    uint64_t before = givers[2].chunks + givers[3].chunks;
    start(4);
    for (int i = 0; i < 2; i++) givers[i].forgets = true;
    carry(1000);
    now = instant_after(now, span_s(4));
    sync_tick(&taker, now, &to_taker);
    arrives(&givers[2]);
    cr_assert(givers[2].chunks + givers[3].chunks - before <= layout.chunks - there);
}

static uint64_t chunks_given(void)
{
    uint64_t n = 0;
    for (int i = 0; i < GIVERS; i++) n += givers[i].chunks;
    return n;
}

Test(sync, what_was_kept_is_not_asked_for_again)
{
    start(2);
    carry(9);
    uint32_t had = kept_count;
    cr_assert(had > 2 && had < layout.chunks);
    end_and_begin_again();
    start(2);
    arrives(&givers[0]);
    cr_assert(eq(u64, chunks_given(), (uint64_t)layout.chunks - had));
    cr_assert(eq(u32, kept_count, layout.chunks));
}

Test(sync, what_was_kept_is_brought_forward_to_a_state_that_moved)
{
    start(2);
    carry(9);
    advance();
    advance();
    retarget();
    carry(9); /* now some are of another epoch */
    advance();
    uint32_t had = kept_count;
    end_and_begin_again();
    start(2);
    arrives(&givers[0]);
    cr_assert(chunks_given() <= layout.chunks - had);
    cr_assert(taker.replayed > 0);
}

Test(sync, what_was_kept_of_a_history_that_nobody_knows_is_not_used)
{
    start(2);
    carry(9);
    for (uint32_t i = 0; i < kept_count; i++) kept[i].lineage[0] ^= 1;
    end_and_begin_again();
    advance();
    start(2);
    arrives(&givers[0]);
    cr_assert(eq(u64, chunks_given(), (uint64_t)layout.chunks));
}

/* One chunk is of another history; its epoch is so many rounds beyond that of the others. */
static void odd_one(uint64_t later)
{
    start(2);
    carry(9);
    advance();
    uint32_t had = kept_count, odd = kept_count / 2;
    kept[odd].lineage[3] ^= 1;
    kept[odd].epoch += later;
    anchor[outer_chunk_start(&layout, kept[odd].chunk)] += 1;
    end_and_begin_again();
    start(2);
    arrives(&givers[0]);
    cr_assert(eq(u64, chunks_given(), (uint64_t)layout.chunks - had + 1));
}

Test(sync, a_chunk_that_was_kept_of_another_history_before_the_target_is_not_used) { odd_one(0); }

Test(sync, a_chunk_that_was_kept_of_another_history_at_the_target_is_not_used) { odd_one(1); }

Test(sync, a_chunk_that_was_kept_of_another_history_beyond_the_target_is_not_used) { odd_one(2); }

Test(sync, what_was_kept_before_more_rounds_than_are_known_is_downloaded)
{
    start(2);
    carry(9);
    for (int i = 0; i <= ROUNDS; i++) advance();
    end_and_begin_again();
    start(2);
    arrives(&givers[0]);
    cr_assert(eq(u64, chunks_given(), (uint64_t)layout.chunks));
}

Test(sync, who_replays_from_its_own_state_keeps_nothing)
{
    own();
    advance();
    begin(2, true);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(eq(u32, kept_count, 0u));
}

Test(sync, an_answer_to_a_question_of_an_earlier_download_is_nobodys)
{
    start(2);
    struct carried old = carrier_take(&carrier, carrier_first(&carrier, NULL));
    start(2);
    answer(&givers[old.to], &old);
    free(old.data);
    cr_assert(eq(int, (int)taker.state, SYNC_RUNNING));
    cr_assert_not(taker.manifest.any);
}

Test(sync, the_state_before_is_given_until_its_buffers_are_written_to)
{
    struct giver *g = &givers[0];
    struct lineage_state next = g->state;
    next.epoch = 8;
    next.lineage[0] = 1;
    sync_offer(&g->sync, &next, true);
    start(1);
    carry(3);
    cr_assert(eq(int, (int)taker.state, SYNC_RUNNING));
    sync_withdraw(&g->sync);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_RUNNING), "somebody may have it soon");
    now = instant_after(now, span_s(4));
    cr_assert(sync_due(&taker).ns <= now.ns);
    sync_tick(&taker, now, &to_taker);
    cr_assert(eq(int, (int)taker.state, SYNC_FAILED), "it has not got it any more");
}

Test(sync, requests_that_cannot_be_have_empty_replies)
{
    struct giver *g = &givers[0];
    uint8_t request[32] = {WIRE_GET_CHUNK};
    memcpy(request + 1, target.lineage, 16);
    request[17] = 255; /* chunk 255: there are 13 */
    for (size_t n = 1; n < sizeof request; n++) {
        replied = false;
        sync_request(&g->sync, 99, 1, 5, bytes_of(request, n), &to_giver);
        cr_assert(replied, "of %zu bytes", n);
        cr_assert(eq(sz, reply_count, (size_t)0));
    }
}

Test(sync, manifests_with_changed_bytes_never_lead_to_a_wrong_state)
{
    struct rng r = rng_init(4);
    for (int n = 0; n < 300; n++) {
        sync_spoil(&taker);
        start(1);
        cr_assert(eq(sz, carrier.count, (size_t)1));
        struct carried q = carrier_take(&carrier, 0);
        replied = false;
        sync_request(&givers[0].sync, 99, 1, q.ticket, bytes_of(q.data, q.count), &to_giver);
        free(q.data);
        size_t at = rng_below(&r, reply_count);
        if (at == 0) continue; /* flags: reserved */
        reply[at] ^= (uint8_t)(1 + rng_below(&r, 255));
        sync_reply(&taker, q.ticket, true, bytes_of(reply, reply_count - rng_below(&r, 2)), now,
                   &to_taker);
        carry(1000);
        cr_assert(eq(int, (int)taker.state, SYNC_FAILED));
    }
}

/* ---- replay ---- */

Test(sync, who_missed_some_rounds_replays_them_and_downloads_nothing)
{
    own();
    for (int i = 0; i < 3; i++) advance();
    begin(3, true);
    cr_assert(sync_near(&taker) == false, "three rounds are not near");
    arrives(&givers[0]);
    uint64_t chunks = 0;
    for (int i = 0; i < GIVERS; i++) chunks += givers[i].chunks;
    cr_assert(eq(u64, chunks, 0u));
    cr_assert_not(taker.downloaded);
    uint64_t averaged = layout.chunks - layout.chunks / 5; /* every fifth is null */
    cr_assert(eq(u64, replays, 3 * averaged));
    cr_assert(taker.bytes < 3 * 5 * parameters / 4);
}

Test(sync, my_contribution_is_found_in_the_rounds_that_have_it)
{
    own();
    advance();
    sync_gave(&taker, givers[0].reduce.group.gid, 2);
    begin(3, true);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    bool some = false;
    for (uint32_t c = 0; c < layout.chunks; c++) {
        bool in = givers[0].reduce.chunks[c].best.mask >> 2 & 1;
        cr_assert(taker.chunks[c].mine == in, "chunk %u", c);
        some = some || in;
    }
    cr_assert(some);
}

Test(sync, more_rounds_than_are_kept_are_downloaded)
{
    own();
    for (int i = 0; i < ROUNDS + 1; i++) advance();
    begin(2, true);
    arrives(&givers[0]);
    cr_assert(taker.downloaded);
    cr_assert(eq(u64, replays, 0u));
}

Test(sync, a_history_that_nobody_knows_is_downloaded)
{
    own();
    taker.now.state.lineage[3] ^= 1;
    advance();
    begin(2, true);
    arrives(&givers[0]);
    cr_assert(eq(u64, givers[0].chunks + givers[1].chunks, (uint64_t)layout.chunks));
}

Test(sync, a_download_goes_on_to_a_state_that_moves)
{
    start(2);
    for (int i = 0; i < 6; i++) { /* more rounds than are kept, each while some chunks arrive */
        carry(7);
        advance();
        retarget();
        serve(2);
    }
    arrives(&givers[0]);
    cr_assert(replays > 0);
    cr_assert(givers[0].chunks + givers[1].chunks <= (uint64_t)2 * layout.chunks,
              "what has arrived is brought forward, not asked for again");
}

/* After so many answers the givers turn to another history of the same epoch. */
static void turns_after(size_t answers)
{
    start(3);
    carry(answers);
    turn();
    retarget();
    serve(3);
    arrives(&givers[0]);
    cr_assert(eq(u64, taker.liars, 0u));
}

Test(sync, a_manifest_of_another_history_of_the_epoch_is_no_lie) { turns_after(1); }

Test(sync, a_manifest_of_another_history_of_the_epoch_is_not_used) { turns_after(4); }

Test(sync, a_round_that_has_not_a_step_yet_is_near)
{
    own();
    advance();
    begin(1, true);
    cr_assert(sync_near(&taker));
    advance();
    advance();
    retarget();
    cr_assert_not(sync_near(&taker));
}

Test(sync, a_result_with_a_wrong_byte_is_never_written_and_its_giver_not_asked_again)
{
    own();
    advance();
    advance();
    givers[1].lies = true;
    begin(3, true);
    arrives(&givers[0]);
    cr_assert(eq(u64, taker.liars, 1u));
    cr_assert(givers[1].results <= SYNC_IN_FLIGHT);
}

Test(sync, rounds_that_lead_elsewhere_are_not_believed)
{
    own();
    advance();
    givers[0].past.rounds[0].gid[0] ^= 1; /* of a fork: another root, another lineage */
    begin(2, true);
    arrives(&givers[0]);
    cr_assert_not(taker.downloaded, "the other server knows the way");
}

Test(sync, one_that_keeps_no_rounds_is_passed_over)
{
    own();
    advance();
    givers[0].past.count = givers[1].past.count = 0;
    begin(3, true);
    arrives(&givers[0]);
    cr_assert(eq(u64, givers[0].chunks + givers[1].chunks + givers[2].chunks, 0u));
}

Test(sync, a_chunk_whose_next_result_nobody_has_is_downloaded)
{
    own();
    advance();
    advance();
    begin(2, true);
    carry(1); /* the rounds are known */
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < ROUNDS; k++) givers[i].past.rounds[k].held = false;
    arrives(&givers[0]);
    cr_assert(taker.downloaded);
}

Test(sync, of_one_that_averages_one_thing_is_asked_at_a_time)
{
    sync_start(&taker, &target, false, now);
    announce();
    sync_server(&taker, givers[0].sid, true, now, &to_taker);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(eq(u32, most_in_flight, 1u));
}

Test(sync, more_is_asked_of_one_whose_bytes_come_fast)
{
    start(1);
    carry(1);
    cr_assert(eq(sz, carrier.count, (size_t)SYNC_IN_FLIGHT));
    sync_flow(&taker, givers[0].sid, 5 * 2 * 4096 * sizeof(float), now);
    carry(1);
    cr_assert(eq(sz, carrier.count, (size_t)5));
    sync_flow(&taker, givers[0].sid, UINT64_MAX, now);
    carry(1);
    cr_assert(carrier.count > 5 && carrier.count <= SYNC_IN_FLIGHT_MAX);
}

Test(sync, rounds_with_changed_bytes_never_lead_to_a_wrong_state)
{
    struct rng r = rng_init(4);
    own();
    advance();
    advance();
    for (int n = 0; n < 100; n++) {
        sync_spoil(&taker);
        carrier_clear(&carrier);
        begin(1, true);
        cr_assert(eq(sz, carrier.count, (size_t)1));
        struct carried q = carrier_take(&carrier, 0);
        cr_assert(eq(int, q.data[0], WIRE_GET_PAST));
        cr_assert(
            past_request(&givers[0].past, 99, 1, q.ticket, bytes_of(q.data, q.count), &to_giver));
        free(q.data);
        reply[rng_below(&r, reply_count)] ^= (uint8_t)(1 + rng_below(&r, 255));
        sync_reply(&taker, q.ticket, true, bytes_of(reply, reply_count - rng_below(&r, 2)), now,
                   &to_taker);
        carry(1000);
        cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
        cr_assert(same_as(&givers[0]));
        cr_assert(eq(u64, replays, 0u), "it is downloaded");
    }
}

/* ---- past ---- */

static size_t ask_past(const uint8_t *request, size_t count)
{
    replied = false;
    reply_count = 0;
    bool answered = past_request(&givers[0].past, 99, 1, 5, bytes_of(request, count), &to_giver);
    cr_assert(answered == replied);
    return reply_count;
}

Test(sync, rounds_are_kept_in_order_and_the_oldest_is_given_up)
{
    uint8_t request[17] = {WIRE_GET_PAST};
    uint8_t lineages[ROUNDS + 2][CRYPTO_DIGEST_BYTES];
    memcpy(request + 1, (uint8_t[CRYPTO_DIGEST_BYTES]){0}, 16);
    cr_assert(eq(sz, ask_past(request, sizeof request), (size_t)0), "of no round");
    for (int i = 0; i < ROUNDS + 2; i++) {
        memcpy(lineages[i], target.lineage, sizeof lineages[i]);
        advance();
    }
    for (int i = 0; i < ROUNDS + 2; i++) {
        memcpy(request + 1, lineages[i], 16);
        size_t rounds = i < 2 ? 0 : (size_t)(ROUNDS + 2 - i);
        cr_assert(eq(sz, ask_past(request, sizeof request), rounds * past_entry_bytes(&layout)));
    }
    for (size_t n = 1; n < sizeof request; n++) {
        cr_assert(eq(sz, ask_past(request, n), (size_t)0));
        cr_assert(replied, "of %zu bytes", n);
    }
}

Test(sync, a_result_is_given_for_its_round_and_digest_alone)
{
    uint8_t request[37] = {WIRE_FETCH};
    advance();
    const struct past_round *k = &givers[0].past.rounds[0];
    memcpy(request + 1, k->gid, 16);
    memcpy(request + 21, k->chunks[0].digest, 16);
    cr_assert(eq(sz, ask_past(request, sizeof request),
                 PARCEL_RESULT_BYTES + outer_wire_bytes(layout.chunk_elements)));
    for (size_t at = 1; at < sizeof request; at += 4) {
        request[at] ^= 0x80;
        cr_assert(eq(sz, ask_past(request, sizeof request), (size_t)0), "byte %zu", at);
        request[at] ^= 0x80;
    }
    request[17] = 4; /* a null chunk */
    memset(request + 21, 0, 16);
    cr_assert(eq(sz, ask_past(request, sizeof request), (size_t)0));
    for (size_t n = 1; n < sizeof request; n++)
        cr_assert(eq(sz, ask_past(request, n), (size_t)0), "of %zu bytes", n);
}
