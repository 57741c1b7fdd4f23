#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "base/rng.h"
#include "swarm/sync.h"
#include "swarm/wire.h"
#include "test/sim/standin.h"
#include "test/swarm/carrier.h"

/* One downloader and several servers. Requests arrive immediately, in the order they were sent. */

#define GIVERS 4

static uint64_t parameters;

struct giver {
    struct sync sync;
    struct lineage_state state;
    float *anchor, *momentum;
    sid sid;
    bool lies;    /* its chunks have a wrong byte */
    bool forgets; /* answers with nothing */
    bool silent;  /* does not answer at all */
    bool forges;  /* its manifest is of another state */
    uint64_t chunks;
};

static struct standin standin;
static struct crypto crypto;
static struct giver givers[GIVERS];
static struct sync taker;
static struct carrier carrier; /* requests of the downloader */
static float *anchor, *momentum;
static uint64_t parts;
static struct arena room;
static struct lineage_state target;
static instant now = {1000000000};
static uint32_t most_in_flight;

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
    }
}

static void giver_act(void *self, struct action *a)
{
    (void)self;
    cr_assert(eq(int, (int)a->kind, ACTION_REPLY));
    replied = true;
    reply_count = a->bytes.count;
    if (reply_count) memcpy(reply, a->bytes.data, reply_count);
}

static const struct sink to_taker = {NULL, taker_act}, to_giver = {NULL, giver_act};

static void fill(struct giver *g, uint64_t seed)
{
    struct rng r = rng_init(seed);
    for (uint64_t i = 0; i < parameters; i++) {
        g->anchor[i] = (float)rng_unit(&r);
        g->momentum[i] = (float)rng_unit(&r);
    }
}

static void open_with(uint64_t count)
{
    struct why why = {0};
    parameters = count;
    struct sync_config c = {&crypto, parameters};
    standin = (struct standin){.world = 3};
    crypto = standin_crypto(&standin);
    cr_assert_not(arena_open(&room, (GIVERS + 1) * sync_bytes(&c), &why));
    target = (struct lineage_state){.epoch = 7, .lineage = {9, 9}, .lineage_tokens = 4000};
    anchor = calloc(parameters, sizeof(float));
    momentum = calloc(parameters, sizeof(float));
    cr_assert(sync_init(&taker, &c, &room));
    for (int i = 0; i < GIVERS; i++) {
        struct giver *g = &givers[i];
        *g = (struct giver){.sid = (sid)(i + 1)};
        g->anchor = calloc(parameters, sizeof(float));
        g->momentum = calloc(parameters, sizeof(float));
        fill(g, 1);
        g->state = target;
        g->state.anchor = g->anchor;
        g->state.momentum = g->momentum;
        cr_assert(sync_init(&g->sync, &c, &room));
        sync_offer(&g->sync, &g->state, false);
    }
    carrier_fini(&carrier);
    carrier_init(&carrier, span_ns(0), 0);
    parts = 0;
    most_in_flight = 0;
}

static void answer(struct giver *g, const struct carried *q)
{
    replied = false;
    sync_request(&g->sync, 99, 1, q->ticket, bytes_of(q->data, q->count), now, &to_giver);
    while (!replied) sync_tick(&g->sync, now, &to_giver);
    bool chunk = q->data[0] == WIRE_GET_CHUNK;
    if (g->forgets) reply_count = 0;
    if (chunk && g->lies && reply_count) reply[reply_count / 2] ^= 1;
    if (chunk) g->chunks++;
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

static void start(int count)
{
    sync_start(&taker, &target, now);
    for (int i = 0; i < count; i++) sync_server(&taker, givers[i].sid, now, &to_taker);
}

static bool same_as(const struct giver *g)
{
    size_t bytes = parameters * sizeof(float);
    return !memcmp(anchor, g->anchor, bytes) && !memcmp(momentum, g->momentum, bytes);
}

static void set_up(void) { open_with(50001); }

TestSuite(sync, .init = set_up);

Test(sync, a_small_state_has_eight_chunks_a_vector_and_a_large_one_chunks_of_a_mebibyte)
{
    cr_assert(eq(u32, sync_chunk_elements(50001), 4096u));
    cr_assert(eq(u32, sync_chunk_elements(1000000000), 1u << 18));
    cr_assert(eq(u32, sync_chunk_elements(3), 512u));
    for (uint64_t p = 4096; p < 2000000; p = p * 5 / 3) {
        uint32_t e = sync_chunk_elements(p);
        cr_assert(p > (uint64_t)7 * e, "%llu parameters", (unsigned long long)p);
        cr_assert(e == 512 || p <= (uint64_t)e * 14 + 14);
    }
}

Test(sync, the_state_arrives_bit_for_bit_from_several)
{
    start(4);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(same_as(&givers[0]));
    cr_assert(eq(u64, parts, (uint64_t)2 * taker.chunks));
    cr_assert(eq(u64, taker.bytes, parameters * 8));
    cr_assert(eq(u32, sync_givers(&taker), 4u));
    for (int i = 0; i < 4; i++) cr_assert(givers[i].chunks >= 2 * taker.chunks / 4 - 2);
    cr_assert(most_in_flight <= SYNC_IN_FLIGHT + 1);
}

Test(sync, one_who_gives_is_enough)
{
    start(1);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(same_as(&givers[0]));
}

Test(sync, a_chunk_with_a_wrong_byte_is_never_written_and_its_giver_not_asked_again)
{
    givers[1].lies = true;
    start(3);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(same_as(&givers[0]));
    cr_assert(eq(u64, taker.liars, 1u));
    cr_assert(givers[1].chunks <= SYNC_IN_FLIGHT);
    cr_assert(eq(u64, parts, (uint64_t)2 * taker.chunks));
}

Test(sync, a_manifest_that_two_others_contradict_does_not_count)
{
    fill(&givers[0], 2); /* another state under the same lineage, and it answers first */
    start(3);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(same_as(&givers[1]));
    cr_assert(eq(u64, givers[0].chunks, 0u));
    cr_assert(eq(u64, taker.liars, 1u));
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
    carry(9);
    cr_assert(eq(int, (int)taker.state, SYNC_CHUNKS));
    givers[2].silent = true;
    sync_gone(&taker, givers[2].sid, now, &to_taker);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(same_as(&givers[0]));
}

Test(sync, the_work_of_one_who_is_silent_is_done_by_the_others_after_a_while)
{
    start(3);
    carry(6);
    givers[2].silent = true;
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_CHUNKS));
    now = instant_after(now, span_s(31));
    cr_assert(sync_due(&taker).ns <= now.ns);
    sync_tick(&taker, now, &to_taker);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(same_as(&givers[0]));
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
        cr_assert(eq(int, (int)taker.state, SYNC_CHUNKS));
    }
    now = instant_after(now, span_s(31));
    sync_flow(&taker, givers[0].sid, 0, now);
    sync_tick(&taker, now, &to_taker);
    cr_assert(eq(int, (int)taker.state, SYNC_FAILED));
}

Test(sync, when_all_are_gone_it_fails_and_a_new_start_is_fresh)
{
    start(2);
    carry(8);
    sync_gone(&taker, givers[0].sid, now, &to_taker);
    sync_gone(&taker, givers[1].sid, now, &to_taker);
    cr_assert(eq(int, (int)taker.state, SYNC_FAILED));
    carrier_clear(&carrier);
    start(4);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_WHOLE));
    cr_assert(eq(u64, taker.bytes, parameters * 8));
}

Test(sync, an_answer_to_a_question_of_an_earlier_download_is_nobodys)
{
    start(2);
    struct carried old = carrier_take(&carrier, carrier_first(&carrier, NULL));
    start(2);
    answer(&givers[old.to], &old);
    free(old.data);
    cr_assert(eq(int, (int)taker.state, SYNC_MANIFEST));
    for (uint32_t i = 0; i < taker.servers_count; i++) cr_assert_not(taker.servers[i].answered);
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
    cr_assert(eq(int, (int)taker.state, SYNC_CHUNKS));
    sync_withdraw(&g->sync, &to_giver);
    carry(1000);
    cr_assert(eq(int, (int)taker.state, SYNC_FAILED), "it has not got it any more");
}

Test(sync, a_manifest_that_is_waited_for_is_answered_when_its_state_is_withdrawn)
{
    struct giver *g = &givers[0];
    uint8_t request[17] = {WIRE_GET_MANIFEST};
    memcpy(request + 1, target.lineage, 16);
    replied = false;
    sync_request(&g->sync, 99, 1, 5, bytes_of(request, sizeof request), now, &to_giver);
    cr_assert_not(replied);
    struct lineage_state next = g->state;
    next.lineage[0] = 1;
    sync_offer(&g->sync, &next, true);
    sync_withdraw(&g->sync, &to_giver);
    cr_assert(replied);
    cr_assert(eq(sz, reply_count, (size_t)0));
}

Test(sync, requests_that_cannot_be_have_empty_replies)
{
    struct giver *g = &givers[0];
    uint8_t request[32] = {WIRE_GET_CHUNK};
    memcpy(request + 1, target.lineage, 16);
    request[17] = 255; /* chunk 255: there are 26 */
    for (size_t n = 1; n < sizeof request; n++) {
        replied = false;
        sync_request(&g->sync, 99, 1, 5, bytes_of(request, n), now, &to_giver);
        cr_assert(replied, "of %zu bytes", n);
        cr_assert(eq(sz, reply_count, (size_t)0));
    }
}

Test(sync, manifests_with_changed_bytes_never_lead_to_a_wrong_state)
{
    struct rng r = rng_init(4);
    for (int n = 0; n < 300; n++) {
        start(1);
        cr_assert(eq(sz, carrier.count, (size_t)1));
        struct carried q = carrier_take(&carrier, 0);
        replied = false;
        sync_request(&givers[0].sync, 99, 1, q.ticket, bytes_of(q.data, q.count), now, &to_giver);
        while (!replied) sync_tick(&givers[0].sync, now, &to_giver);
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
