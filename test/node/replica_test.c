/* replica_test.c -- the state that all workers hold alike, on the CPU's backend. */
#include "node/replica.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "net/identity.h"

#define COUNT 9000 /* three chunks, the last one short */

static struct pool *pool;
static struct backend b;
static struct arena room;
static struct crypto hash;
static struct replica r;
static struct why w;
static float *parameters;
static const struct outer_rule rule = {.lr = 0.7f, .momentum = 0.9f, .nesterov = true};
static const uint8_t run_id[CRYPTO_DIGEST_BYTES] = {3};

static void begin(void)
{
    hash = identity_crypto(NULL);
    cr_assert_eq(pool_open(&pool, 2, 0, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(cpu_open(&b, pool, false, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(arena_open(&room, replica_bytes(COUNT), &w), ERR_OK, "%s", w.text);
    parameters = malloc(COUNT * sizeof *parameters);
    for (size_t i = 0; i < COUNT; i++) parameters[i] = sinf((float)i);
    cr_assert_eq(replica_init(&r, &room, &rule, parameters, COUNT, run_id, &hash, &b, pool, &w),
                 ERR_OK, "%s", w.text);
    cr_assert_eq(r.layout.chunks, 3);
}

static void end(void)
{
    free(parameters);
    arena_close(&room);
    cpu_close(&b);
    pool_close(pool);
}

TestSuite(replica, .init = begin, .fini = end);

static void assert_digest(void)
{
    uint8_t leaves[3][CRYPTO_DIGEST_BYTES], digest[CRYPTO_HASH_BYTES];
    outer_leaves(&hash, &r.layout, r.state.anchor, r.state.momentum, leaves[0]);
    cr_assert_arr_eq(r.state.leaves, leaves, sizeof leaves);
    crypto_hash(&hash, bytes_of(leaves, sizeof leaves), digest);
    cr_assert_arr_eq(r.state.digest, digest, sizeof digest);
}

static size_t chunk_at(uint32_t c) { return (size_t)c * r.layout.chunk_elements; }

Test(replica, at_genesis_the_anchor_is_the_parameters_and_nothing_moves)
{
    cr_assert_arr_eq(r.state.anchor, parameters, COUNT * sizeof *parameters);
    for (size_t i = 0; i < COUNT; i++) cr_assert(r.state.momentum[i] == 0);
    cr_assert(r.state.epoch == 0 && r.state.lineage_tokens == 0);
    assert_digest();
}

Test(replica, it_does_not_fit_into_an_arena_that_is_too_small)
{
    struct arena small;
    struct replica other;
    cr_assert_eq(arena_open(&small, replica_bytes(COUNT / 2), &w), ERR_OK);
    cr_assert_eq(
        replica_init(&other, &small, &rule, parameters, COUNT, run_id, &hash, &b, pool, &w),
        ERR_MEMORY);
    arena_close(&small);
}

Test(replica, a_snapshot_is_what_was_learned_quantized_chunk_by_chunk)
{
    bool finite = false;
    for (size_t i = 0; i < COUNT; i++) parameters[i] += 0.01f * cosf((float)(3 * i));
    cr_assert_eq(replica_snapshot(&r, parameters, &finite, &w), ERR_OK);
    cr_assert(finite);
    for (uint32_t c = 0; c < r.layout.chunks; c++) {
        const size_t n = outer_chunk_count(&r.layout, c);
        uint8_t *wire = malloc(outer_wire_bytes(n));
        cr_assert(
            outer_quantize_delta(r.state.anchor + chunk_at(c), parameters + chunk_at(c), n, wire));
        cr_assert_arr_eq(r.wire + outer_wire_offset(&r.layout, c), wire, outer_wire_bytes(n));
        free(wire);
    }
}

Test(replica, a_parameter_that_is_not_finite_spoils_the_snapshot)
{
    bool finite = true;
    parameters[COUNT - 1] = INFINITY; /* of the short chunk */
    cr_assert_eq(replica_snapshot(&r, parameters, &finite, &w), ERR_OK);
    cr_assert_not(finite);
}

Test(replica, an_outer_step_takes_each_chunk_as_the_order_says)
{
    bool finite;
    uint8_t null[] = {0, 1, 0}, mine[] = {1, 0, 0};
    const uint8_t lineage[CRYPTO_DIGEST_BYTES] = {9};
    float *before = malloc(COUNT * sizeof *before), *anchor = malloc(COUNT * sizeof *anchor);
    memcpy(anchor, r.state.anchor, COUNT * sizeof *anchor);
    for (size_t i = 0; i < COUNT; i++) parameters[i] += 0.01f;
    memcpy(before, parameters, COUNT * sizeof *before);
    cr_assert_eq(replica_snapshot(&r, parameters, &finite, &w), ERR_OK);
    struct order o = {.kind = ORDER_APPLY, .epoch = 1, .lineage_tokens = 640};
    o.average = (struct average){.means = r.wire, .null = null, .mine = mine};
    memcpy(o.lineage, lineage, sizeof lineage);
    const float *served = r.state.anchor;
    cr_assert_eq(replica_apply(&r, &o, parameters, &w), ERR_OK);

    cr_assert(r.state.epoch == 1 && r.state.lineage_tokens == 640);
    cr_assert_arr_eq(r.state.lineage, lineage, sizeof lineage);
    cr_assert_neq(r.state.anchor, served, "joiners read the old pair until the new one is whole");
    cr_assert_arr_eq(served, anchor, COUNT * sizeof *anchor);
    assert_digest();
    const size_t n = r.layout.chunk_elements;
    float a[1], m[1];
    outer_step(&rule, anchor, (float[]){0}, r.wire, 1, a, m);
    cr_assert_neq(r.state.anchor[0], anchor[0]);
    for (size_t i = 0; i < n; i++) /* our contribution is in the mean: parameters restart */
        cr_assert(parameters[i] == r.state.anchor[i]);
    for (size_t i = n; i < 2 * n; i++) /* no mean: nothing moves, and parameters stay */
        cr_assert(r.state.anchor[i] == anchor[i] && parameters[i] == before[i]);
    for (size_t i = 2 * n; i < COUNT; i++) /* a mean without ours: what was learned is kept */
        cr_assert(parameters[i] == r.state.anchor[i] + (before[i] - anchor[i]));
    free(before);
    free(anchor);
}

Test(replica, a_download_goes_into_the_spare_pair_until_it_is_adopted)
{
    float *floats = malloc(COUNT * sizeof *floats);
    const struct order o = {.kind = ORDER_ADOPT, .epoch = 8, .lineage_tokens = 99};
    const float *served = r.state.anchor;
    for (size_t i = 0; i < COUNT; i++) floats[i] = (float)i;
    const struct bytes first = bytes_of(floats, 4096 * sizeof *floats);
    const struct bytes rest = bytes_of(floats + 4096, (COUNT - 4096) * sizeof *floats);
    for (uint8_t vector = 0; vector < 2; vector++) {
        cr_assert(replica_take(&r, vector, 4096, rest));
        cr_assert(replica_take(&r, vector, 0, first));
    }
    cr_assert_eq(r.state.anchor, served);
    cr_assert(r.state.epoch == 0 && r.state.anchor[5] == sinf(5));
    bool keeps = true;
    cr_assert_eq(replica_adopt(&r, &o, parameters, &keeps, &w), ERR_OK);
    cr_assert_not(keeps);
    cr_assert_eq(r.state.epoch, 8);
    cr_assert_arr_eq(r.state.anchor, floats, COUNT * sizeof *floats);
    cr_assert_arr_eq(r.state.momentum, floats, COUNT * sizeof *floats);
    cr_assert_arr_eq(parameters, floats, COUNT * sizeof *floats);
    assert_digest();
    free(floats);
}

/* Our own state, brought forward by one result of the first chunk. */
static void replay(const float *changed)
{
    const size_t n = r.layout.chunk_elements;
    uint8_t *wire = malloc(outer_wire_bytes(n));
    cr_assert(outer_quantize_delta(r.state.anchor, changed, n, wire));
    const struct bytes mean = bytes_of(wire, outer_wire_bytes(n));
    cr_assert(replica_take(&r, 0, 0, bytes_of(r.state.anchor, COUNT * sizeof(float))));
    cr_assert(replica_take(&r, 1, 0, bytes_of(r.state.momentum, COUNT * sizeof(float))));
    cr_assert(replica_replay(&r, 0, mean));
    cr_assert_not(replica_replay(&r, r.layout.chunks - 1, mean), "the last one is short");
    cr_assert_not(replica_replay(&r, r.layout.chunks, mean));
    free(wire);
}

Test(replica, a_replayed_result_gives_the_bits_of_its_outer_step)
{
    uint8_t null[] = {0, 1, 1}, mine[] = {1, 1, 1};
    bool finite;
    float *changed = malloc(COUNT * sizeof *changed), *replayed = malloc(COUNT * sizeof *replayed);
    for (size_t i = 0; i < COUNT; i++) parameters[i] += 0.01f * cosf((float)i);
    memcpy(changed, parameters, COUNT * sizeof *changed);
    replay(changed);
    memcpy(replayed, r.anchor[!r.current], COUNT * sizeof *replayed);
    cr_assert_eq(replica_snapshot(&r, parameters, &finite, &w), ERR_OK);
    struct order o = {.kind = ORDER_APPLY, .epoch = 1, .lineage_tokens = 640};
    o.average = (struct average){.means = r.wire, .null = null, .mine = mine};
    cr_assert_eq(replica_apply(&r, &o, parameters, &w), ERR_OK);
    cr_assert_arr_eq(r.state.anchor, replayed, COUNT * sizeof *replayed);
    free(changed);
    free(replayed);
}

Test(replica, what_was_learned_is_carried_where_no_result_has_it)
{
    uint8_t mine[] = {0, 1, 0};
    bool keeps = true;
    float *before = malloc(COUNT * sizeof *before), *anchor = malloc(COUNT * sizeof *anchor);
    memcpy(anchor, r.state.anchor, COUNT * sizeof *anchor);
    for (size_t i = 0; i < COUNT; i++) parameters[i] += 0.01f * cosf((float)i);
    memcpy(before, parameters, COUNT * sizeof *before);
    replay(before);
    struct order o = {.kind = ORDER_ADOPT, .epoch = 1, .carries = true};
    o.average.mine = mine;
    cr_assert_eq(replica_adopt(&r, &o, parameters, &keeps, &w), ERR_OK);
    cr_assert_not(keeps, "it is in one of them, so it has been counted");
    const size_t n = r.layout.chunk_elements;
    for (size_t i = 0; i < COUNT; i++)
        cr_assert(parameters[i] ==
                  (i / n == 1 ? r.state.anchor[i] : r.state.anchor[i] + (before[i] - anchor[i])));
    cr_assert_neq(r.state.anchor[0], anchor[0]);
    mine[1] = 0;
    replay(before);
    cr_assert_eq(replica_adopt(&r, &o, parameters, &keeps, &w), ERR_OK);
    cr_assert(keeps);
    free(before);
    free(anchor);
}

Test(replica, a_part_that_does_not_fit_the_vector_is_refused)
{
    static const float floats[8];
    const struct bytes two = bytes_of(floats, 2 * sizeof *floats);
    cr_assert(replica_take(&r, 0, COUNT - 2, two));
    cr_assert_not(replica_take(&r, 0, COUNT - 1, two), "it leads past the end");
    cr_assert_not(replica_take(&r, 0, UINT64_MAX, two));
    cr_assert_not(replica_take(&r, 0, COUNT + 1, bytes_of(floats, 0)));
    cr_assert_not(replica_take(&r, 2, 0, two), "there are two vectors");
    cr_assert_not(replica_take(&r, 1, 0, bytes_of(floats, 6)), "it is no whole number of floats");
}

Test(replica, a_restart_drops_what_was_learned)
{
    for (size_t i = 0; i < COUNT; i++) parameters[i] = NAN;
    replica_restart(&r, parameters);
    cr_assert_arr_eq(parameters, r.state.anchor, COUNT * sizeof *parameters);
}
