/* families_test.c -- IPv4 and IPv6 on one socket, and hosts with several addresses. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/internal.h"
#include "net/interface.h"
#include "net/resolve.h"
#include "pair.h"

static struct node a, b;

static void stop(void)
{
    if (a.endpoint) node_stop(&a);
    if (b.endpoint) node_stop(&b);
    if (loop) loop_close(loop);
    loop = NULL;
}

static struct address text_address(const char *host, uint16_t port)
{
    char text[ADDRESS_TEXT_BYTES];
    struct address out;
    snprintf(text, sizeof text, "%s:%u", host, port);
    cr_assert(address_parse(text, &out), "%s", text);
    return out;
}

static void listen_on(struct node *n, const char *where, uint8_t seed)
{
    struct endpoint_config c = endpoint_defaults(where);
    node_start(n, &c, seed);
}

static void assert_equal(struct address got, struct address wanted, const char *what)
{
    char x[ADDRESS_TEXT_BYTES], y[ADDRESS_TEXT_BYTES];
    cr_assert(address_equal(&got, &wanted), "%s: %s, not %s", what, address_print(&got, x),
              address_print(&wanted, y));
}

/* a dials b at `host`; both say where they see the other. */
static void meets(const char *host)
{
    struct why w = {0};
    struct address to = text_address(host, b.address.port);
    struct link_info info;
    a.ups = b.ups = a.downs = 0;
    cr_assert_neq(endpoint_dial(a.endpoint, identity_id(b.self), &to, &w), LINK_NONE, "%s", w.text);
    turn_until((a.ups && b.ups) || a.downs, 5);
    cr_assert(a.ups == 1 && b.ups == 1, "no link to %s: %s", host, a.reason);
    cr_assert(link_info(a.endpoint, a.up, &info));
    assert_equal(info.address, to, "whom a dialled");
    cr_assert(link_info(b.endpoint, b.up, &info));
    cr_assert_eq(info.address.family, to.family, "b sees a plain address");
    cr_assert_eq(info.address.port, a.address.port);
}

/* A megabyte each way: batches of segments. */
static void exchange_parcels(void)
{
    static uint8_t blob[1 << 20];
    struct bytes none = bytes_of(NULL, 0);
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, sizeof blob), none, i));
        cr_assert(link_parcel(b.endpoint, b.up, bytes_of(blob, sizeof blob), none, i));
    }
    turn_until(a.parcel_count == 4 && b.parcel_count == 4, 10);
    cr_assert_eq(a.parcel_count, 4);
    cr_assert_eq(b.parcel_count, 4);
    cr_assert_eq(a.downs + b.downs, 0, "%s%s", a.reason, b.reason);
}

TestSuite(families, .fini = stop, .timeout = 30);

Test(families, a_wildcard_of_ipv4_is_dialled_over_ipv6)
{
    need_ipv6();
    listen_on(&a, "[::1]:0", 1);
    listen_on(&b, "0.0.0.0:0", 2);
    meets("[::1]");
    exchange_parcels();
}

Test(families, a_wildcard_of_ipv6_is_dialled_over_ipv4)
{
    need_ipv6();
    listen_on(&a, "127.0.0.1:0", 1);
    listen_on(&b, "[::]:0", 2);
    meets("127.0.0.1");
    exchange_parcels();
}

Test(families, a_wildcard_dials_peers_of_both)
{
    need_ipv6();
    for (int i = 0; i < 3; i++) {
        const char *const any[] = {"0.0.0.0:0", "[::]:0", "*:0"};
        listen_on(&a, any[i], 1);
        listen_on(&b, "[::1]:0", 2);
        meets("[::1]");
        node_stop(&b);
        turn_until(a.downs, 5); /* its goodbye */
        listen_on(&b, "127.0.0.1:0", 3);
        meets("127.0.0.1");
        node_stop(&a);
        node_stop(&b);
    }
    a.endpoint = b.endpoint = NULL;
}

Test(families, two_wildcards_meet_over_either)
{
    need_ipv6();
    listen_on(&a, "0.0.0.0:0", 1);
    listen_on(&b, "[::]:0", 2);
    meets("127.0.0.1");
    exchange_parcels();
}

Test(families, works_where_the_kernel_has_no_ipv6)
{
    listen_on(&a, "0.0.0.0:0", 1);
    struct why w = {0};
    struct address six = text_address("[::1]", 4433);
    a.endpoint->udp.six = false; /* as udp_open leaves it there */
    cr_assert_eq(endpoint_dial(a.endpoint, (const uint8_t[32]){1}, &six, &w), LINK_NONE);
    cr_assert_str_eq(w.text, "cannot dial [::1]:4433: the kernel of this machine has no IPv6");
    cr_assert_eq(w.err, ERR_UNSUPPORTED);
    a.endpoint->udp.six = true;
}

Test(families, a_socket_of_one_family_says_what_it_cannot_dial)
{
    need_ipv6();
    struct why w = {0};
    struct address six = text_address("[2001:db8::1]", 4433), four = text_address("192.0.2.1", 99);
    listen_on(&a, "127.0.0.1:0", 1);
    listen_on(&b, "[::1]:0", 2);
    cr_assert_eq(endpoint_dial(a.endpoint, identity_id(b.self), &six, &w), LINK_NONE);
    cr_assert(strstr(w.text, "cannot dial [2001:db8::1]:4433 from 127.0.0.1:"), "%s", w.text);
    cr_assert(strstr(w.text, "IPv4 alone: listen on 0.0.0.0 or [::]"), "%s", w.text);
    cr_assert_eq(endpoint_dial(b.endpoint, identity_id(a.self), &four, &w), LINK_NONE);
    cr_assert(strstr(w.text, "cannot dial 192.0.2.1:99 from [::1]:"), "%s", w.text);
    cr_assert(strstr(w.text, "IPv6 alone"), "%s", w.text);
    cr_assert_eq(w.err, ERR_UNSUPPORTED);
}

Test(families, nobody_dials_a_wildcard)
{
    struct why w = {0};
    listen_on(&a, "0.0.0.0:0", 1);
    struct address any = text_address("0.0.0.0", 4433);
    cr_assert_eq(endpoint_dial(a.endpoint, (const uint8_t[32]){1}, &any, &w), LINK_NONE);
    cr_assert_str_eq(w.text, "0.0.0.0:4433 is no address that can be dialled");
}

/* The kernel would answer from 127.0.0.1, and the client would not know the sender. */
static void answers_from(const char *listen)
{
    listen_on(&a, "127.0.0.1:0", 1);
    listen_on(&b, listen, 2);
    meets("127.0.0.2");
    exchange_parcels();
    link_close(a.endpoint, a.up, CLOSE_OK, "");
    turn_until(b.downs, 5);
    cr_assert_eq(b.end.code, CLOSE_OK, "its end came through, too");
}

Test(families, answers_leave_from_the_address_that_was_asked) { answers_from("0.0.0.0:0"); }

Test(families, on_a_socket_of_both_families_too)
{
    need_ipv6();
    answers_from("[::]:0");
}

Test(families, a_host_without_ipv6_answers_from_there_too)
{
    struct address to;
    struct udp u = {.any = true};
    union udp_name name, from, local;
    size_t segment;
    uint8_t in[65536];
    /* As udp_open does it when socket(AF_INET6) fails. */
    int client = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    u.fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    cr_assert_eq(bind(u.fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(getsockname(u.fd, (struct sockaddr *)&at, &n), 0);
    cr_assert_eq(setsockopt(u.fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on), 0);
    u.local = udp_address_of((struct sockaddr *)&at);
    to = text_address("127.0.0.3", u.local.port);
    n = udp_name_of(&to, &name);
    cr_assert_eq(sendto(client, "x", 1, 0, &name.any, n), 1);
    cr_assert_eq(udp_receive(&u, in, &from, &local, &segment), 1);
    assert_equal(udp_address_of(&local.any), to, "where it was sent to");
    cr_assert_eq(udp_send(&u, &local.any, &from.any, bytes_of("y", 1), 1), UDP_SENT);
    n = sizeof name;
    cr_assert_eq(recvfrom(client, in, sizeof in, 0, &name.any, &n), 1);
    assert_equal(udp_address_of(&name.any), to, "where the answer came from");
    close(client);
    udp_close(&u);
}

/* The host lost the address that it was asked at, as after a lease that ran out. */
Test(families, sends_from_another_address_when_that_one_is_gone)
{
    const char *const listens[] = {"0.0.0.0:0", "[::]:0"};
    for (int i = 0; i < 2; i++) {
        struct address listen, gone = text_address("203.0.113.77", 9), here;
        struct udp u;
        size_t clamped;
        struct why w = {0};
        union udp_name from, to, seen;
        uint8_t in[8], twice[2400] = {7};
        cr_assert(address_parse(listens[i], &listen));
        cr_assert_eq(udp_open(&u, &listen, true, true, 1 << 16, &clamped, &w), ERR_OK, "%s",
                     w.text);
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof at;
        cr_assert(!bind(fd, (struct sockaddr *)&at, n) &&
                  !getsockname(fd, (struct sockaddr *)&at, &n));
        here = udp_address_of((struct sockaddr *)&at);
        udp_name_of(&gone, &from);
        udp_name_of(&here, &to);
        cr_assert_eq(udp_send(&u, &from.any, &to.any, bytes_of("x", 1), 1), UDP_SENT);
        n = sizeof seen;
        cr_assert_eq(recvfrom(fd, in, sizeof in, MSG_DONTWAIT, &seen.any, &n), 1);
        cr_assert_eq(ntohs(seen.v4.sin_port), u.local.port);
        /* A batch neither takes that for a device without segmentation. */
        cr_assert_eq(udp_send(&u, &from.any, &to.any, bytes_of(twice, sizeof twice), 1200),
                     UDP_SENT);
        cr_assert_eq(recv(fd, in, sizeof in, MSG_DONTWAIT | MSG_TRUNC), 1200);
        cr_assert_eq(recv(fd, in, sizeof in, MSG_DONTWAIT | MSG_TRUNC), 1200);
        close(fd);
        udp_close(&u);
    }
}

Test(families, nobody_listens_is_heard_for_both)
{
    need_ipv6();
    const char *const hosts[] = {"127.0.0.1", "[::1]"};
    struct address listen = text_address("0.0.0.0", 0);
    struct udp u;
    size_t clamped, count;
    uint8_t sent[100];
    for (size_t i = 0; i < sizeof sent; i++) sent[i] = (uint8_t)(i * i);
    cr_assert_eq(udp_open(&u, &listen, true, true, 1 << 16, &clamped, NULL), ERR_OK);
    for (int i = 0; i < 2; i++) {
        struct address nobody = text_address(hosts[i], 1); /* tcpmux: nobody has it on UDP */
        union udp_name to, from, said;
        udp_name_of(&nobody, &to);
        udp_local(&u, nobody.family, &from);
        uint8_t quoted[UDP_QUOTED_BYTES];
        cr_assert_eq(udp_send(&u, &from.any, &to.any, bytes_of(sent, sizeof sent), sizeof sent),
                     UDP_SENT);
        bool refused = udp_refused(&u, &said, quoted, &count);
        cr_assert(refused, "%s", hosts[i]);
        cr_assert_eq(count, UDP_QUOTED_BYTES, "%zu", count);
        cr_assert(!memcmp(quoted, sent, count), "what was sent there");
        assert_equal(udp_address_of(&said.any), nobody, "who is not there");
    }
    udp_close(&u);
}

Test(families, no_router_may_cut_packets_of_either)
{
    need_ipv6();
    const char *const listens[] = {"0.0.0.0", "[::]", "127.0.0.1", "[::1]"};
    for (int i = 0; i < 4; i++) {
        struct address listen = text_address(listens[i], 0);
        struct udp u;
        size_t clamped;
        int value = -1;
        socklen_t n = sizeof value;
        cr_assert_eq(udp_open(&u, &listen, true, true, 1 << 16, &clamped, NULL), ERR_OK);
        cr_assert_eq(udp_speaks(&u, 4), i != 3);
        cr_assert_eq(udp_speaks(&u, 6), i != 2);
        if (i != 3) cr_assert_eq(getsockopt(u.fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &n), 0);
        if (i != 3) cr_assert_eq(value, IP_PMTUDISC_PROBE, "%s", listens[i]);
        if (i != 2) cr_assert_eq(getsockopt(u.fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, &n), 0);
        if (i != 2) cr_assert_eq(value, IPV6_PMTUDISC_PROBE, "%s", listens[i]);
        udp_close(&u);
    }
}

Test(families, a_star_is_every_address_and_never_a_name)
{
    struct address out = {0};
    struct why w = {0};
    cr_assert_eq(resolve_listen("*:4433", &out, &w), ERR_OK, "%s", w.text);
    assert_equal(out, text_address("0.0.0.0", 4433), "*:4433");
    cr_assert_eq(resolve_listen("*:port", &out, &w), ERR_USAGE);
    cr_assert_str_eq(w.text, "'*:port' is not an address to listen on: write *:4433");
    cr_assert_eq(resolve_address("*:4433", &out, &w), ERR_USAGE, "nobody can be dialled there");
}

Test(families, a_wildcard_is_never_shown_as_an_address)
{
    const char *const any[] = {"0.0.0.0", "[::]"};
    for (int i = 0; i < 2; i++) {
        struct address listen = text_address(any[i], 4433);
        struct address shown = interface_reachable(&listen);
        cr_assert(!address_is_any(&shown) && shown.family);
        cr_assert_eq(shown.port, 4433);
        int fd = socket(shown.family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
        union udp_name name;
        shown.port = 0;
        socklen_t n = udp_name_of(&shown, &name);
        cr_assert_eq(bind(fd, &name.any, n), 0, "it is one of this host's");
        close(fd);
    }
    struct address one = text_address("127.0.0.2", 9);
    assert_equal(interface_reachable(&one), one, "an address that is one");
}

Test(families, ipv4_in_ipv6s_clothes_is_plain_ipv4)
{
    assert_equal(text_address("[::ffff:192.0.2.7]", 80), text_address("192.0.2.7", 80), "parsed");
    struct address dressed = {.family = 6, .port = 5, .ip = {[10] = 255, [11] = 255, 127, 0, 0, 1}};
    assert_equal(address_plain(&dressed), text_address("127.0.0.1", 5), "plain");
    listen_on(&a, "*:0", 1);
    listen_on(&b, "127.0.0.1:0", 2);
    dressed.port = b.address.port;
    cr_assert_neq(endpoint_dial(a.endpoint, identity_id(b.self), &dressed, NULL), LINK_NONE);
    turn_until(a.ups && b.ups, 5);
    cr_assert(a.ups == 1 && b.ups == 1);
}

Test(families, a_name_is_looked_up_for_both)
{
    need_ipv6();
    struct address all[RESOLVE_ADDRESSES_MAX];
    size_t count;
    struct why w = {0};
    struct resolve_name name = {"localhost", 77}, none = {"no-such-host.invalid", 1};
    cr_assert_eq(resolve_look_up(&name, all, &count, &w), ERR_OK, "%s", w.text);
    cr_assert(count >= 1);
    assert_equal(all[0], text_address("127.0.0.1", 77), "IPv4 first");
    cr_assert_eq(resolve_look_up(&none, all, &count, &w), ERR_NETWORK);
    cr_assert(strstr(w.text, "looking up no-such-host.invalid: "), "%s", w.text);
}

Test(families, a_number_with_a_mistake_is_no_name)
{
    struct address a;
    struct resolve_name name;
    struct why w = {0};
    const char *const bad[] = {"1.2.3:4433", "10:4433", "1.2.3.4.5:1", "*:1", "a b:1", "[::1:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(resolve_read(bad[i], &a, &name, &w), ERR_USAGE, "%s", bad[i]);
    cr_assert_eq(resolve_read("7.example.org:1", &a, &name, &w), ERR_OK);
    cr_assert(a.family == 0 && name.port == 1 && !strcmp(name.host, "7.example.org"));
}
