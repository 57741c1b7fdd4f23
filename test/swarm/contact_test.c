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

Test(contact, a_long_list_is_dialled_sixteen_at_a_time_to_its_end)
{
    static struct peer_address all[100];
    static bool met[100];
    uint32_t open[100], open_count = 0, distinct = 0;
    list(all, 100);
    stage_start(&stage);
    for (int turn = 0; turn < 300 && distinct < 100; turn++) {
        if (turn % 16 == 0) pass(100);
        for (size_t i = 0; i < stage.actions_count; i++) {
            const struct action *a = &stage.actions[i];
            if (a->kind != ACTION_DIAL) continue;
            uint32_t k = a->address.ip[3];
            open[open_count++] = k;
            distinct += !met[k];
            met[k] = true;
        }
        cr_assert(le(u32, open_count, 16u));
        stage_forget(&stage);
        if (open_count) fail_dial(all[open[--open_count]].id);
    }
    cr_assert(eq(u32, distinct, 100u));
}

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
