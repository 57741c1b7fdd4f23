#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "nat.h"

#define INSIDE  0xc0a84d02u /* 192.168.77.2 */
#define OUTSIDE 0xcb007102u /* 203.0.113.2 */
#define ALICE   0xcb007101u
#define BOB     0xcb007103u
#define KINDS   5
#define HEADS   28 /* of IPv4 and UDP */

static struct nat n;
static uint8_t p[1500]; /* the packet at hand */
static size_t bytes;

static void begin(enum nat_kind kind)
{
    nat_init(&n, INSIDE, OUTSIDE, rng_init(7));
    nat_set(&n, kind, span_s(30));
}

static uint32_t get16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

static void put16(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
    put16(at, v >> 16);
    put16(at + 2, v);
}

/* The sum of 16 bit words with the end around carry: 0xffff where the checksum is right. */
static uint32_t summed(uint32_t so_far, const uint8_t *at, size_t count)
{
    for (size_t i = 0; i < count; i++) so_far += i % 2 ? at[i] : (uint32_t)at[i] << 8;
    while (so_far >> 16) so_far = (so_far & 0xffff) + (so_far >> 16);
    return so_far;
}

static uint32_t summed_udp(const uint8_t *ip, const uint8_t *udp)
{
    size_t length = get16(udp + 4);
    return summed(summed(17 + (uint32_t)length, ip + 12, 8), udp, length);
}

/* Writes a UDP packet of so much payload, with IP options if `head` is above 20. */
static size_t udp(uint8_t *at, size_t head, uint32_t from, uint16_t from_port, uint32_t to,
                  uint16_t to_port, size_t payload)
{
    uint8_t *u = at + head;
    memset(at, 0, head + 8);
    at[0] = (uint8_t)(0x40 | head / 4);
    put16(at + 2, (uint32_t)(head + 8 + payload));
    put16(at + 6, 0x4000); /* Don't Fragment */
    at[8] = 64;
    at[9] = 17;
    put32(at + 12, from);
    put32(at + 16, to);
    for (size_t i = 20; i < head; i++) at[i] = 1; /* no operation */
    put16(at + 10, ~summed(0, at, head));
    put16(u, from_port);
    put16(u + 2, to_port);
    put16(u + 4, (uint32_t)(8 + payload));
    for (size_t i = 0; i < payload; i++) u[8 + i] = (uint8_t)(i * 31 + 5);
    put16(u + 6, ~summed_udp(at, u));
    return head + 8 + payload;
}

/* A dropped packet is as it was. */
static bool pass(bool out, uint64_t ms)
{
    static uint8_t before[sizeof p];
    memcpy(before, p, sizeof p);
    bool passed = (out ? nat_out : nat_in)(&n, (instant){ms * 1000000}, p, bytes);
    if (!passed) cr_assert(memcmp(before, p, sizeof p) == 0);
    return passed;
}

static bool drops(bool out, uint64_t ms) { return !pass(out, ms); }

/* The outside port of a packet that the node sends; 0: it was dropped. */
static uint16_t sent(uint64_t ms, uint16_t inside, uint32_t to, uint16_t to_port)
{
    bytes = udp(p, 20, INSIDE, inside, to, to_port, 33);
    if (!pass(true, ms)) return 0;
    uint16_t outside = (uint16_t)get16(p + 20);
    uint8_t expected[HEADS + 33];
    udp(expected, 20, OUTSIDE, outside, to, to_port, 33);
    cr_assert(memcmp(p, expected, sizeof expected) == 0);
    return outside;
}

/* The inside port that gets a packet; 0: it was dropped. */
static uint16_t got(uint64_t ms, uint16_t outside, uint32_t from, uint16_t from_port)
{
    bytes = udp(p, 20, from, from_port, OUTSIDE, outside, 33);
    if (!pass(false, ms)) return 0;
    uint16_t inside = (uint16_t)get16(p + 22);
    uint8_t expected[HEADS + 33];
    udp(expected, 20, from, from_port, INSIDE, inside, 33);
    cr_assert(memcmp(p, expected, sizeof expected) == 0);
    return inside;
}

Test(nat, nobody_gets_in_before_something_was_sent)
{
    for (enum nat_kind k = NAT_FULL_CONE; k < KINDS; k++) {
        begin(k);
        for (uint32_t port = 1; port < 65536; port += 7)
            cr_assert(eq(u16, got(0, (uint16_t)port, ALICE, 9), 0));
        cr_assert(eq(u16, got(0, 5000, ALICE, 9), 0));
    }
}

Test(nat, the_kinds_differ_in_whom_they_let_in)
{
    const struct {
        enum nat_kind kind;
        bool other_port, other_address;
    } cases[] = {{NAT_FULL_CONE, true, true},
                 {NAT_RESTRICTED, true, false},
                 {NAT_PORT_RESTRICTED, false, false},
                 {NAT_SYMMETRIC, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(cases[i].kind);
        uint16_t port = sent(0, 5000, ALICE, 9);
        cr_assert(port != 0);
        cr_assert(eq(u16, got(1, port, ALICE, 9), 5000));
        cr_assert(eq(u16, got(1, port, ALICE, 10), cases[i].other_port ? 5000 : 0));
        cr_assert(eq(u16, got(1, port, BOB, 9), cases[i].other_address ? 5000 : 0));
    }
}

Test(nat, only_a_symmetric_one_has_another_port_for_each_destination)
{
    for (enum nat_kind k = NAT_FULL_CONE; k < KINDS; k++) {
        begin(k);
        const uint16_t first = sent(0, 5000, ALICE, 9), port = sent(0, 5000, ALICE, 10);
        const uint16_t address = sent(0, 5000, BOB, 9);
        const bool same = k != NAT_SYMMETRIC;
        cr_assert(same == (port == first) && same == (address == first));
        cr_assert(same || port != address);
        cr_assert(eq(u16, sent(0, 5000, ALICE, 9), first));
        cr_assert(eq(u16, got(0, first, ALICE, 9), 5000));
        cr_assert(eq(u16, got(0, address, BOB, 9), 5000));
        cr_assert(eq(u16, got(0, first, BOB, 9), same ? 5000 : 0));
    }
}

Test(nat, two_inside_ports_have_two_outside_ports_and_do_not_open_each_other)
{
    for (enum nat_kind k = NAT_FULL_CONE; k < KINDS; k++) {
        begin(k);
        const uint16_t a = sent(0, 5000, ALICE, 9), b = sent(0, 6000, BOB, 9);
        cr_assert(a != b);
        cr_assert(eq(u16, got(1, a, ALICE, 9), 5000));
        cr_assert(eq(u16, got(1, b, BOB, 9), 6000));
        cr_assert(eq(u16, got(1, a, BOB, 9), k == NAT_FULL_CONE ? 5000 : 0));
        cr_assert(eq(u16, got(1, b, ALICE, 9), k == NAT_FULL_CONE ? 6000 : 0));
    }
}

Test(nat, a_mapping_ends_when_nothing_was_sent_for_the_timeout)
{
    for (enum nat_kind k = NAT_FULL_CONE; k < KINDS; k++) {
        begin(k);
        const uint16_t first = sent(0, 5000, ALICE, 9);
        cr_assert(eq(u16, sent(20000, 5000, ALICE, 9), first)); /* lives until 50 s */
        cr_assert(eq(u16, got(49999, first, ALICE, 9), 5000));  /* which does not prolong it */
        cr_assert(eq(u16, got(50000, first, ALICE, 9), 0));
        const uint16_t second = sent(50000, 5000, ALICE, 9);
        cr_assert(second != 0 && second != first);
        cr_assert(eq(u16, got(50000, first, ALICE, 9), 0));
        cr_assert(eq(u16, got(50000, second, ALICE, 9), 5000));
    }
}

Test(nat, each_remote_is_let_in_for_as_long_as_something_is_sent_to_it)
{
    for (enum nat_kind k = NAT_RESTRICTED; k <= NAT_PORT_RESTRICTED; k++) {
        begin(k);
        const uint16_t port = sent(0, 5000, ALICE, 9);
        cr_assert(eq(u16, sent(20000, 5000, BOB, 9), port));
        cr_assert(eq(u16, got(30000, port, ALICE, 9), 0));
        cr_assert(eq(u16, got(30000, port, BOB, 9), 5000));
        cr_assert(eq(u16, sent(40000, 5000, ALICE, 9), port)); /* as the other flow kept it */
        cr_assert(eq(u16, got(40000, port, ALICE, 9), 5000));
    }
}

Test(nat, a_new_timeout_counts_at_once_and_a_new_kind_ends_all_mappings)
{
    begin(NAT_FULL_CONE);
    const uint16_t port = sent(0, 5000, ALICE, 9);
    nat_set(&n, NAT_FULL_CONE, span_s(2));
    cr_assert(eq(u16, got(1999, port, ALICE, 9), 5000));
    cr_assert(eq(u16, got(2000, port, ALICE, 9), 0));
    nat_set(&n, NAT_FULL_CONE, span_s(60));
    cr_assert(eq(u16, got(2000, port, ALICE, 9), 5000));
    nat_set(&n, NAT_SYMMETRIC, span_s(60));
    cr_assert(eq(u16, got(2000, port, ALICE, 9), 0));
}

Test(nat, ports_come_from_the_seed_and_are_never_the_inside_one)
{
    begin(NAT_SYMMETRIC);
    uint16_t first[200];
    for (uint16_t i = 0; i < 200; i++) {
        first[i] = sent(0, 5000, ALICE, (uint16_t)(i + 1));
        cr_assert(first[i] >= NAT_PORT_MIN && first[i] != 5000);
    }
    begin(NAT_SYMMETRIC);
    for (uint16_t i = 0; i < 200; i++)
        cr_assert(eq(u16, sent(0, 5000, ALICE, (uint16_t)(i + 1)), first[i]));
    unsigned same = 0;
    begin(NAT_SYMMETRIC);
    n.rng = rng_init(8);
    for (uint16_t i = 0; i < 200; i++) same += sent(0, 5000, ALICE, (uint16_t)(i + 1)) == first[i];
    cr_assert(same < 5);

    begin(NAT_SYMMETRIC); /* whatever is drawn for this destination, it is not its inside port */
    const uint16_t drawn = sent(0, 5000, ALICE, 9);
    begin(NAT_SYMMETRIC);
    cr_assert(sent(0, drawn, ALICE, 9) != drawn);
}

Test(nat, a_full_table_drops_new_flows_until_old_ones_are_over)
{
    for (enum nat_kind k = NAT_FULL_CONE; k < KINDS; k++) {
        static bool used[65536];
        memset(used, 0, sizeof used);
        begin(k);
        unsigned ports = 0;
        for (uint32_t i = 0; i < NAT_FLOWS_MAX; i++) {
            uint16_t port = sent(i, 5000, BOB, (uint16_t)(i + 1));
            cr_assert(port != 0);
            ports += !used[port];
            used[port] = true;
        }
        cr_assert(eq(uint, ports, k == NAT_SYMMETRIC ? NAT_FLOWS_MAX : 1));
        cr_assert(eq(u16, sent(2000, 5000, ALICE, 9), 0));
        cr_assert(eq(u16, sent(2000, 6000, ALICE, 9), 0));
        cr_assert(sent(2000, 5000, BOB, 1) != 0); /* an old one goes on */
        cr_assert(eq(u16, sent(30000, 5000, ALICE, 9), 0));
        cr_assert(sent(30001, 5000, ALICE, 9) != 0); /* that to BOB's port 2 is over */
        cr_assert(eq(u16, sent(30001, 5000, ALICE, 10), 0));
    }
}

Test(nat, a_missing_checksum_stays_missing_and_a_wrong_one_wrong)
{
    for (int out = 0; out < 2; out++) {
        begin(NAT_FULL_CONE);
        const uint16_t port = sent(0, 5000, ALICE, 9);
        for (int wrong = 0; wrong < 2; wrong++) {
            bytes = out ? udp(p, 20, INSIDE, 5000, ALICE, 9, 5)
                        : udp(p, 20, ALICE, 9, OUTSIDE, port, 5);
            put16(p + 26, wrong ? get16(p + 26) ^ 0x100 : 0);
            cr_assert(pass(out, 0));
            cr_assert(eq(u32, summed(0, p, 20), 0xffff));
            if (wrong) cr_assert(ne(u32, summed_udp(p, p + 20), 0xffff));
            else cr_assert(eq(u32, get16(p + 26), 0));
        }
    }
}

Test(nat, a_checksum_that_becomes_0_is_sent_as_all_ones)
{
    begin(NAT_FULL_CONE);
    unsigned ones = 0;
    for (uint32_t i = 0; i < 65536; i++) {
        bytes = udp(p, 20, INSIDE, 5000, ALICE, 9, 2);
        put16(p + 28, i);
        put16(p + 26, 0);
        uint32_t sum = ~summed_udp(p, p + 20) & 0xffff;
        put16(p + 26, sum ? sum : 0xffff);
        cr_assert(pass(true, 0));
        cr_assert(eq(u32, summed_udp(p, p + 20), 0xffff));
        cr_assert(get16(p + 26) != 0);
        ones += get16(p + 26) == 0xffff;
    }
    cr_assert(ones >= 1);
}

Test(nat, ip_options_and_an_empty_payload_pass)
{
    begin(NAT_PORT_RESTRICTED);
    for (size_t head = 20; head <= 60; head += 4) {
        uint8_t expected[sizeof p];
        bytes = udp(p, head, INSIDE, 5000, ALICE, 9, 0);
        cr_assert(pass(true, 0));
        uint16_t port = (uint16_t)get16(p + head);
        udp(expected, head, OUTSIDE, port, ALICE, 9, 0);
        cr_assert(memcmp(p, expected, bytes) == 0);
        bytes = udp(p, head, ALICE, 9, OUTSIDE, port, 0);
        cr_assert(pass(false, 0));
        udp(expected, head, ALICE, 9, INSIDE, 5000, 0);
        cr_assert(memcmp(p, expected, bytes) == 0);
    }
}

/* Writes an ICMP error about a UDP packet, of which it quotes so many bytes. */
static size_t error(uint8_t *at, uint32_t from, uint32_t to, uint8_t type, const uint8_t *about,
                    size_t quoted)
{
    const size_t all = HEADS + quoted;
    udp(at, 20, from, 0, to, 0, 0);
    put16(at + 2, (uint32_t)all);
    at[9] = 1;
    put16(at + 10, 0);
    put16(at + 10, ~summed(0, at, 20));
    memset(at + 20, 0, 8);
    at[20] = type;
    at[21] = 3;
    put16(at + 26, 1400);
    memcpy(at + HEADS, about, quoted);
    put16(at + 22, ~summed(0, at + 20, all - 20));
    return all;
}

Test(nat, an_icmp_error_comes_in_with_the_packet_that_it_quotes)
{
    const uint32_t router = 0xcb0071fe;
    const size_t quotes[] = {HEADS, HEADS + 33};
    for (enum nat_kind k = NAT_FULL_CONE; k < KINDS; k++)
        for (size_t i = 0; i < 2; i++) {
            uint8_t about[HEADS + 33], expected[2 * HEADS + 33];
            begin(k);
            const uint16_t port = sent(0, 5000, ALICE, 9);
            udp(about, 20, INSIDE, 5000, ALICE, 9, 33);
            error(expected, router, INSIDE, 3, about, quotes[i]);
            udp(about, 20, OUTSIDE, port, ALICE, 9, 33);
            bytes = error(p, router, OUTSIDE, 3, about, quotes[i]);
            cr_assert(pass(false, 29999));
            cr_assert(memcmp(p, expected, bytes) == 0);
            bytes = error(p, router, OUTSIDE, 3, about, quotes[i]);
            cr_assert(drops(false, 30000)); /* the flow is over */
        }
}

Test(nat, an_icmp_error_goes_out_with_the_packet_that_it_quotes)
{
    for (enum nat_kind k = NAT_FULL_CONE; k < KINDS; k++) {
        uint8_t about[HEADS + 33], expected[2 * HEADS + 33];
        begin(k);
        const uint16_t port = sent(0, 5000, ALICE, 9);
        udp(about, 20, ALICE, 9, OUTSIDE, port, 33);
        error(expected, OUTSIDE, ALICE, 3, about, sizeof about);
        udp(about, 20, ALICE, 9, INSIDE, 5000, 33);
        bytes = error(p, INSIDE, ALICE, 3, about, sizeof about);
        cr_assert(pass(true, 20000));
        cr_assert(memcmp(p, expected, bytes) == 0);
        cr_assert(eq(u16, got(30000, port, ALICE, 9), 0)); /* it has prolonged nothing */
    }
}

Test(nat, an_icmp_error_about_no_flow_is_dropped)
{
    uint8_t about[HEADS];
    begin(NAT_PORT_RESTRICTED);
    const uint16_t port = sent(0, 5000, ALICE, 9);
    const struct {
        uint32_t from, to;
        uint16_t from_port, to_port;
    } cases[] = {{OUTSIDE, ALICE, (uint16_t)(port + 1), 9},
                 {OUTSIDE, ALICE, port, 10},
                 {OUTSIDE, BOB, port, 9},
                 {INSIDE, ALICE, port, 9},
                 {INSIDE, ALICE, 5000, 9},
                 {BOB, ALICE, port, 9}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        udp(about, 20, cases[i].from, cases[i].from_port, cases[i].to, cases[i].to_port, 0);
        bytes = error(p, ALICE, OUTSIDE, 3, about, HEADS);
        cr_assert(drops(false, 0), "%zu", i);
        bytes = error(p, INSIDE, ALICE, 3, about, HEADS);
        cr_assert(drops(true, 0), "%zu", i);
    }
}

Test(nat, only_icmp_errors_about_udp_pass)
{
    uint8_t about[HEADS];
    begin(NAT_FULL_CONE);
    const uint16_t port = sent(0, 5000, ALICE, 9);
    udp(about, 20, OUTSIDE, port, ALICE, 9, 0);
    const uint8_t good[] = {3, 11, 12}, bad[] = {0, 4, 5, 8, 13, 255};
    for (size_t i = 0; i < sizeof good; i++) {
        bytes = error(p, ALICE, OUTSIDE, good[i], about, HEADS);
        cr_assert(pass(false, 0));
    }
    for (size_t i = 0; i < sizeof bad; i++) {
        bytes = error(p, ALICE, OUTSIDE, bad[i], about, HEADS);
        cr_assert(drops(false, 0));
    }
    bytes = error(p, ALICE, OUTSIDE, 3, about, HEADS - 1);
    cr_assert(drops(false, 0));
    about[9] = 6; /* TCP */
    bytes = error(p, ALICE, OUTSIDE, 3, about, HEADS);
    cr_assert(drops(false, 0));
    about[9] = 17;
    about[7] = 1; /* a later fragment: there are no ports in it */
    bytes = error(p, ALICE, OUTSIDE, 3, about, HEADS);
    cr_assert(drops(false, 0));
    about[7] = 0;
    about[0] = 0x4f; /* a header of 60 bytes, which are not there */
    bytes = error(p, ALICE, OUTSIDE, 3, about, HEADS);
    cr_assert(drops(false, 0));
}

Test(nat, what_belongs_to_somebody_else_is_dropped)
{
    begin(NAT_FULL_CONE);
    const uint16_t port = sent(0, 5000, ALICE, 9);
    bytes = udp(p, 20, BOB, 5000, ALICE, 9, 5); /* a false source */
    cr_assert(drops(true, 0));
    bytes = udp(p, 20, OUTSIDE, port, ALICE, 9, 5);
    cr_assert(drops(true, 0));
    bytes = udp(p, 20, INSIDE, 5000, OUTSIDE, port, 5); /* no hairpinning */
    cr_assert(drops(true, 0));
    bytes = udp(p, 20, ALICE, 9, BOB, port, 5);
    cr_assert(drops(false, 0));
    bytes = udp(p, 20, ALICE, 9, INSIDE, 5000, 5);
    cr_assert(drops(false, 0));
}

Test(nat, malformed_packets_and_fragments_are_dropped)
{
    const struct {
        size_t at; /* of a word, what it becomes, and how many bytes the packet then has */
        uint32_t word;
        size_t bytes;
    } cases[] = {
        {0, 0x6500, 40}, /* IPv6 */
        {0, 0x4400, 40}, /* a header of 16 bytes */
        {0, 0x4f00, 40}, /* one of 60 */
        {2, 41, 40},     /* longer than what came */
        {2, 27, 40},     /* no room for ports */
        {2, 36, 40},     /* shorter than UDP says */
        {6, 0x2000, 40}, /* the first fragment */
        {6, 0x0001, 40}, /* a later one */
        {8, 0x4006, 40}, /* TCP */
        {24, 7, 40},     /* a UDP length below its header */
        {24, 21, 40},    /* and one beyond the packet */
        {0, 0x4500, 19}, /* half a header */
        {0, 0x4500, 27}, /* half a UDP header */
        {0, 0x4500, 0},  /* nothing */
    };
    begin(NAT_FULL_CONE);
    const uint16_t port = sent(0, 5000, ALICE, 9);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int out = 0; out < 2; out++) {
            bytes = out ? udp(p, 20, INSIDE, 5000, ALICE, 9, 12)
                        : udp(p, 20, ALICE, 9, OUTSIDE, port, 12);
            cr_assert(pass(out, 0));
            bytes = out ? udp(p, 20, INSIDE, 5000, ALICE, 9, 12)
                        : udp(p, 20, ALICE, 9, OUTSIDE, port, 12);
            put16(p + cases[i].at, cases[i].word);
            bytes = cases[i].bytes;
            cr_assert(drops(out, 0), "%zu", i);
        }
    bytes = udp(p, 20, INSIDE, 20, ALICE, 9, 12); /* its port would be its UDP length */
    p[0] = 0x44;
    cr_assert(drops(true, 0));
}

/* Each in memory of its own length, so that a sanitizer sees what is read or written beyond. */
Test(nat, random_changes_of_packets_do_no_harm)
{
    struct rng r = rng_init(3);
    unsigned passed = 0, dropped = 0;
    begin(NAT_RESTRICTED);
    for (int i = 0; i < 200000; i++) {
        uint8_t about[HEADS + 33];
        const bool out = rng_below(&r, 2), icmp = rng_below(&r, 2);
        const uint16_t port = sent(0, 5000, ALICE, 9);
        udp(about, 20, out ? ALICE : OUTSIDE, out ? 9 : port, out ? INSIDE : ALICE, out ? 5000 : 9,
            33);
        bytes = icmp  ? error(p, out ? INSIDE : BOB, out ? ALICE : OUTSIDE, 3, about, 40)
                : out ? udp(p, 20, INSIDE, 5000, ALICE, 9, 20)
                      : udp(p, 20, ALICE, 9, OUTSIDE, port, 20);
        for (uint64_t changes = rng_below(&r, 4); changes; changes--)
            p[rng_below(&r, bytes)] = (uint8_t)rng_below(&r, 256);
        if (rng_below(&r, 4) == 0) bytes = rng_below(&r, bytes + 1);
        uint8_t *own = malloc(bytes);
        memcpy(own, p, bytes);
        *((out ? nat_out : nat_in)(&n, (instant){0}, own, bytes) ? &passed : &dropped) += 1;
        free(own);
        if (n.count > NAT_FLOWS_MAX / 2) begin(NAT_RESTRICTED);
    }
    cr_assert(passed > 20000 && dropped > 20000, "%u %u", passed, dropped);
}
