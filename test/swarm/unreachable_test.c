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

TestSuite(unreachable, .init = set_up, .fini = tear_down);

static void pass(unsigned ms) { stage_pass(&stage, span_ms(ms)); }

static void fail_dial(const struct stranger *of, uint32_t code)
{
    stage_fail_dial(&stage, of->id, code);
}

/* x is linked and gossips y's record, with this port; 0: without an address. */
static void hear_of_y(uint16_t port)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_says(&x, &stage, 0, bytes_of(bytes, stranger_peer_at(&y, &stage, port, bytes)));
    pass(100);
}

/* Number of REACH records sent to x since stage_forget, the latest one in `out`. */
static int told(struct record_reach *out)
{
    int count = 0;
    for (size_t i = 0; i < stage.actions_count; i++) {
        const struct action *a = &stage.actions[i];
        uint32_t age;
        struct bytes bytes;
        struct record r;
        if (a->kind != ACTION_DATAGRAM || a->link != x.link) continue;
        bool gossip = a->bytes.data[0] == WIRE_GOSSIP;
        size_t head = gossip ? 1 : 13;
        struct reader in = reader_init(bytes_of(a->bytes.data + head, a->bytes.count - head));
        while (record_unpack(&in, &age, &bytes)) {
            cr_assert(record_read(bytes, &r));
            if (r.kind != RECORD_REACH) continue;
            cr_assert(record_verify(&stage.crypto, stage.config.run_id, bytes, stage.config.id));
            *out = r.reach;
            count++;
        }
    }
    stage_forget(&stage);
    return count;
}

static void says(struct stranger *of, struct version version, uint8_t count,
                 const struct peer_unreached *list)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    struct record r = {.kind = RECORD_REACH, .reach = {wire_sid(of->id), version, count, {{0}}}};
    for (uint8_t i = 0; i < count; i++) r.reach.list[i] = list[i];
    stranger_says(&x, &stage, 0, bytes_of(bytes, stranger_sign(of, &stage, r, bytes)));
}

/* ---- my own REACH record ---- */

Test(unreachable, a_member_that_cannot_be_dialled_is_named_after_five_seconds)
{
    struct record_reach r;
    hear_of_y(4433);
    fail_dial(&y, CLOSE_TIMEOUT);
    pass(4500);
    cr_assert(eq(int, told(&r), 0), "it may be a passing thing");
    pass(1500);
    cr_assert(eq(int, told(&r), 1));
    cr_assert(eq(u64, r.sid, wire_sid(stage.config.id)));
    cr_assert(eq(int, r.count, 1));
    cr_assert(eq(u64, r.list[0].sid, wire_sid(y.id)));
    cr_assert(eq(int, (int)r.list[0].reason, (int)REACH_SILENT));
    fail_dial(&y, CLOSE_TIMEOUT);
    pass(6000);
    cr_assert(eq(int, told(&r), 0), "nothing has changed");
    fail_dial(&y, CLOSE_WRONG_KEY);
    pass(7000);
    cr_assert(eq(int, told(&r), 1));
    cr_assert(eq(int, (int)r.list[0].reason, (int)REACH_KEY));
}

Test(unreachable, whoever_is_linked_at_last_is_named_no_more)
{
    struct record_reach r;
    hear_of_y(4433);
    fail_dial(&y, CLOSE_TIMEOUT);
    pass(7000);
    cr_assert(eq(int, told(&r), 1));
    stranger_joins(&y, &stage);
    pass(7000);
    cr_assert(eq(int, told(&r), 1));
    cr_assert(eq(int, r.count, 0));
}

Test(unreachable, what_has_passed_after_five_seconds_is_not_told)
{
    struct record_reach r;
    hear_of_y(4433);
    fail_dial(&y, CLOSE_TIMEOUT);
    pass(3000);
    stranger_joins(&y, &stage);
    pass(10000);
    cr_assert(eq(int, told(&r), 0));
}

Test(unreachable, a_member_without_an_address_is_named)
{
    struct record_reach r;
    hear_of_y(0);
    pass(7000);
    cr_assert(eq(int, told(&r), 1));
    cr_assert(eq(int, (int)r.list[0].reason, (int)REACH_NOWHERE));
}

Test(unreachable, a_member_that_has_only_just_lost_its_link_is_not)
{
    struct record_reach r;
    hear_of_y(4433);
    fail_dial(&y, CLOSE_TIMEOUT);
    stranger_joins(&y, &stage);
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = y.link, .code = CLOSE_IDLE});
    pass(7000);
    cr_assert(eq(int, told(&r), 0));
}

/* ---- REACH records of others ---- */

Test(unreachable, everybodys_word_is_shown_while_they_live_the_same_life)
{
    const struct peer_unreached list[] = {{wire_sid(y.id), REACH_FAMILY}};
    struct version former = {x.version.incarnation - 1, 900};
    stage_start(&stage);
    stranger_joins(&x, &stage);
    says(&x, former, 1, list);
    cr_assert(eq(u32, stage_view(&stage, &x)->unreached_count, 0u), "of a former life");
    says(&x, stranger_next(&x), 1, list);
    const struct node_peer *p = stage_view(&stage, &x);
    cr_assert(eq(u32, p->unreached_count, 1u));
    cr_assert(eq(u64, p->unreached[0].sid, wire_sid(y.id)));
    cr_assert(eq(int, (int)p->unreached[0].reason, (int)REACH_FAMILY));
    says(&x, stranger_next(&x), 0, NULL);
    cr_assert(eq(u32, stage_view(&stage, &x)->unreached_count, 0u));
}

Test(unreachable, nobody_speaks_for_another)
{
    const struct peer_unreached list[] = {{77, REACH_SILENT}};
    uint8_t bytes[RECORD_BYTES_MAX];
    struct record r = {.kind = RECORD_REACH,
                       .reach = {wire_sid(x.id), {x.version.incarnation, 900}, 1, {list[0]}}};
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    stranger_says(&y, &stage, 0, bytes_of(bytes, stranger_sign(&y, &stage, r, bytes)));
    cr_assert(eq(u32, stage_view(&stage, &x)->unreached_count, 0u));
    cr_assert_not_null(stage_find(&stage, ACTION_HANG_UP, -1), "y has forged x's word");
}
