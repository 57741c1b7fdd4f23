/* attack.c -- what strangers may do to a worker, for tests.
 *
 *     attack KIND COUNT ID ADDRESS
 *
 *     hellos   COUNT first packets a second of clients that never go on, from addresses all over (needs
 *              a raw socket; 198.18.0.0/15 is for tests, RFC 2544)
 *     icmp     COUNT complaints a second that nobody is there, in turn about the worker's peers
 *              ADDRESS..., each of which is named after the first
 *     keys     COUNT links, each of a key of its own, that never say HELLO
 *     askers   the same, each with 64 requests and 64 KiB of frames that are none
 *     readers  COUNT HTTP/3 connections that never ask anything
 *
 * Whatever is ended is begun anew. Runs until it is killed; says "attacks" once it has begun. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/identity.h"
#include "net/internal.h"
#include "test/net/hostile.h"
#include "test/wan/icmp.h"

#define MANY 256
/* Numbers of keys; links have those below, and ASKER and more. */
#define ASKER  1000
#define READER 2000
#define CLIENT 3000

static struct loop *loop;
static struct address target;
static uint8_t target_id[CRYPTO_KEY_BYTES];
static bool asks;

static void fail(const char *what)
{
    fprintf(stderr, "attack: %s\n", what);
    exit(1);
}

/* ---- links and readers ---- */

struct attacker {
    struct endpoint *endpoint;
    struct loop_timer again;
};

static void ask(struct endpoint *e, link_id l)
{
    static const uint8_t request[21] = {0x41}, frame[1 << 16];
    for (uint64_t i = 0; i < 64; i++) link_request(e, l, bytes_of(request, sizeof request), i);
    link_frame(e, l, 0x7f, bytes_of(frame, sizeof frame));
}

static void on_up(void *ctx, link_id l, const uint8_t id[CRYPTO_KEY_BYTES],
                  const struct address *remote, bool dialled)
{
    struct attacker *a = ctx;
    if (asks) ask(a->endpoint, l);
}

static void redial(void *ctx, instant now)
{
    struct attacker *a = ctx;
    if (endpoint_dial(a->endpoint, target_id, &target, NULL) == LINK_NONE)
        loop_timer_set(loop, &a->again, instant_after(now, span_ms(100)));
}

static void on_down(void *ctx, link_id l, const struct link_end *end)
{
    struct attacker *a = ctx;
    loop_timer_set(loop, &a->again, instant_after(clock_now(), span_ms(100)));
}

/* The endpoint of this key. */
static struct endpoint *open_as(uint32_t number, const struct endpoint_config *c,
                                const struct endpoint_handlers *h)
{
    uint8_t seed[IDENTITY_SEED_BYTES] = {0xa7, (uint8_t)number, (uint8_t)(number >> 8)};
    struct identity *self;
    struct endpoint *e = NULL;
    if (identity_from_seed(seed, &self, NULL) || endpoint_open(loop, c, self, h, &e, NULL))
        fail("cannot open a socket");
    return e;
}

static void call(struct attacker *a, uint32_t number)
{
    struct endpoint_config c = endpoint_defaults("0.0.0.0:0");
    struct endpoint_handlers h = {.ctx = a, .link_up = on_up, .link_down = on_down};
    c.links_max = 4;
    c.socket_bytes = 64 << 10;
    a->again = (struct loop_timer){.fire = redial, .ctx = a};
    a->endpoint = open_as(number, &c, &h);
    redial(a, clock_now());
}

static void read_again(void *ctx, instant now);
static struct attacker reader = {.again = {.fire = read_again}};
static uint32_t readers_missing;

static void ended(struct connection *c, const struct link_end *end)
{
    c->session = NULL;
    readers_missing++;
    loop_timer_set(loop, &reader.again, instant_after(clock_now(), span_ms(100)));
}

/* Of a connection that does nothing. */
static struct protocol silent;

static void read_again(void *ctx, instant now)
{
    for (; readers_missing; readers_missing--) {
        struct connection *c =
            connection_dial(reader.endpoint, NULL, &target, &silent, span_ns(0), NULL);
        if (!c) break;
        ngtcp2_conn_set_keep_alive_timeout(c->quic, span_s(5).ns);
    }
}

static void read_as(uint32_t count)
{
    struct endpoint_config c = endpoint_defaults("0.0.0.0:0");
    struct endpoint_handlers none = {0};
    c.alpn = TLS_ALPN_H3;
    c.links_max = 2 * count;
    reader.endpoint = open_as(READER, &c, &none);
    silent = hostile_protocol;
    silent.end = ended;
    readers_missing = count;
    read_again(NULL, clock_now());
}

/* ---- forged packets ---- */

static int raw;

static void send_raw(uint8_t *packet, size_t count, uint8_t protocol, uint32_t from)
{
    struct iphdr *ip = (struct iphdr *)packet;
    struct sockaddr_in to = {.sin_family = AF_INET};
    memcpy(&to.sin_addr, target.ip, 4);
    *ip = (struct iphdr){.version = 4,
                         .ihl = 5,
                         .tot_len = htons((uint16_t)count),
                         .ttl = 64,
                         .protocol = protocol,
                         .saddr = from,
                         .daddr = to.sin_addr.s_addr};
    sendto(raw, packet, count, 0, (struct sockaddr *)&to, sizeof to);
}

/* The first packet of a client, as it goes to a socket of ours. */
static size_t first_packet(uint8_t out[2048])
{
    static struct endpoint *client;
    static struct address here;
    static int fd = -1;
    if (!client) {
        struct endpoint_config c = endpoint_defaults("127.0.0.1:0");
        struct endpoint_handlers none = {0};
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof at;
        fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(fd, (struct sockaddr *)&at, sizeof at) ||
            getsockname(fd, (struct sockaddr *)&at, &n))
            fail("cannot open a socket");
        client = open_as(CLIENT, &c, &none);
        here = (struct address){4, {127, 0, 0, 1}, ntohs(at.sin_port)};
    }
    link_id l = endpoint_dial(client, target_id, &here, NULL);
    if (l == LINK_NONE) fail("cannot make a first packet");
    loop_turn(loop, clock_now());
    ssize_t n = recv(fd, out, 2048, 0);
    while (recv(fd, out + n, 2048 - (size_t)n, MSG_DONTWAIT) > 0) continue;
    link_close(client, l, CLOSE_OK, "");
    loop_turn(loop, clock_now());
    return (size_t)n;
}

static void hello(uint32_t number)
{
    uint8_t packet[2048 + 28] = {0};
    size_t count = first_packet(packet + 28);
    struct udphdr *udp = (struct udphdr *)(packet + 20);
    udp->source = htons((uint16_t)(1024 + number % 60000));
    udp->dest = htons(target.port);
    udp->len = htons((uint16_t)(count + 8)); /* without a checksum, as IPv4 allows */
    send_raw(packet, count + 28, IPPROTO_UDP, htonl(0xc6120000 + number * 7919 % 0x20000));
}

/* As a router on the way to `peer` would say it. */
static void complain(const struct address *peer)
{
    uint8_t packet[20 + 8 + 28] = {0}, *icmp = packet + 20;
    icmp[0] = 3; /* destination unreachable: port */
    icmp[1] = 3;
    struct iphdr *of = (struct iphdr *)(icmp + 8);
    *of = (struct iphdr){
        .version = 4, .ihl = 5, .tot_len = htons(1228), .ttl = 60, .protocol = IPPROTO_UDP};
    memcpy(&of->saddr, target.ip, 4);
    memcpy(&of->daddr, peer->ip, 4);
    struct udphdr *udp = (struct udphdr *)(icmp + 28);
    udp->source = htons(target.port);
    udp->dest = htons(peer->port);
    udp->len = htons(1208);
    uint16_t sum = htons((uint16_t)~icmp_sum(0, icmp, sizeof packet - 20));
    memcpy(icmp + 2, &sum, 2);
    uint32_t from;
    memcpy(&from, peer->ip, 4);
    send_raw(packet, sizeof packet, IPPROTO_ICMP, from);
}

static void forge(bool hellos, uint32_t per_s, char *const *peers, int peers_count)
{
    instant at = clock_now();
    raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (raw < 0) fail("raw sockets need a privilege (CAP_NET_RAW)");
    for (uint32_t number = 0;; number++) {
        struct address peer = target;
        if (!hellos && peers_count && !address_parse(peers[number % (uint32_t)peers_count], &peer))
            fail("a peer is IP:PORT");
        if (hellos) hello(number);
        else complain(&peer);
        at = instant_after(at, span_ns(1000000000u / per_s));
        instant now = clock_now();
        if (at.ns > now.ns) usleep((useconds_t)((at.ns - now.ns) / 1000));
    }
}

int main(int argc, char **argv)
{
    static struct attacker attackers[MANY];
    const char *kind = argc > 1 ? argv[1] : "";
    uint32_t count = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    if (argc < 5 || count == 0 || !identity_parse(argv[3], target_id) ||
        !address_parse(argv[4], &target))
        fail("usage: attack hellos|icmp|keys|askers|readers COUNT ID IP:PORT [IP:PORT of a "
             "peer]...");
    if (loop_open(&loop, NULL)) fail("no loop");
    printf("attacks\n");
    fflush(stdout);
    asks = !strcmp(kind, "askers");
    if (!strcmp(kind, "readers")) read_as(count);
    else if (asks || !strcmp(kind, "keys"))
        for (uint32_t i = 0; i < count && i < MANY; i++) call(&attackers[i], i + ASKER * asks);
    else if (!strcmp(kind, "hellos") || !strcmp(kind, "icmp"))
        forge(!strcmp(kind, "hellos"), count, argv + 5, argc - 5);
    else fail("there is no such kind of attack");
    loop_run(loop);
    return 0;
}
