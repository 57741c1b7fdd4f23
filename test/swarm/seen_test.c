#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "test/swarm/stage.h"

static struct stage stage;
static struct stranger x, y, z;

static const struct address home = {4, {198, 51, 100, 7}, 4433},
                            moved = {4, {198, 51, 100, 8}, 4433};
static const struct address lie = {4, {203, 0, 113, 1}, 1}, inside = {4, {192, 168, 1, 5}, 4433};

static void set_up(void)
{
    stage_init(&stage);
    stranger_init(&x, &stage, 1);
    stranger_init(&y, &stage, 2);
    stranger_init(&z, &stage, 3);
    x.sees = y.sees = z.sees = home;
}

static void tear_down(void) { stage_fini(&stage); }

TestSuite(seen, .init = set_up, .fini = tear_down);

/* The first address that the node advertises. */
static struct address advertised(void)
{
    struct node_peer self;
    node_peers(stage.node, &self, 1);
    return self.address;
}

static bool advertises(struct address a)
{
    struct address mine = advertised();
    return address_equal(&mine, &a);
}

static void sees(struct stranger *s, struct address a)
{
    uint8_t room[19];
    struct writer w = writer_init(room, sizeof room);
    wire_write_address(&w, &a);
    stranger_frame(s, &stage, WIRE_SEEN, writer_bytes(&w));
}

Test(seen, one_peer_is_believed_while_it_is_the_only_one)
{
    stage_start(&stage);
    cr_assert(eq(int, advertised().family, 0));
    stranger_joins(&x, &stage);
    cr_assert(advertises(home));
}

Test(seen, of_two_or_more_no_single_one_is_believed)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    z.sees = lie;
    stranger_joins(&z, &stage);
    cr_assert(advertises(home));
    stranger_joins(&y, &stage);
    cr_assert(advertises(home));
}

Test(seen, a_moved_path_is_advertised_once_two_have_said_so)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    stranger_joins(&z, &stage);
    sees(&x, moved);
    cr_assert(advertises(home));
    sees(&y, moved);
    cr_assert(advertises(moved));
    sees(&z, moved); /* nobody reports the old one any more */
    struct node_peer self;
    node_peers(stage.node, &self, 1);
    cr_assert(advertises(moved));
}

Test(seen, the_only_peer_that_sees_it_elsewhere_is_followed)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    sees(&x, moved);
    cr_assert(advertises(moved));
}

Test(seen, a_private_address_is_taken_from_private_peers_alone)
{
    stage_start(&stage);
    x.sees = inside;
    struct event e = {
        .kind = EVENT_LINK_UP, .link = x.link, .address = {4, {203, 0, 113, 9}, 4433}};
    memcpy(e.id, x.id, CRYPTO_KEY_BYTES);
    stage_give(&stage, e);
    uint8_t hello[512];
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
    cr_assert(eq(int, advertised().family, 0));
    y.sees = z.sees = inside;
    stranger_joins(&y, &stage);
    cr_assert(advertises(inside));
}

Test(seen, a_configured_address_stays)
{
    stage.config.advertise = moved;
    stage_start(&stage);
    stranger_joins(&x, &stage);
    cr_assert(advertises(moved));
}

Test(seen, a_peer_that_moved_is_told_where_it_is_seen)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stage_give(&stage, (struct event){.kind = EVENT_LINK_MOVED, .link = x.link, .address = moved});
    const struct action *a = stage_find(&stage, ACTION_FRAME, -1);
    cr_assert_not_null(a);
    cr_assert(eq(int, a->type, WIRE_SEEN));
    struct reader r = reader_init(a->bytes);
    struct address said;
    cr_assert(wire_read_address(&r, &said) && address_equal(&said, &moved));
}

static void named(struct address a)
{
    struct event e = {.kind = EVENT_ADDRESS, .address = a};
    memcpy(e.id, stage.config.id, sizeof e.id);
    stage_give(&stage, e);
}

Test(seen, what_its_own_name_stands_for_goes_before_what_others_see)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    cr_assert(advertises(home), "until the name is found");
    named(moved);
    cr_assert(advertises(moved));
    sees(&x, lie);
    cr_assert(advertises(moved), "and for good");
    named(inside);
    cr_assert(advertises(inside), "the name has moved");
}

Test(seen, what_its_own_name_stands_for_is_told_when_it_is_news)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    named(moved);
    stage_pass(&stage, span_ms(100));
    stage_forget(&stage);
    named(moved);
    stage_pass(&stage, span_ms(100));
    cr_assert(eq(sz, stage_count(&stage, ACTION_DATAGRAM, WIRE_GOSSIP), (size_t)0));
    named(home);
    stage_pass(&stage, span_ms(100));
    cr_assert(gt(sz, stage_count(&stage, ACTION_DATAGRAM, WIRE_GOSSIP), (size_t)0));
}
