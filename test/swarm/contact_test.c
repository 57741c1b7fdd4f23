#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "test/swarm/stage.h"

static struct stage stage;
static struct stranger x, y;

static void set_up(void)
{
    stage_init(&stage);
    stranger_init(&x, &stage, 1);
    stranger_init(&y, &stage, 2);
}

static void tear_down(void) { stage_fini(&stage); }

TestSuite(contact, .init = set_up, .fini = tear_down);

static void pass(unsigned ms) { stage_pass(&stage, span_ms(ms)); }

static size_t dials(void) { return stage_count(&stage, ACTION_DIAL, -1); }

static const struct action *last_dial(void) { return stage_find(&stage, ACTION_DIAL, -1); }

/* A PEER record of `of` with this address; port 0: without an address. */
static struct bytes peer_record(struct stranger *of, uint16_t port)
{
    static uint8_t bytes[RECORD_BYTES_MAX];
    return bytes_of(bytes, stranger_peer_at(of, &stage, port, bytes));
}

static void fail_dial(const uint8_t id[CRYPTO_KEY_BYTES])
{
    stage_fail_dial(&stage, id, CLOSE_TIMEOUT);
}

static void list(struct peer_address *all, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        memset(all[k].id, 0, sizeof all[k].id);
        memcpy(all[k].id, &(uint32_t){(uint32_t)(0x01000000 + k)}, 4);
        all[k].address = (struct address){4, {10, 1, (uint8_t)(k >> 8), (uint8_t)k}, 4433};
    }
    stage.config.bootstrap = all;
    stage.config.bootstrap_count = count;
}

/* ---- live members ---- */

Test(contact, a_member_first_heard_of_without_an_address_is_dialled_when_its_address_comes)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_says(&x, &stage, 0, peer_record(&y, 0));
    cr_assert_not_null(stage_view(&stage, &y));
    pass(3000);
    cr_assert(eq(sz, dials(), (size_t)0), "there is nowhere to dial");
    stranger_says(&x, &stage, 0, peer_record(&y, 4433));
    pass(100);
    cr_assert(eq(sz, dials(), (size_t)1));
    cr_assert(memcmp(last_dial()->id, y.id, sizeof y.id) == 0);
    cr_assert(eq(int, last_dial()->address.port, 4433));
}

Test(contact, a_member_that_moved_is_dialled_at_its_new_address_first)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_says(&x, &stage, 0, peer_record(&y, 4433));
    pass(100);
    fail_dial(y.id);
    pass(1500);
    fail_dial(y.id);
    stage_forget(&stage);
    stranger_says(&x, &stage, 0, peer_record(&y, 5544));
    pass(1100); /* not earlier than a second after the previous dial */
    cr_assert(eq(sz, dials(), (size_t)1));
    cr_assert(eq(int, last_dial()->address.port, 5544));
}

Test(contact, a_member_that_signs_addresses_without_end_is_dialled_once_a_second)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    for (uint16_t k = 0; k < 100; k++) {
        stranger_says(&x, &stage, 0, peer_record(&y, (uint16_t)(4000 + k)));
        pass(50);
        fail_dial(y.id);
    }
    cr_assert(le(sz, dials(), (size_t)6));
}

/* As by a swarm that strangers attack. */
Test(contact, whoever_was_told_that_room_was_needed_is_dialled_again_soon)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_says(&x, &stage, 0, peer_record(&y, 4433));
    pass(100);
    cr_assert(eq(sz, dials(), (size_t)1));
    for (size_t k = 2; k < 6; k++) {
        struct event e = {
            .kind = EVENT_LINK_UP, .link = 70, .dialled = true, .address = last_dial()->address};
        memcpy(e.id, y.id, sizeof e.id);
        stage_give(&stage, e);
        stage_give(&stage,
                   (struct event){.kind = EVENT_LINK_DOWN, .link = 70, .code = CLOSE_CROWDED});
        pass(1000);
        cr_assert(eq(sz, dials(), k));
    }
}

/* ---- the peer list ---- */

/* Which entry of list() this is. */
static uint32_t entry_of(const uint8_t id[CRYPTO_KEY_BYTES])
{
    uint32_t number;
    memcpy(&number, id, 4);
    return number - 0x01000000;
}

Test(contact, a_long_list_is_dialled_eighty_at_a_time_to_its_end)
{
    static struct peer_address all[400];
    static bool met[400];
    uint32_t open[400], open_count = 0, distinct = 0, most = 0;
    list(all, 400);
    stage_start(&stage);
    for (int turn = 0; turn < 1200 && distinct < 400; turn++) {
        if (turn % 16 == 0) pass(100);
        for (size_t i = 0; i < stage.actions_count; i++) {
            const struct action *a = &stage.actions[i];
            if (a->kind != ACTION_DIAL) continue;
            uint32_t k = entry_of(a->id);
            open[open_count++] = k;
            distinct += !met[k];
            met[k] = true;
        }
        cr_assert(le(u32, open_count, 80u));
        most = open_count > most ? open_count : most;
        stage_forget(&stage);
        if (open_count) fail_dial(all[open[--open_count]].id);
    }
    cr_assert(eq(u32, distinct, 400u));
    cr_assert(eq(u32, most, 80u));
}

/* Or 256 dead entries would take minutes. */
Test(contact, dials_to_a_long_list_give_up_after_one_two_four_and_eight_seconds)
{
    static struct peer_address all[81];
    uint64_t patience[6] = {0};
    uint32_t chosen = 0, count = 0;
    list(all, 81);
    stage_start(&stage);
    for (int turn = 0; turn < 1000 && count < 6; turn++) {
        pass(100);
        for (size_t i = 0; i < stage.actions_count && count < 6; i++) {
            const struct action *a = &stage.actions[i];
            if (a->kind != ACTION_DIAL) continue;
            if (!count) chosen = entry_of(a->id);
            if (entry_of(a->id) == chosen) patience[count++] = a->patience.ns;
        }
        stage_forget(&stage);
        for (size_t k = 0; k < 81; k++) fail_dial(all[k].id);
    }
    static const uint64_t wanted[6] = {1, 2, 4, 8, 0, 0}; /* 0: as any dial */
    for (size_t k = 0; k < 6; k++)
        cr_assert(eq(u64, patience[k], wanted[k] * 1000000000), "dial %zu", k);
}

Test(contact, a_short_list_is_dialled_with_all_patience)
{
    static struct peer_address all[80];
    list(all, 80);
    stage_start(&stage);
    pass(100);
    cr_assert(eq(sz, dials(), (size_t)80));
    for (size_t i = 0; i < stage.actions_count; i++)
        if (stage.actions[i].kind == ACTION_DIAL)
            cr_assert(eq(u64, stage.actions[i].patience.ns, UINT64_C(0)));
}

/* ---- lists that come later ---- */

static void listed(uint32_t number, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a)
{
    struct event e = {.kind = EVENT_LISTED, .address = *a, .code = number};
    memcpy(e.id, id, sizeof e.id);
    stage_give(&stage, e);
}

Test(contact, an_entry_that_comes_later_is_dialled_at_once_and_becomes_a_member)
{
    stage.config.lists = 1;
    stage_start(&stage);
    pass(20000);
    cr_assert(eq(sz, dials(), (size_t)0));
    listed(1, x.id, &(struct address){4, {10, 9, 9, 9}, 77});
    cr_assert(eq(sz, dials(), (size_t)1));
    cr_assert(eq(int, last_dial()->address.port, 77));
    cr_assert(eq(u64, last_dial()->patience.ns, UINT64_C(1000000000)));
    struct event up = {
        .kind = EVENT_LINK_UP, .link = x.link, .address = {4, {10, 9, 9, 9}, 77}, .dialled = true};
    memcpy(up.id, x.id, sizeof up.id);
    stage_give(&stage, up);
    uint8_t hello[512];
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
    cr_assert(stage_view(&stage, &x)->linked);
}

Test(contact, lists_that_nobody_announced_and_this_node_itself_are_no_entries)
{
    stage.config.lists = 1;
    stage_start(&stage);
    listed(0, x.id, &(struct address){4, {10, 9, 9, 9}, 77});
    listed(2, x.id, &(struct address){4, {10, 9, 9, 9}, 77});
    listed(1, stage.config.id, &(struct address){4, {10, 9, 9, 9}, 77});
    pass(20000);
    cr_assert(eq(sz, dials(), (size_t)0));
}

/* Somebody else's list names a good peer at addresses where it is not. */
Test(contact, no_list_takes_an_address_from_another)
{
    struct address good = {4, {10, 0, 0, 1}, 4433};
    stage.config.lists = 2;
    stage_start(&stage);
    for (uint16_t k = 1; k < 40; k++) listed(2, x.id, &(struct address){4, {10, 6, 6, 6}, k});
    cr_assert(eq(sz, dials(), (size_t)1));
    stage_forget(&stage);
    listed(1, x.id, &good);
    cr_assert(eq(sz, dials(), (size_t)1), "it does not wait for the others");
    cr_assert(address_equal(&last_dial()->address, &good));
    for (int turn = 0; turn < 4; turn++) {
        struct event e = {.kind = EVENT_DIAL_FAILED, .code = CLOSE_TIMEOUT, .address = good};
        memcpy(e.id, x.id, sizeof e.id);
        stage_give(&stage, e);
        stage_forget(&stage);
        pass(11000);
        cr_assert(eq(sz, dials(), (size_t)1), "the other dial is still under way");
        cr_assert(address_equal(&last_dial()->address, &good));
    }
}

Test(contact, a_list_that_is_full_takes_new_entries_for_those_that_failed)
{
    static struct peer_address all[NODE_LATER_MAX + 2];
    static bool met[NODE_LATER_MAX + 2];
    list(all, NODE_LATER_MAX + 2);
    stage.config.bootstrap_count = 0;
    stage.config.lists = 1;
    stage_start(&stage);
    for (size_t k = 0; k < NODE_LATER_MAX; k++) listed(1, all[k].id, &all[k].address);
    listed(1, all[NODE_LATER_MAX].id, &all[NODE_LATER_MAX].address);
    for (int turn = 0; turn < 40; turn++) {
        pass(500);
        for (size_t i = 0; i < stage.actions_count; i++)
            if (stage.actions[i].kind == ACTION_DIAL) met[entry_of(stage.actions[i].id)] = true;
        stage_forget(&stage);
        for (size_t k = 0; k < NODE_LATER_MAX; k++) fail_dial(all[k].id);
        if (turn == 20) listed(1, all[NODE_LATER_MAX + 1].id, &all[NODE_LATER_MAX + 1].address);
    }
    for (size_t k = 0; k < NODE_LATER_MAX; k++) cr_assert(met[k], "entry %zu", k);
    cr_assert_not(met[NODE_LATER_MAX], "there was no room yet");
    cr_assert(met[NODE_LATER_MAX + 1]);
}

/* ---- entries ---- */

Test(contact, an_entry_without_an_address_waits_for_it)
{
    static struct peer_address all[1];
    list(all, 1);
    all[0].address = (struct address){0};
    stage_start(&stage);
    pass(20000);
    cr_assert(eq(sz, dials(), (size_t)0));
    struct event e = {.kind = EVENT_ADDRESS, .address = {4, {10, 9, 9, 9}, 77}};
    memcpy(e.id, all[0].id, sizeof e.id);
    stage_give(&stage, e);
    cr_assert(eq(sz, dials(), (size_t)1));
    cr_assert(eq(int, last_dial()->address.port, 77));
}

Test(contact, an_address_of_whom_the_list_does_not_name_is_not_dialled)
{
    stage_start(&stage);
    struct event e = {.kind = EVENT_ADDRESS, .address = {4, {10, 9, 9, 9}, 77}};
    memcpy(e.id, x.id, sizeof e.id);
    stage_give(&stage, e);
    pass(20000);
    cr_assert(eq(sz, dials(), (size_t)0));
}

Test(contact, with_a_link_the_rest_of_the_list_is_tried_one_in_half_a_minute)
{
    static struct peer_address all[40];
    list(all, 40);
    for (size_t k = 0; k < 40; k++) all[k].address.family = 0;
    stage_start(&stage);
    stranger_joins(&x, &stage);
    for (size_t k = 0; k < 40; k++) {
        struct event e = {.kind = EVENT_ADDRESS, .address = {4, {10, 1, 0, (uint8_t)k}, 4433}};
        memcpy(e.id, all[k].id, sizeof e.id);
        stage_give(&stage, e);
    }
    stage_forget(&stage);
    size_t count = 0;
    for (int s = 0; s < 120; s++) {
        pass(1000);
        stranger_answers(&x, &stage);
        count += dials();
        stage_forget(&stage);
    }
    cr_assert(ge(sz, count, (size_t)2));
    cr_assert(le(sz, count, (size_t)6));
}

Test(contact, the_list_is_dialled_again_when_the_last_link_is_lost)
{
    static struct peer_address all[3];
    list(all, 3);
    stage_start(&stage);
    stranger_joins(&x, &stage);
    pass(10);
    for (size_t k = 0; k < 3; k++) fail_dial(all[k].id);
    for (int s = 0; s < 20; s++) {
        pass(1000);
        stranger_answers(&x, &stage);
        for (size_t k = 0; k < 3; k++) fail_dial(all[k].id);
        stage_forget(&stage);
    }
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = x.link, .code = 0x1000});
    pass(1000);
    bool dialled[3] = {false};
    for (size_t i = 0; i < stage.actions_count; i++)
        for (size_t k = 0; k < 3; k++)
            if (stage.actions[i].kind == ACTION_DIAL &&
                !memcmp(stage.actions[i].id, all[k].id, CRYPTO_KEY_BYTES))
                dialled[k] = true;
    cr_assert(dialled[0] && dialled[1] && dialled[2]);
}
