#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>

#include "swarm/lineage.h"
#include "swarm/match.h"
#include "swarm/sync.h"
#include "swarm/node_parts.h"
#include "test/swarm/stage.h"

static struct stage stage;
static struct stranger x, y, z;

static void set_up(void)
{
    stage_init(&stage);
    stranger_init(&x, &stage, 1);
    stranger_init(&y, &stage, 2);
    stranger_init(&z, &stage, 3);
}

static void tear_down(void) { stage_fini(&stage); }

TestSuite(node, .init = set_up, .fini = tear_down);

static uint8_t record[RECORD_BYTES_MAX];

static void pass(unsigned ms) { stage_pass(&stage, span_ms(ms)); }

/* The node's trainer does another inner step. */
static void inner_step(uint64_t steps)
{
    struct event e = {.kind = EVENT_STEP,
                      .round = {.steps = steps, .tokens = 100 * steps, .tokens_per_s = 100}};
    stage_give(&stage, e);
}

/* The latest order to its trainer. */
static bool trains(void)
{
    bool on = false;
    for (size_t i = 0; i < stage.actions_count; i++)
        if (stage.actions[i].kind == ACTION_ORDER) {
            enum order_kind kind = stage.actions[i].order.kind;
            if (kind == ORDER_TRAIN || kind == ORDER_HOLD) on = kind == ORDER_TRAIN;
        }
    return on;
}

/* ---- floods ---- */

static size_t notreadies(size_t most)
{
    static const uint8_t body[15] = {9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1};
    size_t sent = 0;
    for (; sent < most && !stage_find(&stage, ACTION_HANG_UP, -1); sent++)
        stranger_frame(&x, &stage, WIRE_NOTREADY, bytes_of(body, sizeof body));
    return sent;
}

Test(node, who_sends_more_than_anybody_needs_is_cut_off)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    size_t sent = notreadies(1000000);
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_PROTOCOL));
    cr_assert_not_null(strstr(a->text, "more messages than anybody needs"), "%s", a->text);
    cr_assert_geq(sent, 20000, "%zu", sent);
    stage_forget(&stage);
    stranger_joins(&x, &stage); /* and once more, until there is room */
    cr_assert_lt(notreadies(1000), 1000);
}

Test(node, many_messages_each_second_are_no_flood)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    for (int s = 0; s < 100; s++) {
        cr_assert_eq(notreadies(1000), 1000, "in second %d", s);
        stage_forget(&stage);
        pass(1000);
        stranger_answers(&x, &stage);
    }
}

/* ---- HELLO ---- */

static const struct action *hello_of_another(uint16_t major, uint8_t run)
{
    uint8_t hello[512], id[CRYPTO_DIGEST_BYTES];
    memset(id, run, sizeof id);
    stage_start(&stage);
    stranger_link(&x, &stage);
    size_t n = stranger_hello(&x, &stage, major, id, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
    return stage_find(&stage, ACTION_HANG_UP, -1);
}

static size_t both(struct bytes here, struct bytes there, char story[NODE_STORY_BYTES])
{
    snprintf(story, NODE_STORY_BYTES, "%.*s here, %.*s there", (int)here.count,
             (const char *)here.data, (int)there.count, (const char *)there.data);
    return 1;
}

Test(node, a_list_that_is_to_come_is_waited_for_but_not_for_long)
{
    stage.config.lists = 2;
    stage_start(&stage);
    stage_pass(&stage, span_ms(200));
    stage_give(&stage, (struct event){.kind = EVENT_LIST_READ, .code = 1});
    cr_assert_null(stage_order(&stage, ORDER_TRAIN));
    stage_give(&stage, (struct event){.kind = EVENT_LIST_READ, .code = 2});
    cr_assert_not_null(stage_order(&stage, ORDER_TRAIN), "nobody is in them");
    tear_down();
    set_up();
    stage.config.lists = 1;
    stage_start(&stage);
    stage_pass(&stage, span_ms(2900));
    cr_assert_null(stage_order(&stage, ORDER_TRAIN));
    stage_pass(&stage, span_ms(200));
    cr_assert_not_null(stage_order(&stage, ORDER_TRAIN));
}

Test(node, what_makes_a_run_another_one_is_noted)
{
    stage.config.shared = bytes_of("lr: 2", 5);
    stage.config.differ = both;
    x.life = 500;
    strcpy(x.shared, "lr: 3");
    (void)hello_of_another(WIRE_MAJOR, 8);
    const struct note *a = stage_note(&stage, "other_run");
    cr_assert_not_null(a);
    cr_assert_not_null(stage_find(&stage, ACTION_HANG_UP, -1));
}

Test(node, a_hello_says_what_members_share)
{
    stage.config.shared = bytes_of("lr: 2", 5);
    stage_start(&stage);
    stranger_link(&x, &stage);
    const struct action *a = stage_find(&stage, ACTION_FRAME, WIRE_HELLO);
    cr_assert_not_null(a);
    cr_assert(memcmp(a->bytes.data + a->bytes.count - 5, "lr: 2", 5) == 0);
}

Test(node, a_peer_of_another_run_is_hung_up_on_with_the_reason)
{
    const struct action *a = hello_of_another(WIRE_MAJOR, 8);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_RUN));
    cr_assert(eq(u32, a->link, x.link));
    cr_assert_not_null(strstr(a->text, "another experiment"));
}

Test(node, a_peer_of_another_major_is_hung_up_on_with_the_reason)
{
    const struct action *a = hello_of_another(WIRE_MAJOR + 1, 7);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_VERSION));
    cr_assert_not_null(strstr(a->text, "version"), "%s", a->text);
}

/* HELLO as the last program of protocol 1.1 sent it, of the same run. */
static const char hello_1[] = "0100010007070707070707070707070707070707040a00000100000000000000"
                              "0000000000511100007700810001000100808182838485868788898a8b8c8d8e"
                              "8f909192939495969798999a9b9c9d9e9fe80300000000000001000000000000"
                              "0000f84ba37c57d91ceb0e93eb59af0ecc2a5eacc9a59930822b4caef59e869f"
                              "5a693e2db82d118b099809011642405eac3f747ecd51a3f51e930ab487cb1ec4"
                              "ae33e80300000000000005006c723a2032";

Test(node, one_of_protocol_1_is_told_which_versions_do_not_mix)
{
    uint8_t hello[sizeof hello_1 / 2];
    for (size_t i = 0; i < sizeof hello; i++)
        cr_assert(eq(int, sscanf(hello_1 + 2 * i, "%2hhx", &hello[i]), 1));
    stage_start(&stage);
    stranger_link(&x, &stage);
    const struct action *mine = stage_find(&stage, ACTION_FRAME, WIRE_HELLO);
    cr_assert_not_null(mine);
    cr_assert(eq(int, memcmp(mine->bytes.data, "\4\0", 2), 0), "what protocol 1 reads of it");
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, sizeof hello));
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_VERSION));
    cr_assert_not_null(strstr(a->text, "versions 4 and 1 of the protocol"), "%s", a->text);
    cr_assert_null(stage_note(&stage, "up"));
}

Test(node, a_peer_of_the_same_run_is_a_member)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
    const struct node_peer *p = stage_view(&stage, &x);
    cr_assert_not_null(p);
    cr_assert(eq(int, p->health, HEALTH_ALIVE));
    cr_assert(eq(int, p->phase, PHASE_TRAIN));
    cr_assert(p->linked);
    cr_assert_not_null(stage_note(&stage, "up"));
}

Test(node, whoever_speaks_before_hello_is_hung_up_on)
{
    stage_start(&stage);
    stranger_link(&x, &stage);
    stranger_progress(&x, &stage);
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_PROTOCOL));
}

Test(node, a_hello_with_anothers_record_is_hung_up_on)
{
    uint8_t hello[512];
    stage_start(&stage);
    stranger_link(&x, &stage);
    size_t n = stranger_hello(&y, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_PROTOCOL));
    cr_assert_null(stage_view(&stage, &y));
}

Test(node, messages_of_a_later_minor_are_passed_over)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_frame(&x, &stage, 0x7f, bytes_of("what is this", 12));
    uint8_t later[100] = {0x99, 1, 2};
    stranger_says(&x, &stage, 0, bytes_of(later, sizeof later));
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
    stranger_progress(&x, &stage);
    cr_assert(stage_view(&stage, &x)->linked);
}

Test(node, a_request_of_a_later_minor_has_an_empty_reply)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stage_give(&stage, (struct event){.kind = EVENT_REQUEST,
                                      .link = x.link,
                                      .ticket = 5,
                                      .bytes = bytes_of("\x7e"
                                                        "abc",
                                                        4)});
    const struct action *a = stage_find(&stage, ACTION_REPLY, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u64, a->ticket, 5u));
    cr_assert(eq(sz, a->bytes.count, (size_t)0));
}

Test(node, the_twenty_first_member_is_refused)
{
    static struct stranger many[NODE_GROUP_MAX];
    stage_start(&stage);
    for (uint8_t i = 0; i < NODE_GROUP_MAX; i++) {
        stranger_init(&many[i], &stage, (uint8_t)(i + 1));
        cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
        stranger_joins(&many[i], &stage);
    }
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_BUSY));
    cr_assert(eq(u32, a->link, many[NODE_GROUP_MAX - 1].link));
    cr_assert_null(stage_view(&stage, &many[NODE_GROUP_MAX - 1]));
}

Test(node, what_a_peer_sees_becomes_its_address)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    struct node_peer self;
    node_peers(stage.node, &self, 1);
    cr_assert(eq(int, self.address.family, 4));
    cr_assert(eq(int, self.address.ip[3], 200));
    cr_assert(eq(int, self.address.port, 999));
}

Test(node, a_second_hello_on_a_link_is_hung_up_on)
{
    uint8_t hello[512];
    stage_start(&stage);
    stranger_joins(&x, &stage);
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(hello, n));
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_PROTOCOL));
}

Test(node, of_two_links_the_one_that_the_smaller_id_dialled_is_used)
{
    uint8_t hello[512];
    stage_start(&stage); /* its ID begins with 0x80, x's with 1: the link that x dialled stays */
    stranger_joins(&x, &stage);
    struct event e = {.kind = EVENT_LINK_UP, .link = 50, .address = {4, {10}, 1}, .dialled = true};
    memcpy(e.id, x.id, sizeof e.id);
    stage_give(&stage, e);
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stage_give(&stage, (struct event){.kind = EVENT_FRAME,
                                      .link = 50,
                                      .type = WIRE_HELLO,
                                      .bytes = bytes_of(hello, n)});
    stage_forget(&stage);
    pass(6000);
    for (size_t i = 0; i < stage.actions_count; i++)
        if (stage.actions[i].kind == ACTION_DATAGRAM)
            cr_assert(eq(u32, stage.actions[i].link, x.link));
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = x.link});
    cr_assert(stage_view(&stage, &x)->linked, "the other one is still there");
    stage_forget(&stage);
    pass(6000);
    cr_assert_not_null(stage_find(&stage, ACTION_DATAGRAM, -1));
    cr_assert(eq(u32, stage_find(&stage, ACTION_DATAGRAM, -1)->link, 50u));
}

Test(node, a_restarted_peer_is_spoken_to_on_its_new_link)
{
    uint8_t hello[512];
    stage_start(&stage);
    stranger_joins(&x, &stage); /* the link that x dialled, which would stay */
    x.version = (struct version){501, 0};
    struct event e = {.kind = EVENT_LINK_UP, .link = 50, .address = {4, {10}, 1}, .dialled = true};
    memcpy(e.id, x.id, sizeof e.id);
    stage_give(&stage, e);
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, hello, sizeof hello);
    stage_give(&stage, (struct event){.kind = EVENT_FRAME,
                                      .link = 50,
                                      .type = WIRE_HELLO,
                                      .bytes = bytes_of(hello, n)});
    stage_forget(&stage);
    pass(3000);
    cr_assert_not_null(stage_find(&stage, ACTION_DATAGRAM, -1));
    cr_assert(eq(u32, stage_find(&stage, ACTION_DATAGRAM, -1)->link, 50u));
}

Test(node, a_link_without_hello_is_hung_up_on_after_a_while)
{
    stage_start(&stage);
    stranger_link(&x, &stage);
    pass(9900);
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
    pass(200);
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->link, x.link));
}

/* ---- records ---- */

Test(node, an_older_record_does_not_replace_a_newer_one)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    x.progress.steps = 50;
    stranger_progress(&x, &stage);
    const struct version older = {x.version.incarnation, x.version.seq - 1};
    struct record r = stranger_record(&x, older);
    r.progress.steps = 49;
    stranger_says(&x, &stage, 0, bytes_of(record, stranger_sign(&x, &stage, r, record)));
    cr_assert(eq(u64, stage_view(&stage, &x)->steps, 50u));
}

Test(node, a_forged_record_ends_the_link_and_changes_nothing)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    struct record r = stranger_record(&y, (struct version){9999, 1});
    r.progress.steps = 66;
    size_t n = stranger_sign(&x, &stage, r, record); /* signed by x, in y's name */
    stranger_says(&x, &stage, 0, bytes_of(record, n));
    cr_assert(eq(u64, stage_view(&stage, &y)->steps, 0u));
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->link, x.link));
}

Test(node, so_does_one_in_a_datagram)
{
    uint8_t room[512];
    struct writer w = writer_init(room, sizeof room);
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    struct record r = stranger_record(&y, (struct version){9999, 1});
    size_t n = stranger_sign(&x, &stage, r, record);
    writer_u8(&w, WIRE_GOSSIP);
    cr_assert(record_pack(&w, 0, bytes_of(record, n)));
    stage_give(&stage,
               (struct event){.kind = EVENT_DATAGRAM, .link = x.link, .bytes = writer_bytes(&w)});
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->link, x.link));
}

Test(node, a_record_of_another_run_ends_the_link)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    struct record r = stranger_record(&x, (struct version){9999, 1});
    uint8_t other[CRYPTO_DIGEST_BYTES] = {1};
    size_t n = record_write(&x.crypto, other, &r, record);
    stranger_says(&x, &stage, 0, bytes_of(record, n));
    cr_assert_not_null(stage_find(&stage, ACTION_HANG_UP, -1));
}

Test(node, a_second_key_with_the_same_short_name_is_refused)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    memcpy(y.id, x.id, 8); /* its sid */
    memcpy(y.standin.key, y.id, sizeof y.id);
    stranger_joins(&y, &stage);
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->link, y.link));
    cr_assert(stage_view(&stage, &x)->linked);
}

Test(node, news_of_a_third_reach_it_through_another)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    size_t n = stranger_peer(&z, &stage, record);
    stranger_says(&x, &stage, 50, bytes_of(record, n));
    const struct node_peer *p = stage_view(&stage, &z);
    cr_assert_not_null(p);
    cr_assert_not(p->linked);
    pass(100);
    const struct action *a = stage_find(&stage, ACTION_DIAL, -1);
    cr_assert_not_null(a);
    cr_assert(eq(int, memcmp(a->id, z.id, sizeof z.id), 0));
}

Test(node, who_cannot_be_reached_is_dialled_again_ever_more_slowly)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_says(&x, &stage, 0, bytes_of(record, stranger_peer(&z, &stage, record)));
    pass(100);
    const unsigned waits_ms[] = {1000, 2000, 4000, 8000, 8000};
    for (int i = 0; i < 5; i++) {
        cr_assert(eq(sz, stage_count(&stage, ACTION_DIAL, -1), (size_t)1));
        stage_forget(&stage);
        stage_fail_dial(&stage, z.id, 0);
        pass(waits_ms[i] * 3 / 4 - 10);
        cr_assert(eq(sz, stage_count(&stage, ACTION_DIAL, -1), (size_t)0), "too early: %d", i);
        pass(waits_ms[i] / 2 + 20);
        stranger_answers(&x, &stage);
    }
}

Test(node, two_processes_with_one_key_are_named)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    struct stranger twin = x;
    memcpy(twin.id, stage.config.id, sizeof twin.id);
    memcpy(twin.standin.key, twin.id, sizeof twin.id);
    twin.crypto = standin_crypto(&twin.standin);
    twin.version = (struct version){stage.config.incarnation + 5, 0};
    stranger_says(&x, &stage, 0, bytes_of(record, stranger_peer(&twin, &stage, record)));
    cr_assert_not_null(stage_note(&stage, "clone"));
    stage_forget(&stage);
    pass(100); /* it raises its incarnation above the other's */
    const struct action *a = stage_find(&stage, ACTION_DATAGRAM, WIRE_GOSSIP);
    cr_assert_not_null(a);
}

/* The number of members that a record of this kind by this writer was sent to. */
static size_t sent_on(enum record_kind kind, sid writer, link_id except)
{
    size_t times = 0;
    for (size_t i = 0; i < stage.actions_count; i++) {
        const struct action *a = &stage.actions[i];
        if (a->kind != ACTION_DATAGRAM) continue;
        size_t head = a->bytes.data[0] == WIRE_GOSSIP ? 1 : 13;
        struct reader in = reader_init(bytes_of(a->bytes.data + head, a->bytes.count - head));
        struct record r;
        struct bytes one;
        uint32_t age;
        while (record_unpack(&in, &age, &one))
            if (record_read(one, &r) && r.kind == kind && record_writer(&r) == writer) {
                cr_assert(a->link != except, "not back to whom it came from");
                times++;
            }
    }
    return times;
}

Test(node, news_go_on_to_three_others_and_progress_to_none)
{
    static struct stranger many[10];
    stage_start(&stage);
    for (uint8_t i = 0; i < 10; i++) {
        stranger_init(&many[i], &stage, (uint8_t)(i + 11));
        stranger_joins(&many[i], &stage);
    }
    pass(100);
    stage_forget(&stage);
    stranger_says(&many[0], &stage, 0, bytes_of(record, stranger_peer(&z, &stage, record)));
    pass(100);
    cr_assert(eq(sz, sent_on(RECORD_PEER, wire_sid(z.id), many[0].link), (size_t)3));
    stage_forget(&stage);
    stranger_progress(&many[0], &stage);
    pass(100);
    cr_assert(eq(sz, sent_on(RECORD_PROGRESS, wire_sid(many[0].id), LINK_NONE), (size_t)0));
}

Test(node, its_own_progress_goes_to_everybody_and_not_too_often)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    pass(1000);
    stage_forget(&stage);
    sid self = wire_sid(stage.config.id);
    for (uint64_t i = 1; i <= 9; i++) {
        inner_step(i % 2 ? 1 : 2);
        pass(10);
    }
    pass(10000);
    size_t n = sent_on(RECORD_PROGRESS, self, LINK_NONE);
    cr_assert(n >= 2 * 2 && n <= 2 * 4, "%zu", n);
}

Test(node, whoever_asks_for_everything_gets_what_it_has_not)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    uint8_t request[3 + 21];
    struct writer w = writer_init(request, sizeof request);
    writer_u8(&w, WIRE_SYNC);
    writer_u16(&w, 1);
    writer_u64(&w, wire_sid(y.id)); /* it has this one, and a newer version */
    writer_u8(&w, RECORD_PROGRESS);
    writer_u64(&w, 777);
    writer_u32(&w, 1);
    stage_give(&stage,
               (struct event){
                   .kind = EVENT_REQUEST, .link = x.link, .ticket = 4, .bytes = writer_bytes(&w)});
    const struct action *a = stage_find(&stage, ACTION_REPLY, -1);
    cr_assert_not_null(a);
    struct reader in = reader_init(a->bytes);
    cr_assert(eq(int, reader_u16(&in), 1));
    cr_assert(eq(u64, reader_u64(&in), wire_sid(y.id)));
    cr_assert(eq(int, reader_u8(&in), RECORD_PROGRESS));
    size_t records = 0;
    struct bytes one;
    uint32_t age;
    while (record_unpack(&in, &age, &one)) records++;
    cr_assert_not(in.bad);
    cr_assert(eq(sz, records, (size_t)5), "PEER and PROGRESS of three, without y's PROGRESS");
}

Test(node, it_sends_what_the_other_side_of_a_sync_wants_and_takes_what_it_gives)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    stage_pass(&stage, span_ms(100));
    const struct action *q = stage_find(&stage, ACTION_REQUEST, WIRE_SYNC);
    cr_assert_not_null(q, "a new neighbour's records are asked for");
    struct stranger *asked = q->link == x.link ? &x : &y;
    uint8_t reply[512], zs[RECORD_BYTES_MAX];
    struct writer w = writer_init(reply, sizeof reply);
    writer_u16(&w, 1);
    writer_u64(&w, wire_sid(stage.config.id));
    writer_u8(&w, RECORD_PEER);
    cr_assert(record_pack(&w, 10, bytes_of(zs, stranger_peer(&z, &stage, zs))));
    struct event e = {.kind = EVENT_REPLY, .link = q->link, .ticket = q->ticket, .ok = true};
    e.bytes = writer_bytes(&w);
    stage_forget(&stage);
    stage_give(&stage, e);
    cr_assert_not_null(stage_view(&stage, &z));
    const struct action *a = stage_find(&stage, ACTION_FRAME, WIRE_GOSSIP);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->link, asked->link));
    struct reader in = reader_init(a->bytes);
    struct record r;
    struct bytes one;
    uint32_t age;
    cr_assert(record_unpack(&in, &age, &one));
    cr_assert(record_read(one, &r));
    cr_assert(eq(int, (int)r.kind, RECORD_PEER));
    cr_assert(eq(u64, record_writer(&r), wire_sid(stage.config.id)));
}

Test(node, a_link_on_which_a_parcel_failed_rests_for_a_second)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    cr_assert(stage_view(&stage, &x)->linked);
    stage_give(&stage, (struct event){.kind = EVENT_PARCEL_DONE, .link = x.link, .ticket = 9});
    cr_assert_not(stage_view(&stage, &x)->linked);
    pass(1100);
    cr_assert(stage_view(&stage, &x)->linked);
}

Test(node, whoever_refused_it_is_left_alone_for_five_minutes)
{
    stage.config.bootstrap_count = 1;
    memcpy(stage.bootstrap[0].id, x.id, sizeof x.id);
    stage.bootstrap[0].address = (struct address){4, {10, 0, 0, 1}, 4433};
    stage_start(&stage);
    struct event e = {.kind = EVENT_LINK_UP, .link = x.link, .dialled = true};
    memcpy(e.id, x.id, sizeof e.id);
    stage_give(&stage, e);
    stage_forget(&stage);
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = x.link, .code = CLOSE_RUN});
    pass(299000);
    cr_assert(eq(sz, stage_count(&stage, ACTION_DIAL, -1), (size_t)0));
    pass(2000);
    cr_assert(eq(sz, stage_count(&stage, ACTION_DIAL, -1), (size_t)1));
}

Test(node, a_link_to_its_own_key_is_ended)
{
    stage_start(&stage);
    struct event e = {.kind = EVENT_LINK_UP, .link = 3, .address = {4, {10}, 1}};
    memcpy(e.id, stage.config.id, sizeof e.id);
    stage_give(&stage, e);
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_SELF));
}

/* ---- suspicion ---- */

/* Answers pings of these for a while. */
static void keep_alive(struct stranger *a, struct stranger *b, unsigned ms)
{
    for (unsigned t = 0; t < ms; t += 50) {
        pass(50);
        if (a) stranger_answers(a, &stage);
        if (b) stranger_answers(b, &stage);
        stage_forget(&stage);
    }
}

Test(node, a_silent_peer_is_suspected_and_then_dead)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    keep_alive(&x, NULL, 9000);
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_SUSPECT));
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_ALIVE));
    keep_alive(&x, NULL, 62000);
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_DEAD));
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_ALIVE));
}

Test(node, whose_process_has_ended_is_suspected_at_once)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = y.link});
    cr_assert_null(stage_note(&stage, "suspect"), "its link alone is lost");
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = x.link, .code = CLOSE_GONE});
    cr_assert_not_null(stage_note(&stage, "suspect"));
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_SUSPECT));
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_ALIVE));
}

Test(node, who_is_suspected_is_not_waited_for)
{
    stage_start(&stage);
    x.progress.tokens_per_s = 0;
    stranger_joins(&x, &stage);
    keep_alive(NULL, NULL, 9000);
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_SUSPECT));
    struct event e = {.kind = EVENT_STEP, .round = {.steps = 10, .tokens = 1000}};
    stage_give(&stage, e);
    cr_assert_not_null(stage_note(&stage, "ready"));
}

Test(node, a_second_accuser_makes_it_quicker)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    keep_alive(&x, NULL, 9000);
    stranger_says(&x, &stage, 0,
                  bytes_of(record, stranger_suspects(&x, &stage, wire_sid(y.id), 500, record)));
    keep_alive(&x, NULL, 10000); /* T_min: both possible accusers did */
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_DEAD));
}

Test(node, rumours_alone_do_not_kill_before_their_time)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    stranger_says(&x, &stage, 0,
                  bytes_of(record, stranger_suspects(&x, &stage, wire_sid(y.id), 500, record)));
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_SUSPECT));
    cr_assert(stage_count(&stage, ACTION_DATAGRAM, WIRE_PING) >= 1, "it asks for itself");
    keep_alive(&x, &y, 50000);
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_SUSPECT));
}

Test(node, a_higher_incarnation_refutes)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    stranger_says(&x, &stage, 0,
                  bytes_of(record, stranger_suspects(&x, &stage, wire_sid(y.id), 500, record)));
    y.version = (struct version){501, 0};
    stranger_says(&x, &stage, 0, bytes_of(record, stranger_peer(&y, &stage, record)));
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_ALIVE));
    cr_assert_not_null(stage_note(&stage, "refuted"));
}

Test(node, nobody_is_accused_of_whom_others_have_heard)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    for (int i = 0; i < 20; i++) { /* y answers no PING, but its records come through x */
        keep_alive(&x, NULL, 1000);
        struct record r = stranger_record(&y, stranger_next(&y));
        stranger_says(&x, &stage, 0, bytes_of(record, stranger_sign(&y, &stage, r, record)));
    }
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_ALIVE));
}

Test(node, of_whom_nothing_is_heard_for_two_minutes_is_dead)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_says(&x, &stage, 0, bytes_of(record, stranger_peer(&z, &stage, record)));
    keep_alive(&x, NULL, 119000);
    cr_assert(eq(int, stage_view(&stage, &z)->health, HEALTH_ALIVE));
    keep_alive(&x, NULL, 2000);
    cr_assert(eq(int, stage_view(&stage, &z)->health, HEALTH_DEAD));
}

Test(node, an_accusation_of_an_old_incarnation_is_void)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    y.version = (struct version){501, 0};
    stranger_joins(&y, &stage);
    stranger_says(&x, &stage, 0,
                  bytes_of(record, stranger_suspects(&x, &stage, wire_sid(y.id), 500, record)));
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_ALIVE));
}

Test(node, the_dead_come_back_only_with_a_higher_incarnation)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    keep_alive(NULL, NULL, 20000); /* T_min: there are no other possible accusers */
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_DEAD));
    x.link = 77;
    stranger_joins(&x, &stage);
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_DEAD));
    const struct action *told = stage_find(&stage, ACTION_DATAGRAM, WIRE_GOSSIP);
    cr_assert_not_null(told, "it is told, so that it can refute");
    x.version = (struct version){501, 0};
    stranger_says(&x, &stage, 0, bytes_of(record, stranger_peer(&x, &stage, record)));
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_ALIVE));
}

Test(node, it_refutes_when_it_is_suspected_itself)
{
    struct record r;
    uint32_t age;
    struct bytes one;
    bool refuted = false;
    stage_start(&stage);
    stranger_joins(&x, &stage);
    pass(100);
    stage_forget(&stage);
    stranger_says(
        &x, &stage, 0,
        bytes_of(record, stranger_suspects(&x, &stage, wire_sid(stage.config.id), 1000, record)));
    pass(100);
    const struct action *a = stage_find(&stage, ACTION_DATAGRAM, WIRE_GOSSIP);
    cr_assert_not_null(a);
    struct reader in = reader_init(bytes_of(a->bytes.data + 1, a->bytes.count - 1));
    while (record_unpack(&in, &age, &one))
        if (record_read(one, &r) && r.kind == RECORD_PEER)
            refuted = r.peer.version.incarnation == 1001;
    cr_assert(refuted);
    cr_assert_not_null(stage_note(&stage, "accused"));
}

Test(node, who_was_stopped_itself_blames_nobody)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    keep_alive(&x, &y, 3000);
    stage.now = instant_after(stage.now, span_s(60)); /* SIGSTOP */
    stage_give(&stage, (struct event){.kind = EVENT_TICK});
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_ALIVE));
    keep_alive(&x, &y, 3000);
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_ALIVE));
    cr_assert(eq(int, stage_view(&stage, &y)->health, HEALTH_ALIVE));
}

Test(node, a_goodbye_is_believed_at_once)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    struct record r = {.kind = RECORD_LEAVE, .leave = {wire_sid(x.id), stranger_next(&x)}};
    stranger_says(&x, &stage, 0, bytes_of(record, stranger_sign(&x, &stage, r, record)));
    cr_assert(eq(int, stage_view(&stage, &x)->health, HEALTH_LEFT));
    cr_assert_not_null(stage_note(&stage, "left"));
}

/* ---- rounds ---- */

Test(node, without_a_peer_list_it_trains_at_once)
{
    stage_start(&stage);
    cr_assert(trains());
}

Test(node, with_a_peer_list_it_listens_for_three_seconds_at_most)
{
    stage.config.bootstrap_count = 1;
    memcpy(stage.bootstrap[0].id, x.id, sizeof x.id);
    stage.bootstrap[0].address = (struct address){4, {10, 0, 0, 1}, 4433};
    stage_start(&stage);
    cr_assert_not(trains());
    cr_assert_not_null(stage_find(&stage, ACTION_DIAL, -1));
    pass(2990);
    cr_assert_not(trains());
    pass(20);
    cr_assert(trains());
}

Test(node, alone_it_commits_after_its_steps_and_not_before)
{
    stage_start(&stage);
    for (uint64_t i = 1; i < 10; i++) inner_step(i);
    cr_assert_null(stage_order(&stage, ORDER_SNAPSHOT));
    inner_step(10);
    cr_assert_not_null(stage_order(&stage, ORDER_SNAPSHOT));
    const struct note *a = stage_note(&stage, "committed");
    cr_assert_not_null(a);
    cr_assert(eq(u64, a->numbers[1].value, 1u));
}

static void meets_a_downloader(void)
{
    stage_start(&stage);
    x.progress.phase = PHASE_SYNC;
    stranger_joins(&x, &stage);
}

Test(node, a_newcomer_that_downloads_holds_nobody_up)
{
    meets_a_downloader();
    inner_step(10);
    cr_assert_not_null(stage_order(&stage, ORDER_SNAPSHOT));
}

Test(node, a_member_of_late_rounds_that_downloads_is_not_left_behind)
{
    meets_a_downloader();
    struct members *m = &stage.node->members;
    m->members[members_find(m, wire_sid(x.id))].grouped = 1;
    inner_step(10);
    pass(2000);
    cr_assert_null(stage_order(&stage, ORDER_SNAPSHOT), "a group of one while another counts");
}

static void first_ready_frame(void *self, struct action *a)
{
    struct bytes *to = self;
    if (a->kind == ACTION_FRAME && a->type == WIRE_READY && !to->count)
        *to = bytes_of(memcpy(record, a->bytes.data, a->bytes.count), a->bytes.count);
}

/* The READY of a stranger for the node's round. */
static struct bytes stranger_ready(struct stranger *s)
{
    struct match match;
    struct match_config config = {
        .crypto = &s->crypto, .incarnation = 500, .group_min = 2, .weight_max = MATCH_WEIGHT_MAX};
    struct match_peer node = {.counts = true};
    struct match_offer offer = {.weight = 1000, .steps = 10, .up_kbps = 100000, .step_ms = 1};
    struct bytes found = {0};
    struct sink into = {&found, first_ready_frame};
    memcpy(config.id, s->id, sizeof config.id);
    memcpy(config.run_id, stage.config.run_id, sizeof config.run_id);
    memcpy(node.id, stage.config.id, sizeof node.id);
    match_init(&match, &config);
    match_rest(&match, stage.state.epoch + 1, stage.state.lineage, stage.state.lineage_tokens);
    match_cell(&match, &node, 1, stage.now, &into);
    match_start(&match, &offer, stage.now, &into);
    cr_assert(found.count > 0);
    return found;
}

static void join_while_x_matches(void)
{
    stage.config.bootstrap_count = 1;
    memcpy(stage.bootstrap[0].id, x.id, sizeof x.id);
    stage.bootstrap[0].address = (struct address){4, {10, 0, 0, 1}, 4433};
    stage_start(&stage);
    x.progress.phase = PHASE_MATCH;
    x.progress.tokens = 1000;
    stranger_joins(&x, &stage);
    cr_assert(trains());
}

Test(node, who_starts_in_the_middle_of_a_round_sits_it_out)
{
    join_while_x_matches();
    inner_step(10);
    cr_assert_null(stage_note(&stage, "ready"));
    x.progress.phase = PHASE_TRAIN;
    stranger_progress(&x, &stage);
    cr_assert_not_null(stage_note(&stage, "ready"));
}

Test(node, who_starts_and_is_called_to_a_round_takes_part)
{
    join_while_x_matches();
    struct bytes ready = stranger_ready(&x);
    stranger_frame(&x, &stage, WIRE_READY, ready);
    inner_step(10);
    cr_assert_not_null(stage_note(&stage, "ready"));
}

static uint8_t wire[2 * STAGE_PARAMETERS];

Test(node, a_lone_average_goes_the_same_way_as_any_other)
{
    stage_start(&stage);
    inner_step(10);
    static float learned[STAGE_PARAMETERS];
    struct outer_layout l = outer_layout_of(STAGE_PARAMETERS);
    for (size_t i = 0; i < STAGE_PARAMETERS; i++) learned[i] = (float)i;
    for (uint32_t c = 0; c < l.chunks; c++)
        cr_assert(outer_quantize_delta(stage.anchor + (size_t)c * l.chunk_elements,
                                       learned + (size_t)c * l.chunk_elements,
                                       outer_chunk_count(&l, c), wire + outer_wire_offset(&l, c)));
    stage_give(&stage, (struct event){.kind = EVENT_SNAPSHOT,
                                      .wire = bytes_of(wire, outer_wire_bytes(STAGE_PARAMETERS))});
    pass(1000);
    const struct order *a = stage_order(&stage, ORDER_APPLY);
    cr_assert_not_null(a);
    cr_assert(eq(u64, a->epoch, 1u));
    cr_assert(eq(u64, a->lineage_tokens, 1000u));
    for (uint32_t c = 0; c < l.chunks; c++) {
        cr_assert_not(a->average.null[c]);
        cr_assert(a->average.mine[c]);
    }
    struct lineage_state next = stage.state;
    next.epoch = 1;
    next.lineage_tokens = 1000;
    memcpy(next.lineage, a->lineage, sizeof next.lineage);
    stage_give(&stage, (struct event){.kind = EVENT_APPLIED, .state = next});
    struct node_peer self;
    node_peers(stage.node, &self, 1);
    cr_assert(eq(u64, self.epoch, 1u));
    cr_assert(eq(u64, self.steps, 0u));
    cr_assert(eq(int, self.phase, PHASE_TRAIN));
}

Test(node, with_others_about_it_waits_for_their_work)
{
    stage_start(&stage);
    x.progress.tokens_per_s = 1;
    stranger_joins(&x, &stage);
    inner_step(10);
    cr_assert_null(stage_note(&stage, "ready"));
    x.progress.tokens = 1000;
    stranger_progress(&x, &stage);
    cr_assert_not_null(stage_note(&stage, "ready"));
    cr_assert(stage_count(&stage, ACTION_FRAME, WIRE_READY) == 1);
}

Test(node, the_share_of_the_epoch_follows_the_work_of_all)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    inner_step(5);
    cr_assert(ieee_ulp_eq(dbl, node_epoch_share(stage.node), 0.25, 4));
    x.progress.tokens = 500;
    stranger_progress(&x, &stage);
    cr_assert(ieee_ulp_eq(dbl, node_epoch_share(stage.node), 0.5, 4));
}

Test(node, what_was_not_finite_is_not_counted)
{
    stage_start(&stage);
    inner_step(10);
    stage_give(&stage, (struct event){.kind = EVENT_SNAPSHOT});
    pass(60000);
    cr_assert_null(stage_order(&stage, ORDER_APPLY));
    cr_assert_not_null(stage_order(&stage, ORDER_RESUME));
    cr_assert_not_null(stage_note(&stage, "not_finite"));
    struct node_peer self;
    node_peers(stage.node, &self, 1);
    cr_assert(eq(u64, self.tokens, 0u));
    cr_assert(eq(int, self.phase, PHASE_TRAIN));
}

/* ---- states of others ---- */

static bool asked(const struct stranger *who, int type)
{
    for (size_t i = 0; i < stage.actions_count; i++) {
        const struct action *a = &stage.actions[i];
        if (a->kind == ACTION_REQUEST && a->link == who->link && a->bytes.data[0] == type)
            return true;
    }
    return false;
}

Test(node, it_fetches_a_heavier_history_from_those_who_hold_it)
{
    stage_start(&stage);
    stranger_joins(&y, &stage);
    x.progress.epoch = 4;
    x.progress.lineage[0] ^= 1;
    x.progress.lineage_tokens = 4000;
    stranger_joins(&x, &stage);
    pass(5100); /* one of two is not a majority: it waits */
    cr_assert_not_null(stage_note(&stage, "behind"));
    cr_assert(asked(&x, WIRE_GET_PAST));
    cr_assert_not(asked(&y, WIRE_GET_PAST));
    cr_assert_not(trains());
}

Test(node, it_leaves_a_lighter_history_to_the_others)
{
    stage.state.lineage_tokens = 5000;
    stage.state.epoch = 4;
    stage_start(&stage);
    x.progress.epoch = 4;
    x.progress.lineage[0] ^= 1;
    x.progress.lineage_tokens = 4000;
    stranger_joins(&x, &stage);
    pass(6000);
    cr_assert_not_null(stage_note(&stage, "fork"));
    cr_assert_null(stage_note(&stage, "behind"));
    cr_assert_not(asked(&x, WIRE_GET_MANIFEST));
}

Test(node, a_fork_gives_way_to_the_heavier_side_at_once)
{
    stage.state.lineage_tokens = 3000;
    stage.state.epoch = 4;
    stage_start(&stage);
    x.progress.epoch = 4;
    x.progress.lineage[0] ^= 1;
    x.progress.lineage_tokens = 4000;
    stranger_joins(&x, &stage);
    cr_assert_not_null(stage_note(&stage, "fork"));
    cr_assert_not_null(stage_note(&stage, "behind"));
}

/* Joins with epoch 4 of a history of this name. */
static void joins_with(struct stranger *s, uint8_t name, uint64_t tokens)
{
    s->progress.epoch = 4;
    s->progress.lineage[0] ^= name;
    s->progress.lineage_tokens = tokens;
    stranger_joins(s, &stage);
}

/* So many seconds in which x, y and z answer. */
static void live_on(int seconds)
{
    struct stranger *all[] = {&x, &y, &z};
    for (int i = 0; i < 4 * seconds; i++) {
        size_t before = stage.actions_count;
        pass(250);
        for (int j = 0; j < 3; j++) {
            if (stage.actions_count > before) stranger_answers(all[j], &stage);
            if (i % 16 == 0) stranger_progress(all[j], &stage);
        }
    }
}

Test(node, tokens_that_one_of_four_claims_are_not_followed)
{
    stage.state.lineage_tokens = 4000;
    stage.state.epoch = 4;
    stage_start(&stage);
    joins_with(&y, 0, 4000);
    joins_with(&z, 0, 4000);
    joins_with(&x, 1, (uint64_t)1 << 50);
    live_on(60);
    cr_assert_not_null(stage_note(&stage, "fork"));
    cr_assert_null(stage_note(&stage, "behind"));
    cr_assert(trains());
}

Test(node, a_download_is_not_led_astray_by_tokens_that_one_of_four_claims)
{
    struct stranger fourth;
    stranger_init(&fourth, &stage, 9);
    stage_start(&stage);
    joins_with(&y, 1, 4000);
    joins_with(&z, 1, 4000);
    joins_with(&fourth, 1, 4000);
    cr_assert_not_null(stage_note(&stage, "behind"));
    joins_with(&x, 2, (uint64_t)1 << 50);
    live_on(1);
    cr_assert(asked(&y, WIRE_GET_PAST) || asked(&z, WIRE_GET_PAST) ||
              asked(&fourth, WIRE_GET_PAST));
    cr_assert_not(asked(&x, WIRE_GET_PAST));
}

Test(node, a_lighter_history_is_followed_once_more_than_twice_as_many_have_done_so_for_long)
{
    stage.state.lineage_tokens = 5000;
    stage.state.epoch = 4;
    stage_start(&stage);
    joins_with(&x, 1, 4000);
    joins_with(&y, 1, 4000);
    joins_with(&z, 1, 4000);
    live_on(29);
    cr_assert_null(stage_note(&stage, "behind"));
    live_on(2);
    cr_assert_not_null(stage_note(&stage, "behind"));
    cr_assert(asked(&x, WIRE_GET_MANIFEST));
}

Test(node, a_damaged_replica_is_repaired_from_those_that_are_sound)
{
    stage_start(&stage);
    z.progress.digest = x.progress.digest; /* the same damage as mine */
    x.progress.digest++;
    y.progress.digest++;
    stranger_joins(&z, &stage);
    cr_assert_null(stage_note(&stage, "digest_mismatch"));
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    cr_assert_null(stage_note(&stage, "digest_mismatch"), "two against two, mine is the smaller");
    struct stranger fifth;
    stranger_init(&fifth, &stage, 9);
    fifth.progress.digest++;
    stranger_joins(&fifth, &stage);
    cr_assert_not_null(stage_note(&stage, "digest_mismatch"));
    cr_assert(asked(&x, WIRE_GET_MANIFEST));
    cr_assert(asked(&y, WIRE_GET_MANIFEST));
    cr_assert_not(asked(&z, WIRE_GET_MANIFEST));
}

Test(node, a_replica_is_judged_once_votes_to_come_cannot_change_that)
{
    stage.state.epoch = 4;
    stage.state.lineage_tokens = 4000;
    stage_start(&stage);
    x.progress.epoch = 4;
    x.progress.lineage_tokens = 4000;
    x.progress.digest--; /* the smaller one, which counts at a tie */
    for (struct stranger *late = &y; late; late = late == &y ? &z : NULL) {
        late->progress.epoch = 3;
        late->progress.lineage[0] ^= 1;
        late->progress.lineage_tokens = 3000;
        stranger_joins(late, &stage);
    }
    stranger_joins(&x, &stage);
    cr_assert_null(stage_note(&stage, "digest_mismatch"), "one against one, and two are to come");
    struct record_progress votes = x.progress;
    y.progress = votes;
    stranger_progress(&y, &stage);
    cr_assert_null(stage_note(&stage, "digest_mismatch"), "two against one, and one is to come");
    z.progress = votes;
    stranger_progress(&z, &stage);
    cr_assert_not_null(stage_note(&stage, "digest_mismatch"));
}

Test(node, when_a_download_fails_it_trains_on_from_what_it_has)
{
    stage_start(&stage);
    x.progress.epoch = 4;
    x.progress.lineage[0] ^= 1;
    x.progress.lineage_tokens = 4000;
    stranger_joins(&x, &stage);
    pass(5100);
    cr_assert_not(trains());
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = x.link});
    cr_assert_not_null(stage_note(&stage, "sync_failed"));
    cr_assert(trains());
}

/* A server for a stranger: answers the requests that the node has sent it. */
static struct sync giver;
static struct lineage_state given;

static void giver_act(void *self, struct action *a)
{
    (void)self;
    struct event e = {.kind = EVENT_REPLY, .link = x.link, .ticket = a->ticket, .ok = true};
    static uint8_t whole[2 * STAGE_PARAMETERS * sizeof(float)];
    memcpy(whole, a->bytes.data, a->bytes.count);
    if (a->more.count) memcpy(whole + a->bytes.count, a->more.data, a->more.count);
    e.bytes = stage_copy(&stage, bytes_of(whole, a->bytes.count + a->more.count));
    stage_give(&stage, e);
}

static void serve(struct arena *room)
{
    static float anchor[STAGE_PARAMETERS], momentum[STAGE_PARAMETERS];
    static uint8_t leaves[sizeof stage.leaves];
    struct sync_config c = {&stage.crypto, outer_layout_of(STAGE_PARAMETERS)};
    struct why why = {0};
    for (size_t i = 0; i < STAGE_PARAMETERS; i++) anchor[i] = (float)i;
    cr_assert_not(arena_open(room, sync_bytes(&c), &why));
    cr_assert(sync_init(&giver, &c, room));
    given = (struct lineage_state){.epoch = 4, .lineage_tokens = 4000};
    memcpy(given.lineage, x.progress.lineage, sizeof given.lineage);
    given.anchor = anchor;
    given.momentum = momentum;
    given.leaves = leaves;
    outer_leaves(&stage.crypto, &c.layout, anchor, momentum, leaves);
    outer_digest(&stage.crypto, &c.layout, leaves, given.digest);
    x.progress.digest = first_eight(given.digest);
    sync_offer(&giver, &given, false);
}

Test(node, it_takes_the_state_that_it_lacks_and_trains_on_from_it)
{
    struct arena room;
    struct sink to_node = {NULL, giver_act};
    size_t at = 0, floats = 0;
    stage_start(&stage);
    x.progress.epoch = 4;
    x.progress.lineage[0] ^= 1;
    x.progress.lineage_tokens = 4000;
    serve(&room);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    pass(5100);
    for (; at < stage.actions_count; at++) {
        struct action a = stage.actions[at];
        if (a.kind == ACTION_STATE) {
            const float *there = (a.part.vector ? given.momentum : given.anchor) + a.part.offset;
            struct bytes b = a.part.floats;
            cr_assert(eq(int, memcmp(b.data, there, b.count), 0));
            floats += b.count / sizeof(float);
        }
        if (a.kind != ACTION_REQUEST || a.link != x.link) continue;
        if (a.bytes.data[0] == WIRE_GET_PAST) /* it keeps no rounds */
            giver_act(NULL, &(struct action){.ticket = a.ticket, .bytes = bytes_of("", 0)});
        if (!sync_takes(a.bytes.data[0])) continue;
        sync_request(&giver, 1, 1, a.ticket, a.bytes, &to_node);
    }
    cr_assert(eq(sz, floats, (size_t)2 * STAGE_PARAMETERS));
    const struct order *a = stage_order(&stage, ORDER_ADOPT);
    cr_assert_not_null(a);
    cr_assert(eq(u64, a->epoch, 4u));
    cr_assert(eq(u64, a->lineage_tokens, 4000u));
    cr_assert(eq(int, memcmp(a->lineage, given.lineage, sizeof given.lineage), 0));
    cr_assert_not(trains(), "not before it is in place");
    stage_give(&stage, (struct event){.kind = EVENT_ADOPTED, .state = given});
    cr_assert(trains());
    const struct note *joined = stage_note(&stage, "joined");
    cr_assert_not_null(joined);
    cr_assert(eq(u64, joined->numbers[1].value, (uint64_t)STAGE_PARAMETERS * 8));
    arena_close(&room);
}

/* A round that left every chunk as it was, as GET_PAST's reply has it; x holds the state after
 * it. */
static struct bytes round_of_x(uint8_t entry[])
{
    struct outer_layout l = outer_layout_of(STAGE_PARAMETERS);
    struct writer w = writer_init(entry, past_entry_bytes(&l));
    uint8_t root[CRYPTO_DIGEST_BYTES], zeros[CRYPTO_DIGEST_BYTES] = {0};
    writer_copy(&w, (uint8_t[CRYPTO_DIGEST_BYTES]){8, 8}, CRYPTO_DIGEST_BYTES);
    for (uint32_t c = 0; c < l.chunks; c++) {
        writer_u8(&w, REDUCE_NULL);
        writer_copy(&w, zeros, sizeof zeros);
    }
    struct bytes all = writer_bytes(&w);
    lineage_root(&stage.crypto, all.data,
                 bytes_of(all.data + CRYPTO_DIGEST_BYTES, all.count - CRYPTO_DIGEST_BYTES), root);
    x.progress.epoch = stage.state.epoch + 1;
    lineage_next(&stage.crypto, stage.state.lineage, x.progress.epoch, root, x.progress.lineage);
    x.progress.lineage_tokens = 4000;
    return all;
}

Test(node, it_replays_the_round_it_missed_and_keeps_what_it_learned)
{
    static uint8_t entry[1000];
    stage_start(&stage);
    inner_step(3);
    struct bytes rounds = round_of_x(entry);
    stranger_joins(&x, &stage);
    pass(5100);
    cr_assert_not(trains());
    const struct action *a = stage_find(&stage, ACTION_REQUEST, WIRE_GET_PAST);
    cr_assert_not_null(a);
    giver_act(NULL, &(struct action){.ticket = a->ticket, .bytes = rounds});
    cr_assert_not(asked(&x, WIRE_GET_MANIFEST));
    const struct order *o = stage_order(&stage, ORDER_ADOPT);
    cr_assert_not_null(o);
    cr_assert(o->carries);
    for (uint32_t c = 0; c < outer_layout_of(STAGE_PARAMETERS).chunks; c++)
        cr_assert(eq(int, o->average.mine[c], 0));
    struct lineage_state after = stage.state;
    after.epoch = x.progress.epoch;
    after.lineage_tokens = 4000;
    memcpy(after.lineage, x.progress.lineage, sizeof after.lineage);
    stage_give(&stage, (struct event){.kind = EVENT_ADOPTED, .state = after});
    struct node_peer self;
    node_peers(stage.node, &self, 1);
    cr_assert(eq(u64, self.epoch, after.epoch));
    cr_assert(eq(u64, self.tokens, 300u), "they count in the next round");
    cr_assert(trains());
}

Test(node, a_round_that_is_due_waits_for_one_that_has_nearly_replayed)
{
    stage_start(&stage);
    stage.node->averaging = span_s(20);
    x.progress.phase = PHASE_SYNC;
    x.progress.flags |= PROGRESS_NEAR;
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    inner_step(20);
    cr_assert_null(stage_note(&stage, "ready"));
    cr_assert(node_due(stage.node).ns <= stage.now.ns + span_s(20).ns);
    keep_alive(&x, &y, 19000);
    cr_assert_null(stage_note(&stage, "ready"));
    keep_alive(&x, &y, 2000);
    cr_assert(eq(int, (int)stage.node->life, (int)LIFE_MATCH),
              "as long as the latest average took");
}

/* ---- the end ---- */

Test(node, a_polite_leave_says_so_and_finishes)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stage_forget(&stage);
    stage_give(&stage, (struct event){.kind = EVENT_LEAVE});
    pass(1000);
    struct record r;
    uint32_t age;
    struct bytes one;
    const struct action *a = stage_find(&stage, ACTION_FRAME, WIRE_GOSSIP);
    cr_assert_not_null(a);
    struct reader in = reader_init(a->bytes);
    cr_assert(record_unpack(&in, &age, &one));
    cr_assert(record_read(one, &r));
    cr_assert(eq(int, (int)r.kind, RECORD_LEAVE));
    cr_assert_not_null(stage_order(&stage, ORDER_FINISH));
    size_t before = stage.actions_count;
    stranger_progress(&x, &stage);
    cr_assert(eq(sz, stage.actions_count, before), "nothing after the end");
    cr_assert(eq(u64, node_due(stage.node).ns, INSTANT_NEVER.ns));
}

Test(node, after_the_last_epoch_it_holds_still_and_leaves)
{
    stage.state.epoch = stage.config.epochs = 3;
    stage_start(&stage);
    cr_assert_not_null(stage_note(&stage, "done"));
    cr_assert_not(trains());
    pass(5000);
    cr_assert_not_null(stage_order(&stage, ORDER_FINISH));
}

Test(node, after_the_last_epoch_it_stays_for_those_who_need_it_a_minute_at_most)
{
    stage_start(&stage);
    stage_fini(&stage);
    set_up();
    stage.state.epoch = stage.config.epochs = 3;
    stage.state.lineage_tokens = 5;
    stage.config.bootstrap_count = 1;
    memcpy(stage.bootstrap[0].id, x.id, sizeof x.id);
    stage.bootstrap[0].address = (struct address){4, {10, 0, 0, 1}, 4433};
    stage_start(&stage);
    stranger_joins(&x, &stage);
    keep_alive(&x, NULL, 20000);
    struct node_peer self;
    node_peers(stage.node, &self, 1);
    cr_assert(eq(int, self.phase, PHASE_DONE));
    x.progress.epoch = 3;
    stage_forget(&stage);
    stranger_progress(&x, &stage);
    pass(1000);
    cr_assert_not_null(stage_order(&stage, ORDER_FINISH));
}

/* ---- configuration ---- */

Test(node, a_configuration_that_cannot_be_is_refused_with_a_reason)
{
    struct sink out = {&stage, stage_act};
    struct round_progress none = {0};
    struct why why = {0};
    static uint8_t storage[8 << 20];
    struct arena room;
    arena_init(&room, storage, sizeof storage);
    stage.config.group_min = 1;
    cr_assert_null(node_init(&stage.config, &stage.state, &none, &room, stage.now, &out, &why));
    cr_assert_not_null(strstr(why.text, "group sizes"));
    stage.config.group_min = 2;
    stage.state.epoch = 1001;
    cr_assert_null(node_init(&stage.config, &stage.state, &none, &room, stage.now, &out, &why));
    stage.state.epoch = 0;
    arena_init(&room, storage, 1000);
    cr_assert_null(node_init(&stage.config, &stage.state, &none, &room, stage.now, &out, &why));
    cr_assert(eq(int, (int)why.err, ERR_MEMORY));
    stage_start(&stage);
}
