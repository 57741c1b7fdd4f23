#include "hostile.h"
#include "pair.h"

static struct node a, b;
static uint8_t blob[4 << 20];

static void fill(void)
{
    for (size_t i = 0; i < sizeof blob; i++) blob[i] = (uint8_t)(i * 2654435761u >> 13);
}

static void start(void)
{
    fill();
    link_pair(&a, &b, NULL);
}

static void stop(void)
{
    node_stop(&a);
    node_stop(&b);
    loop_close(loop);
    loop = NULL;
}

TestSuite(link, .init = start, .fini = stop, .timeout = 120);

Test(link, carries_frames_both_ways_in_order)
{
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert(link_frame(a.endpoint, a.up, (uint8_t)i, bytes_of(&i, sizeof i)));
        cr_assert(link_frame(b.endpoint, b.up, (uint8_t)i, bytes_of(&i, i % 5)));
    }
    turn_until(a.frame_count == 200 && b.frame_count == 200, 5);
    cr_assert_eq(a.frame_count, 200);
    cr_assert_eq(b.frame_count, 200);
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(b.frames[i].type, (uint8_t)i);
        cr_assert_eq(b.frames[i].count, 4);
        cr_assert(!memcmp(b.frames[i].bytes, &i, 4));
        cr_assert_eq(a.frames[i].count, i % 5);
    }
}

Test(link, carries_a_frame_of_the_longest_length)
{
    cr_assert(link_frame(a.endpoint, a.up, 7, bytes_of(blob, LINK_FRAME_BYTES_MAX)));
    cr_assert(link_frame(a.endpoint, a.up, 8, bytes_of(NULL, 0)));
    turn_until(b.frame_count == 2, 5);
    cr_assert_eq(b.frame_count, 2);
    cr_assert_eq(b.frames[0].count, LINK_FRAME_BYTES_MAX);
    cr_assert(!memcmp(b.frames[0].bytes, blob, LINK_FRAME_BYTES_MAX));
    cr_assert_eq(b.frames[1].type, 8);
}

struct flows {
    uint64_t sent, received;
};

static void add_flow(void *ctx, link_id l, uint64_t sent, uint64_t received)
{
    struct flows *f = ctx;
    (void)l;
    f->sent += sent;
    f->received += received;
}

/* Of a node, since the last look. */
static struct flows flows_of(struct node *n)
{
    struct flows f = {0};
    link_flows(n->endpoint, add_flow, &f);
    return f;
}

Test(link, counts_parcels_and_large_replies_as_they_move_and_nothing_else)
{
    static const char small[] = "small", large[20000] = {PAIR_BULK};
    b.echo = true;
    cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of(blob, 5000)));
    cr_assert(link_request(a.endpoint, a.up, bytes_of(small, 5), 3));
    turn_until(a.reply_count == 1 && link_queued(a.endpoint, a.up) == 0, 5);
    cr_assert_eq(flows_of(&a).sent + flows_of(&b).received, 0);
    cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, 7), bytes_of(blob, 100000), 4));
    turn_until(link_queued(a.endpoint, a.up) == 0 && b.parcel_count == 1, 5);
    struct flows from = flows_of(&a), to = flows_of(&b);
    cr_assert_geq(from.sent, 100007, "%llu", (unsigned long long)from.sent);
    cr_assert_eq(from.received, 0);
    cr_assert_eq(to.received, 100007, "%llu", (unsigned long long)to.received);
    cr_assert_eq(flows_of(&b).received, 0, "told once");
    cr_assert(link_request(a.endpoint, a.up, bytes_of(large, sizeof large), 5));
    turn_until(a.reply_count == 2 && link_queued(b.endpoint, b.up) == 0, 5);
    cr_assert_geq(flows_of(&b).sent, sizeof large);
    cr_assert_eq(flows_of(&a).received, sizeof large);
}

Test(link, times_trains_of_parcels_and_large_replies)
{
    static const char small[] = "small", large[60000] = {PAIR_BULK};
    b.echo = true;
    cr_assert(link_request(a.endpoint, a.up, bytes_of(small, 5), 3));
    cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of(blob, 50000)));
    turn_until(a.reply_count == 1 && link_queued(a.endpoint, a.up) == 0, 5);
    cr_assert_eq(a.trains + b.trains, 0, "those are not bulk");
    for (int i = 0; i < 2; i++)
        cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, 7), bytes_of(blob, 1500000), 4));
    turn_until(link_queued(a.endpoint, a.up) == 0 && b.parcel_count == 2, 5);
    cr_assert_eq(a.trains, 2, "each is long enough by itself");
    cr_assert_eq(b.trains, 0, "it sent nothing");
    cr_assert_geq(a.train_bytes, 1 << 20);
    cr_assert_leq(a.train_bytes, 1500007);
    cr_assert_gt(a.train_took.ns, 0);
    cr_assert_lt(a.train_took.ns, span_s(5).ns);
    b.echo = 30;
    for (int i = 0; i < 2; i++)
        cr_assert(link_request(a.endpoint, a.up, bytes_of(large, sizeof large), 5));
    turn_until(a.reply_count == 3 && link_queued(b.endpoint, b.up) == 0, 5);
    cr_assert_eq(b.trains, 2, "each is long enough by itself");
}

Test(link, short_messages_make_one_train_where_they_follow_each_other)
{
    for (int k = 0; k < 8;
         k++) { /* 300 of these parcels make 1 MiB, but not with pauses between them */
        for (int i = 0; i < 10; i++)
            cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, 7), bytes_of(blob, 3500), 4));
        turn_until(link_queued(a.endpoint, a.up) == 0, 5);
    }
    cr_assert_eq(a.trains, 0);
    /* On loopback all that was sent may be acknowledged before the next is, which ends a train. */
    for (int k = 0; k < 20 && a.trains == 0; k++) {
        node_forget(&a);
        node_forget(&b);
        for (int i = 0; i < 400; i++)
            cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, 7), bytes_of(blob, 5000), 4));
        turn_until(link_queued(a.endpoint, a.up) == 0 && b.parcel_count == 400, 5);
    }
    cr_assert_geq(a.trains, 1);
    cr_assert_geq(a.train_bytes, 64 << 10);
    cr_assert_lt(a.train_bytes, 400 * 5007 + 1);
}

Test(link, knows_when_all_that_was_queued_has_arrived)
{
    cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of(blob, 5000)));
    cr_assert_geq(link_queued(a.endpoint, a.up), 5000);
    turn_until(link_queued(a.endpoint, a.up) == 0, 5);
    cr_assert_eq(link_queued(a.endpoint, a.up), 0);
    cr_assert_eq(b.frame_count, 1);
}

Test(link, carries_a_hundred_parcels_at_once_each_whole)
{
    size_t bytes = 266 * 1024;
    for (uint64_t i = 0; i < 100; i++)
        cr_assert(
            link_parcel(a.endpoint, a.up, bytes_of(&i, sizeof i), bytes_of(blob + i, bytes), i));
    turn_until(a.done_count == 100 && b.parcel_count == 100, 20);
    cr_assert_eq(b.parcel_count, 100);
    cr_assert_eq(a.done_count, 100);
    bool seen[100] = {0};
    for (size_t i = 0; i < 100; i++) {
        uint64_t number;
        cr_assert(a.dones[i].ok);
        cr_assert_eq(b.parcels[i].count, bytes + 8);
        memcpy(&number, b.parcels[i].bytes, 8);
        cr_assert_lt(number, 100);
        cr_assert(!seen[number]);
        seen[number] = true;
        cr_assert(!memcmp(b.parcels[i].bytes + 8, blob + number, bytes));
    }
    cr_assert_eq(link_queued(a.endpoint, a.up), 0);
}

Test(link, carries_a_parcel_of_the_longest_length_and_refuses_a_longer_one)
{
    size_t longest = endpoint_defaults("").parcel_bytes_max;
    struct endpoint_config generous = endpoint_defaults("127.0.0.1:0");
    generous.parcel_bytes_max = sizeof blob;
    struct node c;
    node_start(&c, &generous, 3);
    node_dial(&c, &b);
    turn_until(c.ups, 5);
    cr_assert_not(link_parcel(a.endpoint, a.up, bytes_of(blob, 1), bytes_of(blob, longest), 1),
                  "not even sent");
    cr_assert(link_parcel(c.endpoint, c.up, bytes_of(blob, longest), bytes_of(NULL, 0), 1));
    cr_assert(link_parcel(c.endpoint, c.up, bytes_of(blob, sizeof blob), bytes_of(NULL, 0), 2));
    cr_assert(link_parcel(c.endpoint, c.up, bytes_of(blob, 10), bytes_of(NULL, 0), 3));
    turn_until(c.done_count == 3, 10);
    cr_assert_eq(c.done_count, 3);
    for (size_t i = 0; i < 3; i++) cr_assert_eq(c.dones[i].ok, c.dones[i].number != 2);
    cr_assert_eq(b.parcel_count, 2);
    cr_assert_eq(b.parcels[0].count + b.parcels[1].count, longest + 10);
    cr_assert_eq(c.downs + b.downs, 0, "one long parcel does not cost the link");
    node_stop(&c);
}

/* As a node that waits for the other's HELLO. */
Test(link, takes_no_parcel_and_answers_no_request_until_the_peer_is_welcome)
{
    node_stop(&a);
    node_stop(&b);
    node_start(&a, NULL, 1);
    node_start(&b, NULL, 2);
    b.cool = true;
    node_dial(&a, &b);
    turn_until(a.ups && b.ups, 5);
    cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, 7), bytes_of(blob, 1500000), 4));
    cr_assert(link_request(a.endpoint, a.up, bytes_of(blob, 60000), 3));
    cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of(blob, 50000)));
    cr_assert(link_datagram(a.endpoint, a.up, bytes_of(blob, 9)));
    turn_until(a.done_count && b.frame_count && b.datagram_count, 5);
    cr_assert(!a.dones[0].ok);
    for (int i = 0; i < 100; i++) /* 16 of 64 KiB, of which 256 KiB in all */
        cr_assert(link_request(a.endpoint, a.up, bytes_of(blob, 60000), 3));
    turn_until(a.reply_count, 0.3);
    cr_assert(!a.reply_count && !b.parcel_count && !b.request_count);
    b.echo = true;
    link_welcome(b.endpoint, b.up);
    cr_assert_eq(b.request_count, 0, "not at once: the caller may be in the middle of something");
    cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, 7), bytes_of(blob, 1500000), 5));
    turn_until(a.done_count == 2 && a.reply_count == 101, 5);
    cr_assert(a.dones[1].ok);
    for (int i = 0; i < 101; i++) cr_assert(a.replies[i].ok);
}

Test(link, shares_a_secret_of_its_own_between_its_ends)
{
    uint8_t here[CRYPTO_HASH_BYTES], there[CRYPTO_HASH_BYTES], other[CRYPTO_HASH_BYTES];
    cr_assert(link_exporter(a.endpoint, a.up, here) && link_exporter(b.endpoint, b.up, there));
    cr_assert(!memcmp(here, there, sizeof here));
    link_id first = a.up;
    node_dial(&a, &b);
    turn_until(a.ups == 2 && b.ups == 2, 5);
    cr_assert(link_exporter(a.endpoint, a.up, other));
    cr_assert(memcmp(here, other, sizeof here), "another link of the same pair has another one");
    link_close(a.endpoint, first, CLOSE_OK, "");
    turn_until(a.downs, 5);
    cr_assert_not(link_exporter(a.endpoint, first, here));
}

Test(link, answers_requests)
{
    b.echo = true;
    for (uint64_t i = 0; i < 200; i++) /* more than may be open at once */
        cr_assert(link_request(a.endpoint, a.up, bytes_of(blob, 100 + i), i));
    turn_until(a.reply_count == 200, 10);
    cr_assert_eq(a.reply_count, 200);
    for (size_t i = 0; i < 200; i++) {
        cr_assert(a.replies[i].ok);
        cr_assert_eq(a.replies[i].count, 100 + a.replies[i].number);
        cr_assert(!memcmp(a.replies[i].bytes, blob, a.replies[i].count));
    }
}

Test(link, carries_replies_made_of_parts_empty_ones_and_the_longest)
{
    size_t longest = endpoint_defaults("").reply_bytes_max;
    for (uint64_t i = 0; i < 4; i++) cr_assert(link_request(a.endpoint, a.up, bytes_of("?", 1), i));
    turn_until(b.request_count == 4, 5);
    struct bytes none = bytes_of(NULL, 0), parts[] = {bytes_of("ab", 2), none, bytes_of("c", 1)};
    struct bytes most = bytes_of(blob, longest), more = bytes_of(blob, longest + 1);
    struct bytes *what[] = {parts, &none, &most, &more};
    for (size_t i = 0; i < 4; i++)
        cr_assert(link_reply(b.endpoint, b.up, b.requests[i].number, what[i], i ? 1 : 3));
    cr_assert_not(link_reply(b.endpoint, b.up, b.requests[0].number, parts, 3), "once only");
    turn_until(a.reply_count == 4, 10);
    cr_assert_eq(a.reply_count, 4);
    size_t counts[] = {3, 0, longest, 0};
    for (size_t i = 0; i < 4; i++) {
        struct saw *r = &a.replies[i];
        cr_assert_eq(r->ok, r->number != 3, "the reply that is too long is refused");
        cr_assert_eq(r->count, counts[r->number]);
        if (r->number == 0) cr_assert(!memcmp(r->bytes, "abc", 3));
    }
    cr_assert_eq(a.downs, 0);
}

Test(link, hears_of_a_request_that_is_declined)
{
    cr_assert(link_request(a.endpoint, a.up, bytes_of("?", 1), 5));
    turn_until(b.request_count, 5);
    link_decline(b.endpoint, b.up, b.requests[0].number);
    turn_until(a.reply_count, 5);
    cr_assert_eq(a.reply_count, 1);
    cr_assert_eq(a.replies[0].number, 5);
    cr_assert_not(a.replies[0].ok);
    struct bytes late = bytes_of("x", 1);
    cr_assert_not(link_reply(b.endpoint, b.up, b.requests[0].number, &late, 1));
}

Test(link, hears_of_parcels_and_requests_that_the_end_cut_off)
{
    turn_until(false, 0.05); /* the handshake's last packets */
    cr_assert(link_request(a.endpoint, a.up, bytes_of("?", 1), 1));
    turn_until(b.request_count, 5);
    cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, sizeof blob / 4), bytes_of(NULL, 0), 2));
    cr_assert(link_request(a.endpoint, a.up, bytes_of("?", 1), 3));
    link_close(b.endpoint, b.up, CLOSE_OK, "enough");
    turn_until(a.downs, 5);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(a.done_count, 1);
    cr_assert_not(a.dones[0].ok);
    cr_assert_eq(a.reply_count, 2);
    cr_assert(!a.replies[0].ok && !a.replies[1].ok);
}

Test(link, carries_datagrams)
{
    for (size_t i = 0; i < 20; i++)
        cr_assert(link_datagram(a.endpoint, a.up, bytes_of(blob + i, LINK_DATAGRAM_BYTES_MAX - i)));
    turn_until(b.datagram_count == 20, 2);
    cr_assert_eq(b.datagram_count, 20, "nothing is lost on loopback: %zu came", b.datagram_count);
    for (size_t i = 0; i < 20; i++) {
        cr_assert_eq(b.datagrams[i].count, LINK_DATAGRAM_BYTES_MAX - i);
        cr_assert(!memcmp(b.datagrams[i].bytes, blob + i, b.datagrams[i].count));
    }
}

Test(link, drops_datagrams_beyond_a_bound)
{
    size_t taken = 0;
    for (size_t i = 0; i < 1000; i++) taken += link_datagram(a.endpoint, a.up, bytes_of(blob, 100));
    cr_assert_lt(taken, 1000);
    turn_until(b.datagram_count == taken, 2);
    cr_assert_eq(b.datagram_count, taken);
}

Test(link, pushes_back_when_its_queue_is_full)
{
    size_t most = endpoint_defaults("").queue_bytes_max, taken = 0, parcel = 1 << 20;
    while (link_parcel(a.endpoint, a.up, bytes_of(blob, parcel), bytes_of(NULL, 0), taken)) {
        taken++;
        cr_assert_leq(link_queued(a.endpoint, a.up), most);
    }
    cr_assert_geq(taken, most / parcel - 1);
    cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of(blob, 1000)), "there is room for frames");
    size_t frames = 1;
    while (link_frame(a.endpoint, a.up, 1, bytes_of(blob, LINK_FRAME_BYTES_MAX))) frames++;
    cr_assert_leq(frames * LINK_FRAME_BYTES_MAX, 6u << 20, "but not without bound");
    turn_until(a.done_count == taken, 20);
    cr_assert_eq(a.done_count, taken);
    cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, parcel), bytes_of(NULL, 0), taken));
}

Test(link, refuses_a_link_that_is_gone)
{
    link_id old = a.up;
    struct link_info info;
    cr_assert(link_info(a.endpoint, old, &info));
    link_close(a.endpoint, old, CLOSE_OK, "bye");
    turn_until(a.downs && b.downs, 5);
    cr_assert_not(link_frame(a.endpoint, old, 1, bytes_of("x", 1)));
    cr_assert_not(link_datagram(a.endpoint, old, bytes_of("x", 1)));
    cr_assert_not(link_parcel(a.endpoint, old, bytes_of("x", 1), bytes_of(NULL, 0), 1));
    cr_assert_not(link_request(a.endpoint, old, bytes_of("x", 1), 1));
    cr_assert_not(link_info(a.endpoint, old, &info));
    cr_assert_not(link_frame(a.endpoint, LINK_NONE, 1, bytes_of("x", 1)));
    for (int i = 0; i < 300; i++) { /* around the table of links */
        int ups = a.ups;
        cr_assert_neq(node_dial(&a, &b), old);
        turn_until(a.ups > ups, 5);
        link_close(a.endpoint, a.up, CLOSE_OK, "bye");
        turn_until(a.downs == i + 2, 5);
        cr_assert_not(link_frame(a.endpoint, old, 1, bytes_of("x", 1)));
    }
}

Test(link, measures_what_it_carries)
{
    struct link_info info;
    struct endpoint_counters before = endpoint_counters(a.endpoint);
    for (uint64_t i = 0; i < 16; i++)
        cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, 1 << 20), bytes_of(NULL, 0), i));
    turn_until(a.done_count == 16, 10);
    turn_until(endpoint_counters(a.endpoint).sent_bytes ==
                   endpoint_counters(b.endpoint).received_bytes,
               1);
    struct endpoint_counters c = endpoint_counters(a.endpoint), d = endpoint_counters(b.endpoint);
    cr_assert(link_info(a.endpoint, a.up, &info));
    cr_assert_geq(c.sent_bytes - before.sent_bytes, 16 << 20);
    cr_assert_leq(c.sent_bytes - before.sent_bytes, 18 << 20, "more than a tenth is overhead");
    cr_assert_geq(c.sent_datagrams, (16 << 20) / 1452);
    cr_assert_eq(c.sent_bytes, d.received_bytes, "what one sent on loopback the other received");
    cr_assert_eq(info.sent, c.sent_bytes);
    cr_assert_gt(info.rtt.ns, 0);
    cr_assert_gt(info.delivered_per_s, 1e6);
    cr_assert(!memcmp(info.id, identity_id(b.self), CRYPTO_KEY_BYTES));
    cr_assert(address_equal(&info.address, &b.address));
    cr_assert(info.dialled && info.up && !info.retiring);
}

/* --- a peer that does not keep to the protocol --------------------------------------------------------------------- */

static void hostile_dial(void)
{
    struct why w = {0};
    memset(&hostile, 0, sizeof hostile);
    int ups = b.ups;
    cr_assert_not_null(
        connection_dial(a.endpoint, identity_id(b.self), &b.address, &hostile_protocol, span_ns(0), &w), "%s",
        w.text);
    turn_until(hostile.c && hostile.c->up && b.ups > ups, 5);
    cr_assert(hostile.c && b.ups > ups);
}

Test(link, ends_when_a_frame_announces_more_than_the_longest)
{
    hostile_dial();
    cr_assert(hostile_stream(false, "\x01\x09\x01\x00\x01", 5, 0, false));
    turn_until(!hostile.c, 5);
    cr_assert_null(hostile.c);
    cr_assert_eq(hostile.code, CLOSE_PROTOCOL);
    cr_assert_str_eq(hostile.reason, "a frame is longer than 64 KiB");
}

Test(link, ends_at_a_second_control_stream)
{
    hostile_dial();
    cr_assert(hostile_stream(false, "\x01", 1, 0, false));
    cr_assert(hostile_stream(false, "\x01", 1, 0, false));
    turn_until(!hostile.c, 5);
    cr_assert_null(hostile.c);
    cr_assert_eq(hostile.code, CLOSE_PROTOCOL);
    cr_assert_str_eq(hostile.reason, "a second control stream");
}

Test(link, refuses_streams_of_a_kind_it_does_not_know_and_goes_on)
{
    hostile_dial();
    cr_assert(hostile_stream(false, "\x77", 1, 100000, false));
    cr_assert(hostile_stream(true, "\x78", 1, 100000, false));
    cr_assert(hostile_stream(true, "\x02", 1, 100000, false)); /* a parcel needs no way back */
    turn_until(hostile.stopped == 3, 5);
    cr_assert_eq(hostile.stopped, 3);
    cr_assert_not_null(hostile.c);
    cr_assert_eq(b.parcel_count + b.request_count, 0);
    cr_assert_eq(b.downs, 0);
}

Test(link, holds_no_more_than_its_window_of_unfinished_messages)
{
    struct node honest;
    node_start(&honest, NULL, 3);
    node_dial(&honest, &b);
    turn_until(honest.ups, 5);
    hostile_dial();
    /* 200 parcels side by side, none of which ever ends: 400 MB in all, had they their way. */
    for (size_t i = 0; i < 200; i++)
        cr_assert(hostile_stream(false, "\x02", 1, endpoint_defaults("").parcel_bytes_max, false));
    turn_until(hostile.stopped >= 192, 15);
    cr_assert_geq(hostile.stopped, 192, "only %zu of 200 were refused", hostile.stopped);
    cr_assert_not_null(hostile.c, "%s", hostile.reason);
    cr_assert_lt(hostile.stopped, 200, "the oldest are kept");
    cr_assert(link_parcel(honest.endpoint, honest.up, bytes_of(blob, 1000), bytes_of(NULL, 0), 9));
    turn_until(honest.done_count, 5);
    cr_assert_eq(honest.done_count, 1);
    cr_assert(honest.dones[0].ok);
    node_stop(&honest);
}
