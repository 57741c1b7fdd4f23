#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "test/swarm/stage.h"

/* x joins; `copy` has the same key, but another process and link. */
static struct stage stage;
static struct stranger x, copy;

static void greets(struct stranger *s)
{
    uint8_t hello[512];
    stranger_link(s, &stage);
    size_t n = stranger_hello(s, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stranger_frame(s, &stage, WIRE_HELLO, bytes_of(hello, n));
}

static void set_up(void)
{
    stage_init(&stage);
    stranger_init(&x, &stage, 1);
    x.life = 500;
    copy = x;
    copy.link = 77;
    copy.port = 5544; /* behind the same address */
    copy.life = 600;
    copy.version = (struct version){600, 0};
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stage_forget(&stage);
    greets(&copy);
}

static void tear_down(void) { stage_fini(&stage); }

TestSuite(twin, .init = set_up, .fini = tear_down);

static void pass(unsigned ms) { stage_pass(&stage, span_ms(ms)); }

/* The latest hang-up of this link, or NULL. */
static const struct action *hung_up(link_id link)
{
    for (size_t i = stage.actions_count; i-- > 0;)
        if (stage.actions[i].kind == ACTION_HANG_UP && stage.actions[i].link == link)
            return &stage.actions[i];
    return NULL;
}

static link_id link_used(void)
{
    stage_forget(&stage);
    pass(3000); /* one member is probed each second */
    const struct action *ping = stage_find(&stage, ACTION_DATAGRAM, WIRE_PING);
    return ping ? ping->link : LINK_NONE;
}

Test(twin, a_copy_is_refused_with_the_first_ones_address_while_that_one_answers)
{
    stranger_answers(&x, &stage);
    const struct action *a = hung_up(copy.link);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_SELF));
    cr_assert_not_null(stage_note(&stage, "copy"));
    cr_assert_null(hung_up(x.link));
    cr_assert(eq(u32, link_used(), x.link));
}

Test(twin, nothing_that_the_copy_says_is_taken_before_it_is_clear_who_it_is)
{
    copy.progress.epoch = 7;
    stranger_progress(&copy, &stage);
    cr_assert(eq(u64, stage_view(&stage, &x)->epoch, (uint64_t)0));
    cr_assert_null(hung_up(copy.link));
    cr_assert(eq(u32, link_used(), x.link));
}

Test(twin, a_restarted_process_is_the_peer_as_soon_as_the_old_link_has_ended)
{
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = x.link, .code = 0x1002});
    cr_assert_null(hung_up(copy.link));
    cr_assert(stage_view(&stage, &x)->linked);
    cr_assert(eq(u32, link_used(), copy.link));
}

Test(twin, a_process_that_is_silent_for_five_seconds_gives_way)
{
    pass(4000);
    cr_assert_null(hung_up(x.link));
    pass(1500);
    cr_assert_not_null(hung_up(x.link));
    cr_assert_null(hung_up(copy.link));
    cr_assert(eq(u32, link_used(), copy.link));
}

/* No two processes have a socket of one address and port. */
Test(twin, a_process_at_the_address_of_the_first_is_a_restart)
{
    stage_fini(&stage);
    stage_init(&stage);
    stage_start(&stage);
    stranger_joins(&x, &stage);
    struct stranger back = x;
    back.link = 99;
    back.life = 700;
    back.version = (struct version){700, 0};
    greets(&back);
    cr_assert(eq(u32, hung_up(x.link)->code, (uint32_t)CLOSE_DEAD));
    cr_assert_null(hung_up(back.link));
    cr_assert(eq(u32, link_used(), back.link));
}

Test(twin, an_answer_to_another_ping_proves_nothing)
{
    pass(1000);
    uint8_t pong[13] = {WIRE_PONG, 1, 2, 3, 4};
    stage_give(&stage,
               (struct event){.kind = EVENT_DATAGRAM, .link = x.link, .bytes = bytes_of(pong, 13)});
    cr_assert_null(hung_up(copy.link));
}

Test(twin, a_second_link_of_the_same_process_is_no_copy)
{
    struct stranger again = x;
    again.link = 88;
    stranger_answers(&x, &stage);
    greets(&again);
    const struct action *a = stage_find(&stage, ACTION_RETIRE, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->link, x.link));
}

Test(twin, the_copy_ends_with_the_peers_words)
{
    stage_fini(&stage);
    stage_init(&stage);
    stage_start(&stage);
    stranger_joins(&x, &stage);
    const char *said =
        "another worker with this key is in the swarm, seen at 192.0.2.7:4433\x1b[2J";
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN,
                                      .link = x.link,
                                      .code = CLOSE_SELF,
                                      .said = bytes_of(said, strlen(said))});
    const struct order *a = stage_order(&stage, ORDER_FINISH);
    cr_assert_not_null(a);
    cr_assert(a->refused);
}
