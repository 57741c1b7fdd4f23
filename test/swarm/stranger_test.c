#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "test/swarm/stage.h"

#define WAITING 32 /* STRANGERS_MAX */

static struct stage stage;
static struct stranger x;

static void set_up(void)
{
    stage_init(&stage);
    stage_start(&stage);
    stranger_init(&x, &stage, 1);
}

static void tear_down(void) { stage_fini(&stage); }

TestSuite(stranger, .init = set_up, .fini = tear_down);

/* A link of a key that was never seen before, from this address. */
static void call(uint32_t number, uint8_t host)
{
    struct event e = {
        .kind = EVENT_LINK_UP, .link = 1000 + number, .address = {4, {10, 9, 9, host}, 4433}};
    memcpy(e.id, &(uint64_t){0x7700000000u + number}, 8);
    e.id[31] = 1;
    stage_give(&stage, e);
}

static const struct action *hung_up(void) { return stage_find(&stage, ACTION_HANG_UP, -1); }

/* Of all that the node knows, itself included. */
static size_t known(void)
{
    struct node_peer peers[64];
    return node_peers(stage.node, peers, 64);
}

Test(stranger, however_many_keys_call_members_keep_their_entries)
{
    stranger_joins(&x, &stage);
    for (uint32_t k = 0; k < 500; k++) call(k, (uint8_t)(k % 200));
    cr_assert(eq(sz, known(), (size_t)2));
    cr_assert(eq(sz, stage_count(&stage, ACTION_HANG_UP, -1), (size_t)(500 - WAITING)));
    struct stranger y;
    stranger_init(&y, &stage, 2);
    stranger_joins(&y, &stage);
    cr_assert_not_null(stage_view(&stage, &y), "there is room for who says who it is");
}

Test(stranger, who_comes_from_an_address_of_its_own_stays)
{
    stranger_link(&x, &stage);
    for (uint32_t k = 0; k < 500; k++) call(k, 7);
    for (size_t i = 0; i < stage.actions_count; i++)
        cr_assert(stage.actions[i].kind != ACTION_HANG_UP || stage.actions[i].link != x.link);
    uint8_t hello[512];
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
    cr_assert_not_null(stage_view(&stage, &x));
}

Test(stranger, of_one_address_the_one_that_waits_longest_makes_room)
{
    for (uint32_t k = 0; k <= WAITING; k++) {
        call(k, 7);
        stage_pass(&stage, span_ms(10));
    }
    cr_assert(eq(u32, hung_up()->link, 1000u));
    cr_assert(eq(u32, hung_up()->code, (uint32_t)CLOSE_CROWDED));
}

Test(stranger, without_a_hello_it_is_hung_up)
{
    call(0, 7);
    stage_pass(&stage, span_ms(9900));
    cr_assert_null(hung_up());
    stage_pass(&stage, span_ms(200));
    cr_assert(eq(u32, hung_up()->link, 1000u));
    cr_assert(eq(u32, hung_up()->code, (uint32_t)CLOSE_PROTOCOL));
}

Test(stranger, that_ends_its_link_leaves_nothing)
{
    call(0, 7);
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = 1000});
    stage_pass(&stage, span_s(11));
    cr_assert_null(hung_up());
}

Test(stranger, that_says_anything_else_first_is_hung_up)
{
    stranger_link(&x, &stage);
    stranger_progress(&x, &stage);
    cr_assert(eq(u32, hung_up()->link, x.link));
    cr_assert(eq(u32, hung_up()->code, (uint32_t)CLOSE_PROTOCOL));
    stage_forget(&stage);
    stranger_progress(&x, &stage);
    cr_assert_null(hung_up(), "once");
}

/* y's record, or its own with a signature of another. */
Test(stranger, with_the_record_of_another_takes_no_entry)
{
    struct stranger y;
    uint8_t hello[512];
    for (int forged = 0; forged < 2; forged++) {
        stranger_init(&y, &stage, 2);
        if (forged) memcpy(y.id, x.id, sizeof y.id);
        stage_forget(&stage);
        stranger_link(&x, &stage);
        size_t n = stranger_hello(&y, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
        stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
        cr_assert(eq(u32, hung_up()->code, (uint32_t)CLOSE_PROTOCOL));
        cr_assert(eq(sz, known(), (size_t)1));
    }
}

Test(stranger, of_another_run_or_version_is_told_and_takes_no_entry)
{
    uint8_t hello[512], run[CRYPTO_DIGEST_BYTES] = {9};
    stranger_link(&x, &stage);
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, run, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
    cr_assert(eq(u32, hung_up()->code, (uint32_t)CLOSE_RUN));
    cr_assert_not_null(stage_note(&stage, "other_run"));
    stranger_link(&x, &stage);
    n = stranger_hello(&x, &stage, WIRE_MAJOR + 1, stage.config.run_id, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
    cr_assert(eq(u32, hung_up()->code, (uint32_t)CLOSE_VERSION));
    cr_assert(eq(sz, known(), (size_t)1));
}

Test(stranger, is_answered_no_request_and_welcomed_by_its_hello)
{
    stranger_link(&x, &stage);
    uint8_t ask[] = {WIRE_GET_MANIFEST};
    stage_give(&stage, (struct event){.kind = EVENT_REQUEST,
                                      .link = x.link,
                                      .ticket = 5,
                                      .bytes = bytes_of(ask, sizeof ask)});
    cr_assert(eq(sz, stage_find(&stage, ACTION_REPLY, -1)->bytes.count, (size_t)0));
    cr_assert_null(stage_find(&stage, ACTION_WELCOME, -1));
    uint8_t hello[512];
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
    cr_assert(eq(u32, stage_find(&stage, ACTION_WELCOME, -1)->link, x.link));
}
