/* endpoint_fuzz.c -- bytes from strangers and from peers, into a live endpoint that must live on.
 *
 *     first byte  0, 1   the rest is one datagram from a stranger (1: made to look like a client's first packet)
 *                 2, 3   the rest is written on streams by a peer that has proven its key (2) or over HTTP/3 (3):
 *                        u8 flags (1: bidirectional, 2: FIN), u16 length, bytes; again and again */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../net/hostile.h"
#include "base/clock.h"

static struct loop *loop;
static struct endpoint *server, *peer, *browser;
static struct identity *server_self, *peer_self;
static int stranger;
static union udp_name server_name;
static socklen_t server_name_bytes;
static struct address server_address;
static size_t on_link;        /* protocol of the hostile connection: 2 or 3 */
static uint8_t said[1 << 20]; /* what its streams were lent */
static size_t said_count;

static void turn(void)
{
    for (int i = 0; i < 3; i++) loop_turn(loop, clock_now());
}

static void request(void *ctx, link_id l, uint64_t handle, struct bytes message)
{
    if (message.count % 3 == 0) link_decline(server, l, handle);
    else if (message.count % 3 == 1) link_reply(server, l, handle, &message, 1);
}

static void serve(void *ctx, const char *path, struct http3_reply *to)
{
    if (strlen(path) > HTTP3_PATH_BYTES_MAX) abort();
    if (strlen(path) % 2) http3_answer(to, 200, "text/plain", bytes_of(path, strlen(path)));
}

static void start(void)
{
    const uint8_t one[IDENTITY_SEED_BYTES] = {1}, two[IDENTITY_SEED_BYTES] = {2};
    struct endpoint_config c = endpoint_defaults("127.0.0.1:0"), h3 = c;
    struct endpoint_handlers h = {.request = request}, none = {0};
    c.retry_above = 1u << 30;
    c.handshake = span_ms(300);
    h3.alpn = TLS_ALPN_H3;
    if (loop_open(&loop, NULL) || identity_from_seed(one, &server_self, NULL) ||
        identity_from_seed(two, &peer_self, NULL) ||
        endpoint_open(loop, &c, server_self, &h, &server, NULL) ||
        endpoint_open(loop, &c, peer_self, &none, &peer, NULL) ||
        endpoint_open(loop, &h3, peer_self, &none, &browser, NULL))
        abort();
    http3_serve(server, serve, NULL);
    server_address = endpoint_address(server);
    server_name_bytes = udp_name_of(&server_address, &server_name);
    stranger = socket(AF_INET, SOCK_DGRAM, 0);
}

static void dial(size_t kind)
{
    instant end = instant_after(clock_now(), span_s(5));
    if (hostile.c) connection_doom(hostile.c, CLOSE_OK, "again");
    while (hostile.c) turn();
    memset(&hostile, 0, sizeof hostile);
    on_link = kind;
    said_count = 0;
    connection_dial(kind == 2 ? peer : browser, identity_id(server_self), &server_address,
                    &hostile_protocol, span_ns(0), NULL);
    while (!(hostile.c && hostile.c->up)) {
        loop_turn(loop, instant_after(clock_now(), span_ms(1)));
        if (instant_reached(clock_now(), end)) abort(); /* the server no longer takes connections */
    }
}

static void say(size_t kind, struct bytes in)
{
    struct reader r = reader_init(in);
    if (!hostile.c || on_link != kind || hostile.count > HOSTILE_MAX - 20 ||
        said_count + in.count > sizeof said)
        dial(kind);
    for (int i = 0; i < 10 && reader_left(&r); i++) {
        uint8_t flags = reader_u8(&r);
        size_t count = reader_u16(&r);
        if (count > reader_left(&r)) count = reader_left(&r);
        uint8_t *to = said + said_count;
        reader_copy(&r, to, count);
        said_count += count;
        if (!hostile_stream(flags & 1, to, count, 0, flags & 2)) break;
    }
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    uint8_t packet[1400] = {0};
    if (count < 2) return 0;
    if (!loop) start();
    struct bytes rest = bytes_of(data + 1, count - 1);
    if (data[0] % 4 >= 2) {
        say(data[0] % 4, rest);
    } else {
        size_t n = rest.count < sizeof packet ? rest.count : sizeof packet;
        memcpy(packet, rest.data, n);
        if (data[0] % 4 == 1) {
            static const uint8_t first[] = {0xc3, 0, 0, 0, 1, 8};
            memcpy(packet, first, sizeof first);
            n = sizeof packet;
        }
        sendto(stranger, packet, n, 0, &server_name.any, server_name_bytes);
        turn();
    }
    return 0;
}
