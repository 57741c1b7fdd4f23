#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../folder.h"
#include "plan.h"
#include "traffic.h"

static struct matrix matrix;
static struct traffic t;
static char path[64];
static struct why w;

static enum err read_text(const char *text)
{
    snprintf(path, sizeof path, "%s/m.yaml", folder);
    FILE *f = fopen(path, "w");
    cr_assert(f != NULL);
    fputs(text, f);
    fclose(f);
    return matrix_read(path, &matrix, &w);
}

static void begin(const char *text)
{
    cr_assert(eq(int, read_text(text), ERR_OK), "%s", w.text);
    traffic_init(&t, matrix.nodes, 7);
    for (uint32_t i = 0; i < matrix.count; i++) traffic_rule(&t, &matrix.rules[i]);
}

static void stop(void)
{
    traffic_fini(&t);
    folder_drop();
}

TestSuite(traffic, .init = folder_make, .fini = stop);
TestSuite(matrix, .init = folder_make, .fini = folder_drop);

static uint8_t data[1500];

static void offer(uint64_t ns, uint32_t from, uint32_t to, size_t bytes)
{
    traffic_offer(&t, (instant){ns}, from, to, data, bytes);
}

/* Takes all packets; returns the time of the last. */
static uint64_t drain(uint32_t to, unsigned *count)
{
    uint64_t at = 0;
    *count = 0;
    for (struct traffic_packet *p; (p = traffic_take(&t, INSTANT_NEVER)); free(p)) {
        if (p->to != to) continue;
        cr_assert(p->at.ns >= at);
        at = p->at.ns;
        ++*count;
    }
    return at;
}

/* The next packet is this one and is delivered at `ns`. */
static void expect(uint32_t from, uint32_t to, uint64_t ns)
{
    cr_assert(traffic_take(&t, (instant){ns - 1}) == NULL);
    struct traffic_packet *p = traffic_take(&t, (instant){ns});
    cr_assert(p != NULL);
    cr_assert(eq(u64, p->at.ns, ns));
    cr_assert(eq(u32, p->from, from));
    cr_assert(eq(u32, p->to, to));
    free(p);
}

Test(traffic, a_packet_arrives_after_the_delay_and_not_a_nanosecond_before)
{
    begin("{nodes: 2, rules: [{delay_ms: 50}]}");
    data[0] = 42;
    offer(1000, 0, 1, 100);
    cr_assert(eq(u64, traffic_due(&t).ns, 50001000));
    cr_assert(traffic_take(&t, (instant){50000999}) == NULL);
    struct traffic_packet *p = traffic_take(&t, (instant){50001000});
    cr_assert(p != NULL);
    cr_assert(eq(sz, p->bytes, 100));
    cr_assert(eq(u32, p->to, 1));
    cr_assert(eq(u8, p->data[0], 42));
    free(p);
    cr_assert(eq(u64, traffic_due(&t).ns, UINT64_MAX));
}

Test(traffic, a_burst_leaves_at_the_rate_and_the_queue_holds_what_it_may)
{
    begin("{nodes: 2, rules: [{rate_mbit: 8, queue_kib: 10, delay_ms: 1}]}"); /* 1000 ns per byte */
    for (int i = 0; i < 20; i++) offer(0, 0, 1, 1000);
    unsigned count;
    uint64_t last = drain(1, &count);
    cr_assert(eq(uint, count, 10)); /* at most 10,240 bytes are queued */
    cr_assert(eq(u64, last, 10 * 1000000 + 1000000));
    cr_assert(eq(u64, traffic_link(&t, 0, 1)->count.full, 10));
    cr_assert(eq(u64, traffic_link(&t, 0, 1)->count.delivered_bytes, 10000));
    offer(20000000, 0, 1, 1000); /* an idle link accumulates no credit */
    cr_assert(eq(u64, drain(1, &count), 22000000));
}

Test(traffic, packets_without_a_rate_keep_their_order)
{
    begin("{nodes: 2}");
    for (uint8_t i = 0; i < 200; i++) {
        data[0] = i;
        offer(5, 0, 1, 60);
    }
    for (uint8_t i = 0; i < 200; i++) {
        struct traffic_packet *p = traffic_take(&t, (instant){5});
        cr_assert(eq(u8, p->data[0], i));
        free(p);
    }
}

Test(traffic, links_do_not_touch_each_other_and_arrive_in_the_order_of_time)
{
    begin("{nodes: 3, rules: [{delay_ms: 9}, {from: 2, to: 1, delay_ms: 1}]}");
    offer(0, 0, 1, 60);
    offer(1000, 2, 1, 60);
    offer(2000, 1, 2, 60);
    const uint32_t from[] = {2, 0, 1};
    for (int i = 0; i < 3; i++) {
        struct traffic_packet *p = traffic_take(&t, INSTANT_NEVER);
        cr_assert(eq(u32, p->from, from[i]));
        free(p);
    }
}

Test(traffic, loss_is_what_the_matrix_says_and_the_seed_repeats_it)
{
    uint64_t lost[2];
    for (int round = 0; round < 2; round++) {
        if (round) traffic_fini(&t);
        begin("{nodes: 2, rules: [{loss: 0.1}]}");
        for (int i = 0; i < 100000; i++) offer(0, 0, 1, 1);
        lost[round] = traffic_link(&t, 0, 1)->count.lost;
    }
    cr_assert(lost[0] > 9500 && lost[0] < 10500, "%lu", lost[0]); /* 5 standard deviations */
    cr_assert(eq(u64, lost[0], lost[1]));
}

Test(traffic, a_cut_is_one_way_unless_it_says_both)
{
    unsigned count;
    begin("{nodes: 3, rules: [{from: 0, to: 1, cut: true}, {from: 1, to: 2, both: true, cut: "
          "true}]}");
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t j = 0; j < 3; j++) offer(0, i, j, 60);
    drain(1, &count);
    cr_assert(eq(u64, traffic_link(&t, 0, 1)->count.cut, 1));
    cr_assert(eq(u64, traffic_link(&t, 1, 0)->count.delivered, 1));
    cr_assert(eq(u64, traffic_link(&t, 1, 2)->count.cut, 1));
    cr_assert(eq(u64, traffic_link(&t, 2, 1)->count.cut, 1));
    cr_assert(eq(u64, traffic_link(&t, 2, 0)->count.delivered, 1));
}

Test(traffic, pairs_share_the_line_up_of_their_sender)
{
    begin("{nodes: 3, rules: [{node: 0, up_mbit: 8, line_kib: 10}, {delay_ms: 1}]}");
    for (uint32_t i = 0; i < 10; i++) offer(0, 0, 1 + i % 2, 1000); /* 1 ms each */
    offer(0, 0, 2, 1000);                                           /* 10,240 bytes are queued */
    offer(0, 1, 2, 1000);                                           /* node 1 has no limit */
    expect(1, 2, 1000000);
    for (uint32_t i = 0; i < 10; i++) expect(0, 1 + i % 2, (i + 2) * 1000000);
    cr_assert(traffic_take(&t, INSTANT_NEVER) == NULL);
    cr_assert(eq(u64, traffic_link(&t, 0, 2)->count.full, 1));
    cr_assert(eq(u64, traffic_link(&t, 0, 2)->count.delivered, 5));
}

Test(traffic, pairs_share_the_line_down_of_their_receiver_in_the_order_of_arrival)
{
    begin("{nodes: 3, rules: [{node: 2, down_mbit: 8}, {delay_ms: 10}, "
          "{from: 1, to: 2, delay_ms: 1}]}");
    offer(0, 0, 2, 1000);       /* arrives at 10 ms, when the line is busy until 11 */
    offer(8000000, 1, 2, 1000); /* offered later, but is nearer: arrives at 9 ms */
    offer(9000000, 1, 2, 1000); /* arrives at 10 ms, behind the first */
    offer(9000000, 2, 1, 1000); /* the way back is free */
    cr_assert(eq(u64, traffic_due(&t).ns, 9000000));
    expect(1, 2, 10000000);
    cr_assert(eq(u64, traffic_due(&t).ns, 11000000));
    expect(0, 2, 11000000);
    expect(1, 2, 12000000);
    expect(2, 1, 19000000);
}

Test(traffic, a_full_line_down_drops_what_arrives)
{
    begin("{nodes: 3, rules: [{node: 2, down_mbit: 8, line_kib: 3}]}");
    for (int i = 0; i < 3; i++) offer(0, 0, 2, 1000);
    offer(0, 1, 2, 1000); /* only 3072 bytes are queued */
    offer(500000, 1, 2, 500);
    unsigned count;
    cr_assert(eq(u64, drain(2, &count), 3500000));
    cr_assert(eq(uint, count, 4));
    cr_assert(eq(u64, traffic_link(&t, 1, 2)->count.full, 1));
    cr_assert(eq(u64, traffic_link(&t, 1, 2)->count.delivered_bytes, 500));
    cr_assert(eq(sz, t.held, 0));
}

Test(traffic, a_packet_passes_the_line_up_then_the_pair_then_the_line_down)
{
    begin("{nodes: 2, rules: [{node: 0, up_mbit: 8}, {node: 1, down_mbit: 2}, "
          "{rate_mbit: 4, delay_ms: 10}]}");
    offer(0, 0, 1, 1000);
    offer(0, 0, 1, 1000);
    expect(0, 1, (1 + 2 + 10 + 4) * 1000000);
    expect(0, 1, (1 + 2 + 10 + 4 + 4) * 1000000);
    offer(50000000, 1, 0, 1000); /* node 0 has no limit down, node 1 none up */
    expect(1, 0, (50 + 2 + 10) * 1000000);
}

Test(traffic, a_cut_pair_uses_its_senders_line_and_not_its_receivers)
{
    begin("{nodes: 3, rules: [{up_mbit: 8, down_mbit: 8}, {from: 0, to: 1, cut: true}]}");
    offer(0, 0, 1, 1000);
    offer(0, 0, 2, 1000);
    offer(0, 2, 1, 1000);
    expect(2, 1, 2000000);
    expect(0, 2, 3000000);
    cr_assert(eq(u64, traffic_link(&t, 0, 1)->count.cut, 1));
}

Test(traffic, a_line_carries_both_directions_at_once)
{
    begin("{nodes: 2, rules: [{node: 0, up_mbit: 8, down_mbit: 8}]}");
    offer(0, 0, 1, 1000);
    offer(0, 1, 0, 1000);
    expect(0, 1, 1000000);
    expect(1, 0, 1000000);
}

Test(traffic, a_line_queues_by_default_what_passes_in_100_ms)
{
    unsigned count;
    begin("{nodes: 2, rules: [{node: 0, up_mbit: 80}, {node: 1, up_mbit: 1}]}");
    for (int i = 0; i < 1100; i++) offer(0, 0, 1, 1000);
    cr_assert(eq(u64, drain(1, &count), 100000000)); /* 1,000,000 bytes */
    cr_assert(eq(uint, count, 1000));
    for (int i = 0; i < 100; i++) offer(0, 1, 0, 1000);
    drain(0, &count);
    cr_assert(eq(uint, count, 65)); /* and at least 65,536 */
}

/* Offers packets at every ms and takes them all: how much later than `delay_ms` they arrive, in the
 * order of sending. Returns how many arrive before one that was sent earlier. */
static unsigned delays(uint32_t count, uint64_t delay_ms, uint64_t late_ns[])
{
    unsigned overtakes = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(data, &i, sizeof i);
        offer((uint64_t)i * 1000000, 0, 1, 60);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct traffic_packet *p = traffic_take(&t, INSTANT_NEVER);
        uint32_t number;
        cr_assert(p != NULL);
        memcpy(&number, p->data, sizeof number);
        late_ns[number] = p->at.ns - ((uint64_t)number + delay_ms) * 1000000;
        overtakes += number < last;
        last = number;
        free(p);
    }
    return overtakes;
}

static uint64_t late_ns[10000];

Test(traffic, jitter_is_evenly_distributed_and_may_change_the_order)
{
    begin("{nodes: 2, rules: [{delay_ms: 20, jitter_ms: 5, in_order: false}]}");
    cr_assert(delays(10000, 20, late_ns) > 1000);
    unsigned fifth[5] = {0};
    for (int i = 0; i < 10000; i++) {
        cr_assert(late_ns[i] < 5000000);
        fifth[late_ns[i] / 1000000]++;
    }
    for (int i = 0; i < 5; i++) cr_assert(fifth[i] > 1800 && fifth[i] < 2200, "%u", fifth[i]);
}

Test(traffic, jitter_keeps_the_order_by_default)
{
    static uint64_t free_ns[1000];
    begin("{nodes: 2, rules: [{delay_ms: 20, jitter_ms: 5, in_order: false}]}");
    delays(1000, 20, free_ns);
    traffic_fini(&t);
    begin("{nodes: 2, rules: [{delay_ms: 20, jitter_ms: 5}]}");
    cr_assert(eq(uint, delays(1000, 20, late_ns), 0));
    uint64_t last = 0; /* each arrives when it would alone, or with one sent before it */
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t at = i * 1000000 + free_ns[i];
        last = at > last ? at : last;
        cr_assert(eq(u64, i * 1000000 + late_ns[i], last));
    }
}

Test(traffic, a_late_packet_is_overtaken)
{
    begin("{nodes: 2, rules: [{delay_ms: 20, jitter_ms: 1, reorder: 0.1, reorder_ms: 30}]}");
    cr_assert(delays(10000, 20, late_ns) > 800);
    unsigned late = 0;
    for (int i = 0; i < 10000; i++) {
        cr_assert(late_ns[i] < 1000000 || (late_ns[i] >= 30000000 && late_ns[i] < 31000000));
        late += late_ns[i] >= 30000000;
    }
    cr_assert(late > 850 && late < 1150, "%u", late);
    traffic_fini(&t);
    begin("{nodes: 2, rules: [{reorder: 1}]}");
    offer(0, 0, 1, 60);
    expect(0, 1, 10000000); /* by default */
}

/* Of 100,000 packets, in `runs` how many runs of losses there were. */
static uint64_t losses(uint64_t *runs)
{
    uint64_t lost = 0;
    *runs = 0;
    for (bool now, before = false; traffic_link(&t, 0, 1)->count.packets < 100000; before = now) {
        offer(0, 0, 1, 1);
        now = traffic_link(&t, 0, 1)->count.lost > lost;
        *runs += now && !before;
        lost += now;
    }
    return lost;
}

Test(traffic, losses_in_bursts_have_the_share_and_the_length_of_the_matrix)
{
    const struct {
        double share, burst, mean;
    } cases[] = {{0.05, 8, 8}, {0.1, 1, 1}, {0.5, 100, 100}, {0.8, 1, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100];
        uint64_t runs;
        if (i) traffic_fini(&t);
        snprintf(text, sizeof text, "{nodes: 2, rules: [{loss: %g, loss_burst: %g}]}",
                 cases[i].share, cases[i].burst);
        begin(text);
        double lost = (double)losses(&runs), mean = lost / (double)runs;
        double share = lost / 100000 / cases[i].share;
        cr_assert(share > 0.88 && share < 1.12, "%s: %g", text, lost);
        cr_assert(mean > 0.88 * cases[i].mean && mean < 1.12 * cases[i].mean, "%s: %g", text, mean);
    }
}

Test(traffic, a_burst_of_losses_ends_where_a_rule_ends_all_loss)
{
    unsigned count;
    begin("{nodes: 2, rules: [{loss: 0.99, loss_burst: 10000}]}");
    for (int i = 0; i < 10000; i++) offer(0, 0, 1, 1);
    cr_assert(traffic_link(&t, 0, 1)->bad);
    drain(1, &count);
    cr_assert(eq(int, read_text("{nodes: 2, rules: [{loss: 0}]}"), ERR_OK));
    traffic_rule(&t, &matrix.rules[0]);
    for (int i = 0; i < 100; i++) offer(0, 0, 1, 1);
    drain(1, &count);
    cr_assert(eq(uint, count, 100));
}

Test(traffic, a_double_arrives_behind_its_packet_and_uses_the_line_down)
{
    begin("{nodes: 2, rules: [{delay_ms: 5, duplicate: 1}, {down_mbit: 8}]}");
    offer(0, 0, 1, 1000);
    expect(0, 1, 6000000);
    expect(0, 1, 7000000);
    cr_assert(traffic_take(&t, INSTANT_NEVER) == NULL);
    const struct traffic_count *c = &traffic_link(&t, 0, 1)->count;
    cr_assert(c->packets == 1 && c->duplicated == 1 && c->delivered == 2);
    cr_assert(eq(sz, t.held, 0));
}

Test(traffic, what_is_drawn_for_one_thing_changes_nothing_else)
{
    uint64_t lost[2];
    const char *const text[] = {"{nodes: 2, rules: [{loss: 0.1}]}",
                                "{nodes: 2, rules: [{loss: 0.1, jitter_ms: 3, duplicate: 0.5, "
                                "reorder: 0.5}, {at_s: 1, cut: true}]}"};
    for (int round = 0; round < 2; round++) {
        if (round) traffic_fini(&t);
        cr_assert(eq(int, read_text(text[round]), ERR_OK));
        traffic_init(&t, 2, 7);
        traffic_rule(&t, &matrix.rules[0]);
        struct traffic_link *l = traffic_link(&t, 0, 1);
        for (int i = 0; i < 1000; i++) offer(0, 0, 1, 1);
        l->is.cut = round;
        for (int i = 0; i < 1000; i++) offer(0, 0, 1, 1);
        l->is.cut = false;
        l->count.lost = 0;
        for (int i = 0; i < 1000; i++) offer(0, 0, 1, 1);
        lost[round] = l->count.lost;
    }
    cr_assert(lost[0] > 50 && lost[0] < 150);
    cr_assert(eq(u64, lost[0], lost[1]));
}

Test(traffic, losses_doubles_and_late_packets_are_independent_of_each_other)
{
    begin("{nodes: 2, rules: [{loss: 0.5, duplicate: 0.5, reorder: 0.5, jitter_ms: 2, in_order: "
          "false}]}");
    for (int i = 0; i < 10000; i++) offer(0, 0, 1, 1);
    unsigned half[2][2] = {{0}}; /* late?, the latter half of the jitter? */
    for (struct traffic_packet *p; (p = traffic_take(&t, INSTANT_NEVER)); free(p))
        half[p->at.ns >= 10000000][p->at.ns % 10000000 >= 1000000]++;
    const struct traffic_count *c = &traffic_link(&t, 0, 1)->count;
    cr_assert(c->lost > 4800 && c->lost < 5200, "%lu", c->lost);
    cr_assert(c->duplicated > 2300 && c->duplicated < 2700, "%lu", c->duplicated);
    for (int i = 0; i < 4; i++) /* of about 7500 */
        cr_assert(half[i / 2][i % 2] > 1700 && half[i / 2][i % 2] < 2050, "%u", half[i / 2][i % 2]);
}

/* An IPv4 packet of node 0 to node 1: UDP that may not be cut into fragments. */
static void udp4(size_t bytes)
{
    const uint8_t head[20] = {0x45,
                              0,
                              (uint8_t)(bytes >> 8),
                              (uint8_t)bytes,
                              0,
                              0,
                              0x40,
                              0,
                              64,
                              17,
                              0,
                              0,
                              10,
                              77,
                              0,
                              1,
                              10,
                              77,
                              0,
                              2};
    memset(data, 0xab, sizeof data);
    memcpy(data, head, sizeof head);
}

/* The same over IPv6. */
static void udp6(size_t bytes)
{
    const uint8_t head[40] = {0x60,
                              0,
                              0,
                              0,
                              (uint8_t)((bytes - 40) >> 8),
                              (uint8_t)(bytes - 40),
                              17,
                              64,
                              0xfd,
                              0x77,
                              [23] = 1,
                              [24] = 0xfd,
                              [25] = 0x77,
                              [39] = 2};
    memset(data, 0xab, sizeof data);
    memcpy(data, head, sizeof head);
}

static uint32_t word(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

/* The sum of 16 bit words with the end around carry: 0xffff where the checksum is right. */
static uint32_t summed(uint32_t so_far, const uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i + 1 < bytes; i += 2) so_far += word(at + i);
    if (bytes % 2) so_far += (uint32_t)at[bytes - 1] << 8;
    while (so_far >> 16) so_far = (so_far & 0xffff) + (so_far >> 16);
    return so_far;
}

Test(traffic, a_packet_longer_than_a_pair_carries_is_dropped)
{
    begin("{nodes: 2, rules: [{delay_ms: 1}, {from: 0, mtu: 1400}, {node: 0, up_mbit: 8}]}");
    udp4(1401);
    offer(0, 0, 1, 1401);
    offer(0, 0, 1, 1400);
    offer(0, 1, 0, 1500);
    expect(1, 0, 1000000);
    expect(0, 1, 3801000); /* both have passed the line up */
    cr_assert(traffic_take(&t, INSTANT_NEVER) == NULL);
    cr_assert(eq(u64, traffic_link(&t, 0, 1)->count.too_long, 1));
}

Test(traffic, a_router_says_how_long_a_packet_may_be)
{
    begin("{nodes: 2, rules: [{delay_ms: 10, mtu: 1400, icmp: true}, "
          "{node: 0, up_mbit: 8, down_mbit: 0.8}]}");
    udp4(1500);
    offer(0, 0, 1, 1500);
    uint64_t at = 1500000 + 10000000; /* the line up, to the router and back */
    struct traffic_packet *p = traffic_take(&t, (instant){at + 576 * 10000});
    cr_assert(p != NULL);
    cr_assert(eq(u64, p->at.ns, at + 576 * 10000)); /* and the line down */
    cr_assert(eq(u32, p->to, 0));
    cr_assert(eq(sz, p->bytes, 576));
    cr_assert(eq(u32, word(p->data + 2), 576));
    cr_assert(eq(u32, summed(0, p->data, 20), 0xffff));
    cr_assert(eq(u32, summed(0, p->data + 20, 556), 0xffff));
    cr_assert(p->data[9] == 1 && p->data[20] == 3 && p->data[21] == 4);
    cr_assert(eq(u32, word(p->data + 26), 1400));
    cr_assert(memcmp(p->data + 16, "\x0a\x4d\0\x01", 4) == 0);
    cr_assert(memcmp(p->data + 28, data, 548) == 0);
    free(p);

    udp6(1500);
    offer(50000000, 0, 1, 1500);
    p = traffic_take(&t, INSTANT_NEVER);
    cr_assert(p != NULL);
    cr_assert(eq(sz, p->bytes, 1280));
    cr_assert(eq(u32, word(p->data + 4), 1240));
    cr_assert(p->data[6] == 58 && p->data[40] == 2);
    cr_assert(eq(u32, word(p->data + 46), 1400));
    cr_assert(memcmp(p->data + 24, data + 8, 16) == 0);
    cr_assert(eq(u32, summed(summed(1240 + 58, p->data + 8, 32), p->data + 40, 1240), 0xffff));
    free(p);
    cr_assert(eq(u64, traffic_link(&t, 0, 0)->count.delivered, 2));
    cr_assert(eq(u64, traffic_link(&t, 0, 1)->count.too_long, 2));
}

Test(traffic, a_router_answers_neither_an_error_nor_what_may_be_cut_into_fragments)
{
    begin("{nodes: 2, rules: [{delay_ms: 1, mtu: 1400, icmp: true}]}");
    udp4(1500);
    data[6] = 0; /* no Don't Fragment */
    offer(0, 0, 1, 1500);
    udp4(1500);
    data[9] = 1; /* ICMP */
    data[20] = 3;
    offer(0, 0, 1, 1500);
    udp6(1500);
    data[6] = 58;
    data[40] = 2;
    offer(0, 0, 1, 1500);
    data[0] = 0x10; /* no IP */
    offer(0, 0, 1, 1500);
    cr_assert(eq(u64, traffic_due(&t).ns, UINT64_MAX));
    data[0] = 0x60;
    data[40] = 128; /* an echo request */
    offer(0, 0, 1, 1500);
    expect(0, 0, 1000000);
    udp4(1500);
    data[9] = 1;
    data[20] = 8;
    offer(0, 0, 1, 1500);
    expect(0, 0, 1000000);
}

/* Sets addresses and UDP ports; the checksums do not matter. */
static void between(uint32_t from, uint16_t from_port, uint32_t to, uint16_t to_port)
{
    const uint32_t words[] = {from, to, (uint32_t)from_port << 16 | to_port};
    for (int i = 0; i < 12; i++) data[12 + i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
    data[24] = data[25] = data[26] = data[27] = 0;
    data[25] = 40; /* bytes of UDP */
}

static uint32_t address_at(const uint8_t *at) { return word(at) << 16 | word(at + 2); }

Test(traffic, a_nat_translates_before_the_line_up_and_filters_behind_the_line_down)
{
    begin("{nodes: 2, rules: [{delay_ms: 10}, {node: 1, nat: port-restricted, up_mbit: 0.8, "
          "down_mbit: 0.8}]}");
    udp4(60);
    between(plan_public(0), 9, plan_public(1), 2000);
    offer(0, 0, 1, 60); /* nobody was sent anything */
    cr_assert(traffic_take(&t, INSTANT_NEVER) == NULL);
    cr_assert(eq(u64, traffic_link(&t, 0, 1)->count.filtered, 1));
    cr_assert(eq(u64, traffic_link(&t, 0, 1)->count.delivered, 0));
    cr_assert(eq(u64, t.lines[1].down.free.ns, 10600000));
    cr_assert(eq(sz, t.held, 0));

    between(plan_private(1), 5000, plan_public(0), 9);
    offer(20000000, 1, 0, 60);
    struct traffic_packet *p = traffic_take(&t, (instant){30600000});
    cr_assert(p != NULL);
    cr_assert(eq(u32, address_at(p->data + 12), plan_public(1)));
    const uint16_t port = (uint16_t)word(p->data + 20);
    free(p);

    between(plan_public(0), 9, plan_public(1), port);
    offer(40000000, 0, 1, 60);
    p = traffic_take(&t, (instant){50600000});
    cr_assert(p != NULL);
    cr_assert(eq(u32, address_at(p->data + 16), plan_private(1)));
    cr_assert(eq(u32, word(p->data + 22), 5000));
    free(p);

    between(plan_private(1), 5000, plan_public(1), port); /* to itself, and without an address */
    offer(60000000, 1, 1, 60);
    between(plan_public(1), 5000, plan_public(0), 9);
    offer(60000000, 1, 0, 60);
    cr_assert(eq(u64, traffic_due(&t).ns, UINT64_MAX));
    cr_assert(eq(u64, traffic_link(&t, 1, 1)->count.filtered, 1));
    cr_assert(eq(u64, traffic_link(&t, 1, 0)->count.filtered, 1));
    cr_assert(eq(u64, t.lines[1].up.free.ns, 20600000)); /* what is filtered does not use it */
}

Test(traffic, a_mapping_lasts_30_s_or_what_the_matrix_says_and_outlives_another_matrix)
{
    const struct {
        const char *rule;
        uint64_t ms;
    } cases[] = {{"nat: full-cone", 30000}, {"nat: full-cone, nat_timeout_s: 0.5", 500}};
    for (size_t i = 0; i < 2; i++) {
        char text[100];
        if (i) traffic_fini(&t);
        snprintf(text, sizeof text, "{nodes: 2, rules: [{node: 1, %s}]}", cases[i].rule);
        begin(text);
        udp4(60);
        between(plan_private(1), 5000, plan_public(0), 9);
        offer(0, 1, 0, 60);
        struct traffic_packet *p = traffic_take(&t, INSTANT_NEVER);
        const uint16_t port = (uint16_t)word(p->data + 20);
        free(p);
        traffic_reset(&t);
        for (uint32_t j = 0; j < matrix.count; j++) traffic_rule(&t, &matrix.rules[j]);
        between(plan_public(0), 9, plan_public(1), port);
        offer(cases[i].ms * 1000000 - 1, 0, 1, 60);
        offer(cases[i].ms * 1000000, 0, 1, 60);
        unsigned count;
        drain(1, &count);
        cr_assert(eq(uint, count, 1));
        cr_assert(eq(u64, traffic_link(&t, 0, 1)->count.filtered, 1));
    }
}

Test(traffic, a_router_tells_a_node_behind_a_nat_how_long_a_packet_may_be)
{
    begin("{nodes: 2, rules: [{mtu: 1400, icmp: true}, {node: 0, nat: symmetric}]}");
    udp4(1500);
    between(plan_private(0), 5000, plan_public(1), 9);
    offer(0, 0, 1, 1500);
    struct traffic_packet *p = traffic_take(&t, INSTANT_NEVER);
    cr_assert(p != NULL);
    cr_assert(eq(u32, p->to, 0));
    cr_assert(eq(u32, address_at(p->data + 16), plan_private(0)));
    cr_assert(eq(u32, address_at(p->data + 28 + 12), plan_private(0)));
    cr_assert(eq(u32, word(p->data + 28 + 20), 5000));
    cr_assert(eq(u32, summed(0, p->data, 20), 0xffff));
    cr_assert(eq(u32, summed(0, p->data + 20, p->bytes - 20), 0xffff));
    free(p);
}

/* A matrix of four nodes where anything may be set for any pair and any line. */
static void begin_at_random(struct rng *r)
{
    char text[4000];
    int n = snprintf(text, sizeof text, "nodes: 4\nrules:\n");
    for (int i = 0; i < 12; i++)
        n += snprintf(
            text + n, sizeof text - (size_t)n,
            "  - {from: %d, to: %d, delay_ms: %d, jitter_ms: %d, reorder: 0.%d, rate_mbit: "
            "%d, queue_kib: %d, loss: 0.%d, loss_burst: %d, duplicate: 0.%d, mtu: %d, cut: "
            "%s}\n",
            (int)rng_below(r, 4), (int)rng_below(r, 4), (int)rng_below(r, 30),
            (int)rng_below(r, 10), (int)rng_below(r, 3), (int)rng_below(r, 20),
            2 + (int)rng_below(r, 30), (int)rng_below(r, 4), (int)rng_below(r, 5),
            (int)rng_below(r, 3), 1200 + (int)rng_below(r, 400),
            rng_below(r, 8) ? "false" : "true");
    for (int i = 0; i < 4; i++)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "  - {node: %d, up_mbit: %d, down_mbit: %d, line_kib: %d}\n", i,
                      (int)rng_below(r, 30), (int)rng_below(r, 30), 2 + (int)rng_below(r, 100));
    /* What these packets hold is no IP: the NAT drops all of it. */
    if (rng_below(r, 2))
        snprintf(text + n, sizeof text - (size_t)n, "  - {node: 3, nat: symmetric}\n");
    begin(text);
}

/* Offers 5000 packets in random gaps and takes what is due between them. Nothing arrives before its
 * pair's delay, and nobody receives more than the line down carries. */
static void carry_at_random(struct rng *r)
{
    static uint8_t packet[1500];
    uint64_t now = 0, last[4] = {0};
    for (int i = 0; i < 6000; i++) {
        uint32_t from = (uint32_t)rng_below(r, 4), to = (from + 1 + (uint32_t)rng_below(r, 3)) % 4;
        now += rng_below(r, 300000);
        memcpy(packet, &now, sizeof now);
        bool drain = i >= 5000;
        if (!drain) traffic_offer(&t, (instant){now}, from, to, packet, 40 + rng_below(r, 1400));
        instant until = drain ? INSTANT_NEVER : (instant){now};
        for (struct traffic_packet *p; (p = traffic_take(&t, until)); free(p)) {
            double rate = t.lines[p->to].is.down_mbit;
            uint64_t sent, takes = rate > 0 ? (uint64_t)((double)p->bytes * 8000 / rate) : 0;
            memcpy(&sent, p->data, sizeof sent);
            uint64_t least = (uint64_t)(traffic_link(&t, p->from, p->to)->is.delay_ms * 1e6);
            cr_assert(p->at.ns <= until.ns);
            cr_assert(p->at.ns >= sent + least);
            cr_assert(p->at.ns + 1 >= last[p->to] + takes); /* rounded in another order */
            last[p->to] = p->at.ns;
        }
    }
}

Test(traffic, every_packet_is_delivered_or_counted_for_a_reason_whatever_the_matrix)
{
    struct traffic_count all = {0};
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct rng r = rng_init(seed);
        if (seed) traffic_fini(&t);
        begin_at_random(&r);
        carry_at_random(&r);
        cr_assert(eq(u64, traffic_due(&t).ns, UINT64_MAX));
        cr_assert(eq(sz, t.held, 0));
        for (uint32_t i = 0; i < 16; i++) {
            const struct traffic_count *c = &t.links[i].count;
            cr_assert(eq(u64, c->packets + c->duplicated,
                         c->delivered + c->lost + c->full + c->cut + c->too_long + c->filtered));
            all.lost += c->lost, all.full += c->full, all.cut += c->cut;
            all.too_long += c->too_long, all.duplicated += c->duplicated;
            all.filtered += c->filtered;
        }
    }
    cr_assert(all.lost && all.full && all.cut && all.too_long); /* all were met */
    cr_assert(all.duplicated && all.filtered);
}

Test(matrix, rules_come_by_time_and_later_ones_of_a_moment_win)
{
    cr_assert(eq(int,
                 read_text("nodes: 2\nrules:\n  - {at_s: 20, cut: false}\n  - {delay_ms: 5}\n"
                           "  - {at_s: 1.5, cut: true}\n  - {delay_ms: 6}\n"),
                 ERR_OK));
    cr_assert(eq(u32, matrix.count, 4));
    const uint64_t at_ms[] = {0, 0, 1500, 20000};
    for (int i = 0; i < 4; i++) cr_assert(eq(u64, span_in_ms(matrix.rules[i].at), at_ms[i]));
    struct matrix_link l = matrix_plain();
    matrix_apply(&matrix.rules[0], &l);
    matrix_apply(&matrix.rules[1], &l);
    cr_assert(l.delay_ms == 6 && !l.cut && l.queue_kib == 256);
}

Test(matrix, scaled_rates_and_queues_are_divided_and_delays_stay)
{
    cr_assert(eq(int,
                 read_text("nodes: 2\nrules:\n  - {delay_ms: 7, rate_mbit: 100, queue_kib: 1024}\n"
                           "  - {queue_kib: 20}\n  - {queue_kib: 100}\n"
                           "  - {up_mbit: 40, down_mbit: 80, line_kib: 512}\n"),
                 ERR_OK));
    matrix_scale(&matrix, 4);
    const struct matrix_link *l = &matrix.rules[0].link;
    cr_assert(l->delay_ms == 7 && l->rate_mbit == 25 && l->queue_kib == 256);
    cr_assert(matrix.rules[1].link.queue_kib == 20);
    cr_assert(matrix.rules[2].link.queue_kib == 32);
    const struct matrix_line *line = &matrix.rules[3].line;
    cr_assert(line->up_mbit == 10 && line->down_mbit == 20 && line->line_kib == 128);
    struct matrix_link plain = matrix_plain();
    matrix_apply(&matrix.rules[0], &plain);
    cr_assert(plain.rate_mbit == 25 && plain.loss == 0 && plain.in_order);
}

Test(matrix, nodes_behind_nats_are_those_of_the_last_rule)
{
    cr_assert(eq(int,
                 read_text("nodes: 5\nrules:\n  - {nat: symmetric}\n  - {node: 0, nat: none}\n"
                           "  - {node: [1, 2], nat: full-cone}\n  - {at_s: 5, up_mbit: 3}\n"
                           "  - {node: 3, nat: restricted, nat_timeout_s: 12}\n"
                           "  - {node: 4, nat: port-restricted}\n"),
                 ERR_OK),
              "%s", w.text);
    cr_assert(eq(u64, matrix_natted(&matrix), 0x1e));
    const enum nat_kind kinds[] = {NAT_NONE, NAT_FULL_CONE, NAT_FULL_CONE, NAT_RESTRICTED,
                                   NAT_PORT_RESTRICTED};
    for (uint32_t node = 0; node < 5; node++) {
        struct matrix_line l = {0};
        for (uint32_t i = 0; i < matrix.count; i++)
            if (matrix_covers_line(&matrix.rules[i], node)) matrix_apply_line(&matrix.rules[i], &l);
        cr_assert(eq(int, (int)l.nat, (int)kinds[node]));
        cr_assert(l.up_mbit == 3 && l.nat_timeout_s == (node == 3 ? 12 : 0));
    }
}

Test(matrix, what_is_wrong_in_it_is_said_with_its_line)
{
    const char *const bad[][2] = {
        {"nodes: 0", "m.yaml:1:8: nodes needs a whole number from 1 to 64"},
        {"rules: []", "nodes is missing"},
        {"nodes: 2\nfrob: 1", ":2:1: a matrix knows nodes"},
        {"nodes: 2\nrules:\n  - {delay: 1}", ":3:6: a rule knows from, to, both, at_s, delay_ms, "},
        {"nodes: 2\nrules:\n  - {down: 1}",
         "; or node, at_s, up_mbit, down_mbit, line_kib, nat, nat_timeout_s"},
        {"nodes: 2\nrules:\n  - {delay_ms: -1}", "delay_ms needs a number from 0 to 10000"},
        {"nodes: 2\nrules:\n  - {to: 2, cut: true}", "a node needs a whole number from 0 to 1"},
        {"nodes: 2\nrules:\n  - {from: [], cut: true}", "names no node"},
        {"nodes: 2\nrules:\n  - {cut: 1}", "cut needs true or false"},
        {"nodes: 2\nrules:\n  - {from: 0}", "sets nothing"},
        {"nodes: 2\nrules:\n  - {node: 2, up_mbit: 1}", "a node needs a whole number from 0 to 1"},
        {"nodes: 2\nrules:\n  - {node: 0}", ":3:5: this rule sets nothing"},
        {"nodes: 2\nrules:\n  - {node: 0, delay_ms: 1}", ":3:15: a rule is for pairs"},
        {"nodes: 2\nrules:\n  - {to: 0, up_mbit: 1}", "or for lines (node, up_mbit"},
        {"nodes: 2\nrules:\n  - {up_mbit: -1}", "up_mbit needs a number from 0 to 100000"},
        {"nodes: 2\nrules:\n  - {line_kib: 1}", "line_kib needs a number from 2 to 1.04858e+06"},
        {"nodes: 2\nrules:\n  - {in_order: 1}", "in_order needs true or false"},
        {"nodes: 2\nrules:\n  - {jitter_ms: a}", "jitter_ms needs a number from 0 to 10000"},
        {"nodes: 2\nrules:\n  - {loss_burst: 0.5}",
         "loss_burst needs a whole number from 0 to 10000"},
        {"nodes: 2\nrules:\n  - {duplicate: 2}", "duplicate needs a number from 0 to 1"},
        {"nodes: 2\nrules:\n  - {reorder: 1.1}", "reorder needs a number from 0 to 1"},
        {"nodes: 2\nrules:\n  - {reorder_ms: -1}", "reorder_ms needs a number from 0 to 10000"},
        {"nodes: 2\nrules:\n  - {mtu: 100}", "mtu needs a whole number from 576 to 9000"},
        {"nodes: 2\nrules:\n  - {icmp: yes}", "icmp needs true or false"},
        {"nodes: 2\nrules:\n  - {nat: cone}",
         ":3:11: nat needs full-cone, restricted, port-restricted, symmetric or none"},
        {"nodes: 2\nrules:\n  - {nat: [symmetric]}", ":3:11: nat needs full-cone, "},
        {"nodes: 2\nrules:\n  - {at_s: 5, node: 1, nat: none}",
         ":3:5: a rule with nat cannot have at_s: a NAT is there from the start"},
        {"nodes: 2\nrules:\n  - {from: 0, nat: symmetric}", ":3:15: a rule is for pairs"},
        {"nodes: 2\nrules:\n  - {nat_timeout_s: 0}",
         "nat_timeout_s needs a number from 0.1 to 86400"},
        {"nodes: 2\nrules: 3", "rules needs a list"},
        {"nodes: [", "m.yaml:"},
        {"4", "a matrix is a mapping"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert(eq(int, read_text(bad[i][0]), ERR_USAGE), "%s", bad[i][0]);
        cr_assert(strstr(w.text, bad[i][1]) != NULL, "%s: %s", bad[i][0], w.text);
    }
}
