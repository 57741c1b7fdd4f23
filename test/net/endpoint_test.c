#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rng.h"
#include "bare.h"
#include "pair.h"

static struct node a, b;

static void stop(void)
{
    if (a.endpoint) node_stop(&a);
    if (b.endpoint) node_stop(&b);
    loop_close(loop);
    loop = NULL;
}

static void pair(void) { link_pair(&a, &b, NULL); }

static void two(const struct endpoint_config *c)
{
    node_start(&a, c, 1);
    node_start(&b, c, 2);
}

static struct endpoint_config config(void) { return endpoint_defaults("127.0.0.1:0"); }

static int loopback_socket(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), big = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

TestSuite(endpoint, .fini = stop, .timeout = 120);

Test(endpoint, refuses_to_dial_itself)
{
    struct why w = {0};
    two(NULL);
    cr_assert_eq(endpoint_dial(a.endpoint, identity_id(a.self), &b.address, &w), LINK_NONE);
    cr_assert(strstr(w.text, "my own ID"));
    cr_assert_eq(endpoint_counters(a.endpoint).links, 0);
}

Test(endpoint, refuses_a_peer_that_has_its_own_key)
{
    two(NULL);
    struct node twin = {.self = a.self}; /* a's key file, copied to another machine */
    node_open(&twin, NULL);
    struct connection *c = connection_dial(twin.endpoint, identity_id(a.self), &a.address,
                                           &link_protocol, span_ns(0), NULL);
    cr_assert_not_null(c);
    turn_until(twin.downs, 5);
    cr_assert_eq(twin.downs, 1);
    cr_assert_eq(twin.ups, 0);
    cr_assert_eq(twin.end.code, CLOSE_SELF, "%x %s", twin.end.code, twin.reason);
    cr_assert_eq(a.ups, 0);
    endpoint_close(twin.endpoint);
}

Test(endpoint, ends_a_link_that_retires_and_nothing_said_on_it_before_is_lost)
{
    two(NULL);
    link_id stays = node_dial(&a, &b), goes = node_dial(&b, &a);
    turn_until(a.ups == 2 && b.ups == 2, 5);
    cr_assert(a.ups == 2 && b.ups == 2);
    link_retire(b.endpoint, goes);
    struct link_info info;
    cr_assert(link_info(b.endpoint, goes, &info));
    cr_assert(info.up && info.retiring);
    for (int i = 0; i < 10; i++)
        cr_assert(link_frame(b.endpoint, goes, (uint8_t)i, bytes_of("x", 1)));
    turn_until(a.downs && b.downs, 8);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(b.downs, 1);
    cr_assert_eq(b.down, goes);
    cr_assert_eq(a.end.code, CLOSE_DUPLICATE);
    cr_assert_eq(b.end.code, CLOSE_DUPLICATE);
    cr_assert_eq(a.frame_count, 10);
    cr_assert(link_frame(a.endpoint, stays, 1, bytes_of("y", 1)));
    turn_until(b.frame_count == 1, 5);
    cr_assert_eq(b.frame_count, 1);
    cr_assert_eq(endpoint_counters(a.endpoint).links_up, 1);
    cr_assert_eq(endpoint_counters(b.endpoint).links_up, 1);
}

Test(endpoint, lets_parcels_and_requests_end_before_their_link_retires)
{
    pair();
    static uint8_t blob[1 << 20];
    for (uint64_t i = 0; i < 32; i++)
        cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, sizeof blob), bytes_of(NULL, 0), i));
    cr_assert(link_request(b.endpoint, b.up, bytes_of("?", 1), 1)); /* open until it is answered */
    link_retire(a.endpoint, a.up);
    turn_until(a.request_count && a.done_count == 32, 10);
    cr_assert_eq(a.done_count, 32);
    turn_until(false, 1.5);
    cr_assert_eq(a.downs + b.downs, 0, "a request is still open on it");
    struct bytes answer = bytes_of("!", 1);
    cr_assert(link_reply(a.endpoint, a.up, a.requests[0].number, &answer, 1));
    turn_until(a.downs && b.downs, 8);
    cr_assert_eq(a.end.code, CLOSE_DUPLICATE);
    cr_assert_eq(b.reply_count, 1);
    cr_assert(b.replies[0].ok);
    for (size_t i = 0; i < a.done_count; i++) cr_assert(a.dones[i].ok);
}

Test(endpoint, refuses_whoever_answers_with_another_key)
{
    two(NULL);
    struct why w;
    uint8_t wrong[32];
    memcpy(wrong, identity_id(b.self), 32);
    wrong[31] ^= 1;
    link_id l = endpoint_dial(a.endpoint, wrong, &b.address, &w);
    cr_assert_neq(l, LINK_NONE);
    turn_until(a.downs, 5);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(a.down, l);
    cr_assert_eq(a.end.code, CLOSE_WRONG_KEY);
    cr_assert_not(a.end.by_peer);
    cr_assert(!memcmp(a.end.id, wrong, 32));
    cr_assert(strstr(a.reason, "as dialled"), "%s", a.reason);
    turn_until(endpoint_counters(b.endpoint).handshakes_failed, 2);
    cr_assert_eq(endpoint_counters(b.endpoint).handshakes_failed, 1);
    cr_assert_eq(a.ups + b.ups, 0);
}

Test(endpoint, refuses_a_peer_of_another_version_of_the_protocol)
{
    struct endpoint_config other = config();
    other.alpn = "shoal/2";
    node_start(&a, &other, 1);
    node_start(&b, NULL, 2);
    node_dial(&a, &b);
    turn_until(a.downs, 5);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(a.end.code, CLOSE_ALPN, "%x %s", a.end.code, a.reason);
    cr_assert_str_eq(a.reason, "the peer does not speak shoal/2");
    cr_assert_eq(a.ups + b.ups, 0);
}

Test(endpoint, refuses_a_peer_that_names_no_protocol)
{
    two(NULL);
    struct connection *c = endpoint_connection(a.endpoint, node_dial(&a, &b));
    wolfSSL_free(c->tls);
    c->tls = wolfSSL_new(a.endpoint->tls.client);
    wolfSSL_set_app_data(c->tls, &c->ref);
    wolfSSL_SetCertCbCtx(c->tls, &c->peer);
    wolfSSL_KeepArrays(c->tls);
    wolfSSL_set_quic_transport_version(c->tls, 0x39);
    wolfSSL_set_connect_state(c->tls);
    ngtcp2_conn_set_tls_native_handle(c->quic, c->tls);
    turn_until(a.downs, 5);
    cr_assert_eq(a.end.code, CLOSE_ALPN, "%x %s", a.end.code, a.reason);
    cr_assert_eq(b.ups, 0);
}

Test(endpoint, tells_a_peer_that_its_accept_handler_refused_why)
{
    two(NULL);
    b.refuses = true;
    node_dial(&a, &b);
    turn_until(a.downs, 5);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(a.end.code, CLOSE_REFUSED);
    cr_assert(a.end.by_peer);
    cr_assert(a.end.dialled);
    cr_assert_str_eq(a.reason, "you are of another experiment");
    cr_assert_eq(a.ups, 0, "a dial is up only when the peer has let us in");
    cr_assert_eq(b.ups + b.downs, 0);
}

Test(endpoint, refuses_a_link_without_a_certificate)
{
    two(NULL);
    go_bare(a.endpoint);
    node_dial(&a, &b);
    turn_until(a.downs, 5);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(a.end.code, CLOSE_TLS, "%x %s", a.end.code, a.reason);
    cr_assert_eq(a.ups + b.ups, 0);
    cr_assert_eq(endpoint_counters(b.endpoint).links_up, 0);
}

Test(endpoint, says_goodbye_once_to_both_sides)
{
    pair();
    link_close(a.endpoint, a.up, CLOSE_DEAD + 3, "lunch");
    link_close(a.endpoint, a.up, CLOSE_DEAD + 4, "dinner");
    turn_until(a.downs && b.downs, 5);
    turn_until(false, 0.1);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(b.downs, 1);
    cr_assert_eq(a.end.code, CLOSE_DEAD + 3);
    cr_assert_eq(b.end.code, CLOSE_DEAD + 3);
    cr_assert_str_eq(a.reason, "lunch");
    cr_assert_str_eq(b.reason, "lunch");
    cr_assert(b.end.by_peer && !a.end.by_peer);
    cr_assert_eq(endpoint_counters(a.endpoint).links, 0);
    cr_assert_eq(endpoint_counters(b.endpoint).links, 0);
}

Test(endpoint, passes_nothing_on_that_a_terminal_would_obey)
{
    pair();
    link_close(a.endpoint, a.up, CLOSE_OK, "clear\x1b[2J\nyour \xc3\xa4 screen");
    turn_until(b.downs, 5);
    cr_assert_str_eq(b.reason, "clear?[2J?your ?? screen");
}

Test(endpoint, says_goodbye_when_it_closes)
{
    pair();
    endpoint_close(a.endpoint);
    a.endpoint = NULL;
    turn_until(b.downs, 5);
    cr_assert_eq(b.downs, 1);
    cr_assert_eq(b.end.code, CLOSE_LEAVING);
    cr_assert_eq(a.downs, 0);
    identity_close(a.self);
}

Test(endpoint, gives_up_when_nobody_answers)
{
    struct endpoint_config c = config();
    c.handshake = span_ms(700);
    two(&c);
    int fd = socket(AF_INET, SOCK_DGRAM, 0); /* takes everything, says nothing */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    bind(fd, (struct sockaddr *)&at, n);
    getsockname(fd, (struct sockaddr *)&at, &n);
    struct address nobody = udp_address_of((struct sockaddr *)&at);
    instant began = clock_now();
    cr_assert_neq(endpoint_dial(a.endpoint, identity_id(b.self), &nobody, NULL), LINK_NONE);
    turn_until(a.downs, 5);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(a.end.code, CLOSE_TIMEOUT);
    cr_assert_geq(instant_since(clock_now(), began).ns, c.handshake.ns);
    close(fd);
}

Test(endpoint, notices_a_peer_that_fell_silent)
{
    struct endpoint_config c = config();
    c.idle = span_ms(800);
    c.keep_alive = span_ns(0);
    link_pair(&a, &b, &c);
    turn_until(a.downs && b.downs, 5);
    cr_assert_eq(a.end.code, CLOSE_IDLE);
    cr_assert_eq(b.end.code, CLOSE_IDLE);
}

Test(endpoint, keeps_a_quiet_link_alive)
{
    struct endpoint_config c = config();
    c.idle = span_ms(800);
    c.keep_alive = span_ms(300);
    link_pair(&a, &b, &c);
    turn_until(a.downs || b.downs, 2.5);
    cr_assert_eq(a.downs + b.downs, 0);
}

Test(endpoint, hardly_wakes_when_there_is_nothing_to_do)
{
    pair();
    turn_until(false, 1); /* path MTU probes, the last acknowledgements */
    uint64_t before = loop_wakeups(loop);
    turn_until(false, 2);
    uint64_t woke = loop_wakeups(loop) - before;
    cr_assert_leq(woke, 20, "two idle endpoints woke %llu times in two seconds",
                  (unsigned long long)woke);
}

Test(endpoint, ignores_garbage)
{
    pair();
    struct rng rng = rng_init(3);
    uint8_t junk[1500];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    union udp_name to;
    socklen_t n = udp_name_of(&b.address, &to);
    struct endpoint_counters before = endpoint_counters(b.endpoint);
    size_t sent = 0;
    instant began = clock_now();
    for (int i = 0; i < 2000; i++) {
        size_t count = (size_t)rng_below(&rng, i % 50 ? sizeof junk : 2); /* empty ones, too */
        for (size_t k = 0; k < count; k++) junk[k] = (uint8_t)rng_next(&rng);
        if (i % 3 == 0 && count > 5)
            memcpy(junk, "\xc0\x00\x00\x00\x01", 5); /* an Initial of QUIC v1 */
        if (sendto(fd, junk, count, 0, &to.any, n) == (ssize_t)count) sent++;
        if (i % 20 == 0) turn_until(false, 0.001);
    }
    turn_until(endpoint_counters(b.endpoint).received_datagrams - before.received_datagrams >= sent,
               3);
    struct endpoint_counters after = endpoint_counters(b.endpoint);
    cr_assert_gt(sent, 1900);
    cr_assert_geq(after.garbage_datagrams - before.garbage_datagrams, sent * 6 / 10);
    double seconds = span_in_s(instant_since(clock_now(), began));
    cr_assert_leq((double)after.resets_sent, 50 * (seconds + 2), "at most 50 a second");
    for (int i = 0; i < 50; i++)
        cr_assert(link_frame(a.endpoint, a.up, (uint8_t)i, bytes_of("x", 1)));
    turn_until(b.frame_count == 50, 5);
    cr_assert_eq(b.frame_count, 50);
    cr_assert_eq(a.downs + b.downs, 0);
    close(fd);
}

/* A genuine first packet to b, whose sender then vanishes. */
static void ghost(void)
{
    struct endpoint_config mute = config();
    struct node n;
    node_start(&n, &mute, 9);
    node_dial(&n, &b);
    loop_turn(loop, clock_now());
    loop_turn(loop, clock_now());
    n.endpoint->handlers = (struct endpoint_handlers){0};
    udp_close(&n.endpoint->udp); /* no goodbye gets out */
    n.endpoint->udp.fd = -1;
    n.endpoint->socket.fd = -1;
    endpoint_close(n.endpoint);
    identity_close(n.self);
}

Test(endpoint, lets_others_in_while_handshakes_are_begun_and_never_ended)
{
    struct endpoint_config c = config();
    c.retry_above = 1000;
    two(&c);
    for (int i = 0; i < 60; i++) ghost();
    struct endpoint_counters n = endpoint_counters(b.endpoint);
    cr_assert_leq(n.links, 16);
    cr_assert_geq(n.retries_sent, 40, "further ones must prove their address");
    node_dial(&a, &b);
    turn_until(a.ups, 5);
    cr_assert_eq(a.ups, 1);
}

/* Whoever has said nothing but a key. */
Test(endpoint, gives_the_place_of_a_stranger_to_the_next_one)
{
    struct endpoint_config small = config();
    small.links_max = 8;
    node_start(&a, NULL, 1);
    node_start(&b, &small, 2);
    b.cool = true;
    node_dial(&a, &b);
    turn_until(a.ups, 5);
    link_welcome(b.endpoint, b.up);
    for (int i = 0; i < 20; i++) {
        node_dial(&a, &b);
        turn_until(a.ups == i + 2, 5);
        cr_assert_eq(a.ups, i + 2);
    }
    turn_until(a.downs == 15, 5);
    cr_assert_eq(a.downs, 15);
    cr_assert_eq(a.end.code, CLOSE_CROWDED);
    cr_assert_eq(endpoint_counters(b.endpoint).evicted, 15);
    cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of("x", 1)));
    struct link_info first;
    cr_assert(link_info(b.endpoint, b.up, &first));
}

Test(endpoint, forgets_half_open_strangers)
{
    struct endpoint_config c = config();
    c.handshake = span_ms(500);
    c.retry_above = 1000;
    two(&c);
    for (int i = 0; i < 20; i++) ghost();
    turn_until(endpoint_counters(b.endpoint).links > 0, 0.2);
    cr_assert_gt(endpoint_counters(b.endpoint).links, 0);
    turn_until(endpoint_counters(b.endpoint).links == 0, 3);
    cr_assert_eq(endpoint_counters(b.endpoint).links, 0);
    cr_assert_eq(b.ups, 0);
    cr_assert_gt(endpoint_counters(b.endpoint).handshakes_failed, 0);
}

/* As the kernel does it for a process that is killed. */
static struct endpoint *die_without_a_word(struct node *n)
{
    loop_forget(loop, &n->endpoint->socket);
    udp_close(&n->endpoint->udp);
    n->endpoint->socket.fd = -1;
    return n->endpoint;
}

Test(endpoint, resets_what_a_restarted_node_no_longer_knows)
{
    pair();
    char listen[ADDRESS_TEXT_BYTES];
    struct endpoint_config c = config();
    c.listen = address_print(&b.address, listen);
    /* b dies without a word and comes back on the same port with the same key. */
    struct endpoint *dead = die_without_a_word(&b);
    node_open(&b, &c);
    cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of("are you there?", 14)));
    turn_until(a.downs, 5);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(a.end.code, CLOSE_RESET, "%x %s", a.end.code, a.reason);
    cr_assert_geq(endpoint_counters(b.endpoint).resets_sent, 1);
    node_dial(&a, &b);
    turn_until(a.ups == 2, 5);
    cr_assert_eq(a.ups, 2);
    endpoint_close(dead);
}

static void notices_a_kill(const char *listen)
{
    struct endpoint_config c = config();
    c.listen = listen;
    link_pair(&a, &b, &c);
    struct endpoint *dead = die_without_a_word(&b);
    cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of("are you there?", 14)));
    turn_until(a.downs, 5);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(a.end.code, CLOSE_GONE, "%x %s", a.end.code, a.reason);
    cr_assert_not(a.end.by_peer);
    b.endpoint = NULL;
    endpoint_close(dead);
    uint64_t before = loop_wakeups(loop);
    turn_until(false, 1);
    uint64_t woke = loop_wakeups(loop) - before;
    cr_assert_leq(woke, 20, "after that it woke %llu times", (unsigned long long)woke);
}

Test(endpoint, notices_a_peer_whose_process_was_killed) { notices_a_kill("127.0.0.1:0"); }

Test(endpoint, notices_that_over_ipv6_too)
{
    need_ipv6();
    notices_a_kill("[::1]:0");
}

Test(endpoint, does_not_believe_that_a_peer_which_answers_is_gone)
{
    pair();
    struct connection *c = endpoint_connection(a.endpoint, a.up);
    for (int i = 0; i < 5; i++) { /* forged complaints, each while something is under way */
        cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of("are you there?", 14)));
        turn_until(link_queued(a.endpoint, a.up) == 0, 5);
        cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of("are you there?", 14)));
        (void)connection_write(c, clock_now());
        connection_refused(c, clock_now());
        turn_until(false, 0.2);
    }
    cr_assert_eq(a.downs, 0, "%s", a.reason);
    turn_until(false, 0.5);
    for (int i = 0; i < 5; i++) { /* nothing is under way */
        connection_refused(c, clock_now());
        turn_until(false, 0.2);
    }
    cr_assert_eq(a.downs, 0, "%s", a.reason);
    cr_assert_eq(b.frame_count, 10);
}

Test(endpoint, resets_by_less_than_it_was_sent)
{
    two(NULL);
    int fd = loopback_socket();
    union udp_name to;
    socklen_t n = udp_name_of(&b.address, &to);
    uint8_t packet[1200] = {0x40, 1, 2, 3}, answer[1500];
    const size_t sizes[][2] = {{1200, 42}, {43, 42}, {42, 41}, {30, 29}, {22, 21}, {21, 0}, {1, 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        sendto(fd, packet, sizes[i][0], 0, &to.any, n);
        turn_until(endpoint_counters(b.endpoint).received_datagrams > i, 2);
        ssize_t got = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
        cr_assert_eq(got, sizes[i][1] ? (ssize_t)sizes[i][1] : -1, "%zu bytes for %zu", got,
                     sizes[i][0]);
        if (got > 0) cr_assert_eq(answer[0] & 0xc0, 0x40, "it looks like any short packet");
    }
    close(fd);
}

Test(endpoint, turns_away_whom_it_has_no_room_for)
{
    struct endpoint_config c = config(), small = config();
    small.links_max = 1;
    node_start(&a, &c, 1);
    node_start(&b, &small, 2);
    node_dial(&a, &b);
    turn_until(a.ups, 5);
    struct node third;
    node_start(&third, NULL, 3);
    node_dial(&third, &b);
    turn_until(third.downs, 5);
    cr_assert_eq(third.downs, 1);
    cr_assert_eq(third.end.code, CLOSE_BUSY, "%x %s", third.end.code, third.reason);
    cr_assert_eq(endpoint_counters(b.endpoint).refused, 1);
    struct why w = {0};
    cr_assert_eq(endpoint_dial(b.endpoint, identity_id(third.self), &third.address, &w), LINK_NONE);
    cr_assert(strstr(w.text, "no room"));
    cr_assert_eq(a.downs, 0);
    node_stop(&third);
}

Test(endpoint, keeps_room_to_dial_when_strangers_fill_it)
{
    struct endpoint_config small = config();
    small.links_max = 4;
    node_start(&a, NULL, 1);
    node_start(&b, &small, 2);
    for (int i = 0; i < 5; i++) {
        node_dial(&a, &b);
        turn_until(a.ups + a.downs == i + 1, 5);
    }
    cr_assert_eq(a.ups, 3);
    cr_assert_eq(a.downs, 2);
    cr_assert_eq(a.end.code, CLOSE_BUSY);
    struct node other;
    node_start(&other, NULL, 3);
    node_dial(&b, &other);
    turn_until(other.ups, 5);
    cr_assert_eq(other.ups, 1);
    node_stop(&other);
}

Test(endpoint, makes_strangers_prove_their_address_in_a_rush)
{
    struct endpoint_config c = config();
    c.retry_above = 0; /* every one */
    node_start(&a, NULL, 1);
    node_start(&b, &c, 2);
    for (int i = 0; i < 6; i++) node_dial(&a, &b);
    turn_until(a.ups == 6, 5);
    cr_assert_eq(a.ups, 6, "a Retry costs a round trip, not the connection");
    cr_assert_geq(endpoint_counters(b.endpoint).retries_sent, 6);
}

Test(endpoint, lets_one_place_begin_so_many_connections_and_no_more)
{
    struct endpoint_config c = config();
    c.retry_above = 0;
    c.place_burst = 3;
    c.place_rate = 4;
    node_start(&a, NULL, 1);
    node_start(&b, &c, 2);
    for (int i = 0; i < 6; i++) node_dial(&a, &b);
    turn_until(a.ups == 3, 5);
    cr_assert_eq(a.ups, 3);
    turn_until(a.ups == 6, 8);
    cr_assert_eq(a.ups, 6, "the others a moment later");
    cr_assert_gt(endpoint_counters(b.endpoint).refused, 0);
}

Test(arrivals, are_bounded_for_each_place_and_forget_who_came_longest_ago)
{
    static struct arrivals all;
    instant now = {1};
    struct address x = {.family = 4, .ip = {192, 0, 2, 1}, .port = 1}, y = x, other = x;
    y.port = 2;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(arrivals_take(&all, i % 2 ? &x : &y, 4, 2, now), i < 4);
    other.ip[2] = 3;
    cr_assert(arrivals_take(&all, &other, 4, 2, now), "another place has its own");
    now = instant_after(now, span_ms(500));
    cr_assert(arrivals_take(&all, &x, 4, 2, now));
    cr_assert_not(arrivals_take(&all, &x, 4, 2, now));
    for (int i = 0; i < ARRIVALS_PLACES; i++) {
        now = instant_after(now, span_ms(1));
        other.ip[3] = (uint8_t)(10 + i);
        cr_assert(arrivals_take(&all, &other, 4, 2, now));
    }
    cr_assert(arrivals_take(&all, &x, 4, 2, now), "it is forgotten");
}

Test(endpoint, works_without_segmentation_by_the_kernel)
{
    static uint8_t blob[1 << 20];
    struct endpoint_config c = config();
    c.gso = c.gro = false;
    link_pair(&a, &b, &c);
    for (uint64_t i = 0; i < 8; i++)
        cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, sizeof blob), bytes_of(NULL, 0), i));
    turn_until(a.done_count == 8, 10);
    cr_assert_eq(a.done_count, 8);
    cr_assert_eq(b.parcel_count, 8);
}

Test(endpoint, works_with_cubic)
{
    static uint8_t blob[1 << 20];
    struct endpoint_config c = config();
    cr_assert(c.bbr, "BBR unless told");
    c.bbr = false;
    link_pair(&a, &b, &c);
    for (uint64_t i = 0; i < 8; i++)
        cr_assert(link_parcel(a.endpoint, a.up, bytes_of(blob, sizeof blob), bytes_of(NULL, 0), i));
    turn_until(a.done_count == 8, 10);
    cr_assert_eq(a.done_count, 8);
}

Test(endpoint, speaks_ipv6)
{
    struct endpoint_config c = endpoint_defaults("[::1]:0");
    need_ipv6();
    link_pair(&a, &b, &c);
    cr_assert_eq(a.address.family, 6);
    cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of("x", 1)));
    turn_until(b.frame_count, 5);
    cr_assert_eq(b.frame_count, 1);
}

Test(endpoint, says_which_address_it_cannot_listen_on)
{
    struct why w = {0};
    struct endpoint *e;
    struct endpoint_handlers none = {0};
    char listen[ADDRESS_TEXT_BYTES];
    two(NULL);
    struct endpoint_config c = config();
    c.listen = address_print(&a.address, listen);
    cr_assert_eq(endpoint_open(loop, &c, a.self, &none, &e, &w), ERR_NETWORK);
    cr_assert(strstr(w.text, listen), "%s", w.text);
    cr_assert(strstr(w.text, "in use"), "%s", w.text);
    c.listen = "4433";
    cr_assert_eq(endpoint_open(loop, &c, a.self, &none, &e, &w), ERR_USAGE);
    cr_assert(strstr(w.text, "host:port"), "%s", w.text);
    struct address v6 = {.family = 6, .ip = {[15] = 1}, .port = 1};
    cr_assert_eq(endpoint_dial(a.endpoint, identity_id(b.self), &v6, &w), LINK_NONE);
    cr_assert(strstr(w.text, "IPv4"), "%s", w.text);
}

Test(endpoint, warns_once_when_the_kernel_clamps_its_buffers)
{
    struct endpoint_config c = config();
    c.socket_bytes = (size_t)1 << 30;
    node_start(&a, &c, 1);
    cr_assert_eq(a.warnings, 1);
}

/* --- a network between them -------------------------------------------------------------------------------------- */

/* Stands before b: what the client sends goes on to b from a socket of its own, and back. */
static struct {
    struct loop_socket front, back;
    struct address address; /* of the front */
    union udp_name client, server;
    socklen_t client_bytes, server_bytes;
    struct rng rng;
    double loss;
    size_t dropped, passed;
    bool swap; /* the client's first two packets */
    uint8_t first[2048];
    ssize_t first_count;
} relay;

static bool lost(void)
{
    bool yes = rng_unit(&relay.rng) < relay.loss;
    relay.dropped += yes;
    relay.passed += !yes;
    return yes;
}

static void pass_on(const uint8_t *packet, ssize_t n)
{
    sendto(relay.back.fd, packet, (size_t)n, 0, &relay.server.any, relay.server_bytes);
}

static void on_front(void *ctx, uint32_t events)
{
    uint8_t packet[2048];
    ssize_t n;
    for (;;) {
        relay.client_bytes = sizeof relay.client;
        n = recvfrom(relay.front.fd, packet, sizeof packet, MSG_DONTWAIT, &relay.client.any,
                     &relay.client_bytes);
        if (n <= 0) return;
        if (relay.swap && !relay.first_count) {
            memcpy(relay.first, packet, (size_t)n);
            relay.first_count = n;
            continue;
        }
        if (!lost()) pass_on(packet, n);
        if (relay.swap) pass_on(relay.first, relay.first_count);
        relay.swap = false;
    }
}

static void on_back(void *ctx, uint32_t events)
{
    uint8_t packet[2048];
    ssize_t n;
    while ((n = recv(relay.back.fd, packet, sizeof packet, MSG_DONTWAIT)) > 0)
        if (!lost())
            sendto(relay.front.fd, packet, (size_t)n, 0, &relay.client.any, relay.client_bytes);
}

static void relay_back(void)
{
    relay.back = (struct loop_socket){loopback_socket(), on_back, NULL};
    cr_assert_eq(loop_watch(loop, &relay.back, EPOLLIN, NULL), ERR_OK);
}

static void relay_start(double loss)
{
    memset(&relay, 0, sizeof relay);
    relay.rng = rng_init(7);
    relay.loss = loss;
    relay.server_bytes = udp_name_of(&b.address, &relay.server);
    relay.front = (struct loop_socket){loopback_socket(), on_front, NULL};
    union udp_name at;
    socklen_t n = sizeof at;
    getsockname(relay.front.fd, &at.any, &n);
    relay.address = udp_address_of(&at.any);
    cr_assert_eq(loop_watch(loop, &relay.front, EPOLLIN, NULL), ERR_OK);
    relay_back();
}

static void relay_stop(void)
{
    close(relay.front.fd);
    close(relay.back.fd);
}

Test(endpoint, delivers_everything_in_spite_of_lost_packets)
{
    static uint8_t blob[64 << 10];
    struct endpoint_config c = config();
    c.gso = false; /* the relay takes packets one by one */
    two(&c);
    relay_start(0.05);
    cr_assert_neq(endpoint_dial(a.endpoint, identity_id(b.self), &relay.address, NULL), LINK_NONE);
    turn_until(a.ups, 10);
    cr_assert_eq(a.ups, 1);
    b.echo = true;
    for (uint32_t i = 0; i < 40; i++) {
        cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of(&i, sizeof i)));
        cr_assert(
            link_parcel(a.endpoint, a.up, bytes_of(&i, sizeof i), bytes_of(blob, sizeof blob), i));
        cr_assert(link_request(a.endpoint, a.up, bytes_of(&i, sizeof i), i));
    }
    turn_until(b.frame_count == 40 && a.done_count == 40 && a.reply_count == 40, 20);
    cr_assert_eq(b.frame_count, 40);
    cr_assert_eq(b.parcel_count, 40);
    cr_assert_eq(a.reply_count, 40);
    for (uint32_t i = 0; i < 40; i++) {
        cr_assert(!memcmp(b.frames[i].bytes, &i, sizeof i), "in order");
        cr_assert(a.dones[i].ok && a.replies[i].ok);
    }
    cr_assert_gt(relay.dropped, 20);
    relay_stop();
}

/* As with key shares that no quantum computer breaks: the server asks for a proof of the address
 * rather than keeping what it cannot read yet. */
Test(endpoint, accepts_a_first_flight_of_two_packets_that_come_in_the_wrong_order)
{
    struct endpoint_config c = config();
    char name[251];
    memset(name, 'x', 250);
    name[250] = 0;
    c.gso = false;
    two(&c);
    relay_start(0);
    relay.swap = true;
    link_id l = endpoint_dial(a.endpoint, identity_id(b.self), &relay.address, NULL);
    for (int i = 0; i < 6; i++) {
        name[0] = (char)('a' + i);
        cr_assert_eq(wolfSSL_UseALPN(endpoint_connection(a.endpoint, l)->tls, name, 250,
                                     WOLFSSL_ALPN_FAILED_ON_MISMATCH),
                     WOLFSSL_SUCCESS);
    }
    instant began = clock_now();
    turn_until(a.ups && b.ups, 10);
    cr_assert_eq(a.ups, 1);
    cr_assert_eq(endpoint_counters(b.endpoint).retries_sent, 1);
    cr_assert_lt(instant_since(clock_now(), began).ns, span_s(2).ns, "no packet was waited for");
    relay_stop();
}

Test(endpoint, follows_a_peer_whose_address_changes)
{
    struct endpoint_config c = config();
    c.gso = false;
    two(&c);
    relay_start(0);
    cr_assert_neq(endpoint_dial(a.endpoint, identity_id(b.self), &relay.address, NULL), LINK_NONE);
    turn_until(a.ups && b.ups, 5);
    turn_until(false, 0.3);
    struct link_info before, after;
    cr_assert(link_info(b.endpoint, b.up, &before));
    loop_forget(loop, &relay.back); /* a's NAT gives it another port */
    close(relay.back.fd);
    relay_back();
    for (int i = 0; i < 5; i++) {
        cr_assert(link_frame(a.endpoint, a.up, 1, bytes_of("from elsewhere", 14)));
        cr_assert(link_frame(b.endpoint, b.up, 1, bytes_of("to elsewhere", 12)));
        turn_until(false, 0.05);
    }
    turn_until(a.frame_count == 5 && b.frame_count == 5, 5);
    cr_assert_eq(a.frame_count, 5);
    cr_assert_eq(b.frame_count, 5);
    cr_assert_eq(a.downs + b.downs, 0);
    cr_assert(link_info(b.endpoint, b.up, &after));
    cr_assert_neq(after.address.port, before.address.port);
    cr_assert_eq(b.moves, 1);
    cr_assert_eq(a.moves, 0);
    relay_stop();
}

/* --- other versions of QUIC -------------------------------------------------------------------------------------- */

Test(endpoint, tells_a_stranger_which_version_of_quic_it_speaks)
{
    two(NULL);
    uint8_t packet[1200] = {0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6,
                            7,    8,    8,    9,    9,    9, 9, 9, 9, 9, 9};
    int fd = loopback_socket();
    union udp_name to;
    socklen_t n = udp_name_of(&b.address, &to);
    sendto(fd, packet, 600, 0, &to.any, n); /* too short to be answered (RFC 9000, 14.1) */
    sendto(fd, packet, sizeof packet, 0, &to.any, n);
    turn_until(endpoint_counters(b.endpoint).negotiations_sent, 2);
    uint8_t answer[1500];
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    cr_assert_geq(got, 27);
    cr_assert(answer[0] & 0x80);
    cr_assert(!memcmp(answer + 1, "\0\0\0\0", 4), "version 0 marks a Version Negotiation");
    cr_assert(!memcmp(answer + got - 4, "\0\0\0\1", 4), "QUIC v1 is on offer");
    turn_until(false, 0.1);
    cr_assert_eq(recv(fd, answer, sizeof answer, MSG_DONTWAIT), -1,
                 "the short one was not answered");
    close(fd);
}

Test(endpoint, gives_up_on_a_peer_without_its_version_of_quic)
{
    two(NULL);
    int fd = loopback_socket();
    union udp_name at;
    socklen_t n = sizeof at;
    getsockname(fd, &at.any, &n);
    struct address old = udp_address_of(&at.any);
    cr_assert_neq(endpoint_dial(a.endpoint, identity_id(b.self), &old, NULL), LINK_NONE);
    turn_until(false, 0.02);
    uint8_t in[1500], out[128];
    union udp_name from;
    socklen_t from_bytes = sizeof from;
    ssize_t got = recvfrom(fd, in, sizeof in, 0, &from.any, &from_bytes);
    cr_assert_gt(got, 1000);
    size_t dcid = in[5], scid = in[6 + dcid], at_out = 0;
    memcpy(out, "\x80\0\0\0\0", 5); /* RFC 9000, 17.2.1 */
    at_out = 5;
    out[at_out++] = (uint8_t)scid;
    memcpy(out + at_out, in + 7 + dcid, scid);
    at_out += scid;
    out[at_out++] = (uint8_t)dcid;
    memcpy(out + at_out, in + 6, dcid);
    at_out += dcid;
    memcpy(out + at_out, "\xff\0\0\x1d", 4); /* draft 29 */
    sendto(fd, out, at_out + 4, 0, &from.any, from_bytes);
    turn_until(a.downs, 5);
    cr_assert_eq(a.downs, 1);
    cr_assert_eq(a.end.code, CLOSE_QUIC_VERSION, "%x %s", a.end.code, a.reason);
    close(fd);
}
