#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "test/swarm/stage.h"

/* x has the smaller ID: of two links between us the one that it dialled stays. */
static struct stage stage;
static struct stranger x;

#define ITS  51
#define OURS 52

static void greets(link_id link, bool dialled)
{
    uint8_t hello[512];
    struct event e = {.kind = EVENT_LINK_UP, .link = link, .dialled = dialled};
    x.link = link;
    memcpy(e.id, x.id, CRYPTO_KEY_BYTES);
    stage_give(&stage, e);
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
}

static void set_up(void)
{
    stage_init(&stage);
    stranger_init(&x, &stage, 1);
    x.life = 500;
    stage_start(&stage);
}

static void tear_down(void) { stage_fini(&stage); }

TestSuite(doubles, .init = set_up, .fini = tear_down);

static void pass(unsigned ms) { stage_pass(&stage, span_ms(ms)); }

/* The link that was ended by this kind of action, if exactly one was. */
static link_id only(enum action_kind kind)
{
    const struct action *a = stage_find(&stage, kind, -1);
    return stage_count(&stage, kind, -1) == 1 ? a->link : LINK_NONE;
}

static link_id pinged(void)
{
    const struct action *ping = stage_find(&stage, ACTION_DATAGRAM, WIRE_PING);
    return ping ? ping->link : LINK_NONE;
}

Test(doubles, the_link_that_the_smaller_id_dialled_stays)
{
    greets(OURS, true);
    greets(ITS, false);
    cr_assert(eq(u32, only(ACTION_RETIRE), OURS));
    pass(6000);
    cr_assert(eq(u32, only(ACTION_RETIRE), OURS), "once");
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
}

Test(doubles, of_two_in_one_direction_the_newer_stays)
{
    greets(51, false);
    greets(53, false);
    cr_assert(eq(u32, only(ACTION_RETIRE), 51));
}

Test(doubles, a_third_link_does_not_retire_the_second_again)
{
    greets(OURS, true);
    greets(ITS, false);
    stage_forget(&stage);
    greets(53, false);
    cr_assert(eq(u32, only(ACTION_RETIRE), ITS));
}

Test(doubles, an_older_link_stays_once_it_has_shown_a_sign_of_life)
{
    greets(ITS, false);
    pass(100);
    stage_forget(&stage);
    greets(OURS, true);
    pass(500);
    cr_assert_null(stage_find(&stage, ACTION_RETIRE, -1));
    cr_assert(eq(u32, pinged(), ITS));
    x.link = ITS;
    stranger_answers(&x, &stage);
    cr_assert(eq(u32, only(ACTION_RETIRE), OURS));
}

Test(doubles, an_older_link_without_a_sign_of_life_ends_and_the_other_serves)
{
    greets(ITS, false);
    pass(100);
    greets(OURS, true);
    pass(4900);
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
    pass(200);
    cr_assert(eq(u32, only(ACTION_HANG_UP), ITS));
    cr_assert(eq(u32, stage_find(&stage, ACTION_HANG_UP, -1)->code, CLOSE_DUPLICATE));
    cr_assert_null(stage_find(&stage, ACTION_RETIRE, -1));
    stage_forget(&stage);
    pass(3000);
    cr_assert(eq(u32, pinged(), OURS));
}

/* Both sides must choose the same link, even if the peer raised its incarnation between its two
 * HELLOs. */
Test(doubles, a_grown_incarnation_of_one_process_changes_nothing)
{
    greets(ITS, false);
    x.version.incarnation += 7;
    greets(OURS, true);
    pass(100);
    x.link = ITS;
    stranger_answers(&x, &stage);
    cr_assert(eq(u32, only(ACTION_RETIRE), OURS));
}

Test(doubles, a_process_that_stood_still_accuses_no_link)
{
    greets(ITS, false);
    pass(100);
    greets(OURS, true);
    pass(500);
    stage.now = instant_after(stage.now, span_s(20));
    stage_give(&stage, (struct event){.kind = EVENT_TICK});
    x.link = ITS;
    stranger_answers(&x, &stage);
    pass(100);
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
    cr_assert(eq(u32, only(ACTION_RETIRE), OURS));
}
