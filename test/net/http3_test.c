#include "bare.h"
#include "hostile.h"
#include "pair.h"

static struct node a, b;
static struct {
    int calls, status, evicted;
    char body[4096], failed[256], type[64];
    size_t count;
    bool identified;
    uint8_t id[CRYPTO_KEY_BYTES];
} got;
static uint8_t large[3 << 20];
static int served;
static char served_path[64];

static void serve(void *ctx, const char *path, struct http3_reply *to)
{
    served++;
    snprintf(served_path, sizeof served_path, "%s", path);
    if (!strcmp(path, "/")) http3_answer(to, 200, "text/plain", bytes_of(large, 5000));
    if (!strcmp(path, "/status?x=1"))
        http3_answer(to, 200, "application/json", bytes_of("{\"a\":1}", 7));
    if (!strcmp(path, "/large"))
        http3_answer(to, 200, "application/octet-stream", bytes_of(large, sizeof large));
    if (!strcmp(path, "/empty")) http3_answer(to, 204, "text/plain", bytes_of(NULL, 0));
}

static void done(void *ctx, const struct http3_result *r)
{
    got.calls++;
    got.status = r->status;
    got.evicted += r->failed && strstr(r->failed, "room was needed");
    got.count = r->body.count;
    got.identified = r->identified;
    memcpy(got.id, r->id, sizeof got.id);
    snprintf(got.failed, sizeof got.failed, "%s", r->failed ? r->failed : "");
    snprintf(got.type, sizeof got.type, "%s", r->type ? r->type : "");
    snprintf(got.body, sizeof got.body, "%.*s", (int)(r->body.count < 4000 ? r->body.count : 4000),
             r->body.count ? (const char *)r->body.data : "");
}

static void start(void)
{
    node_start(&a, NULL, 1);
    node_start(&b, NULL, 2);
    http3_serve(b.endpoint, serve, NULL);
    memset(&got, 0, sizeof got);
}
static void stop(void)
{
    node_stop(&a);
    node_stop(&b);
    loop_close(loop);
    loop = NULL;
}

static void ask(const uint8_t *id, const char *path, size_t body_max)
{
    struct why w = {0};
    cr_assert_eq(http3_get(a.endpoint, id, &b.address, path, body_max, span_s(5), done, NULL, &w),
                 ERR_OK, "%s", w.text);
    turn_until(got.calls, 8);
    cr_assert_eq(got.calls, 1);
}

TestSuite(http3, .init = start, .fini = stop, .timeout = 120);

Test(http3, answers_a_client_without_a_certificate)
{
    go_bare(a.endpoint);
    ask(NULL, "/status?x=1", 1000);
    cr_assert_str_eq(got.failed, "");
    cr_assert_eq(got.status, 200);
}

Test(http3, shows_its_own_key_and_is_no_link)
{
    ask(NULL, "/status?x=1", 1000);
    cr_assert_str_eq(got.failed, "");
    cr_assert_eq(got.status, 200);
    cr_assert_str_eq(got.body, "{\"a\":1}");
    cr_assert_str_eq(got.type, "application/json");
    cr_assert(got.identified);
    cr_assert(!memcmp(got.id, identity_id(b.self), CRYPTO_KEY_BYTES));
    cr_assert_eq(b.ups, 0, "it is no link");
}

Test(http3, answers_what_it_does_not_have_with_404)
{
    ask(NULL, "/nothing", 1000);
    cr_assert_str_eq(got.failed, "");
    cr_assert_eq(got.status, 404);
    cr_assert_eq(got.count, 0);
}

Test(http3, carries_large_and_empty_answers)
{
    for (size_t i = 0; i < sizeof large; i++) large[i] = (uint8_t)(i >> 3);
    ask(NULL, "/large", sizeof large);
    cr_assert_str_eq(got.failed, "");
    cr_assert_eq(got.count, sizeof large);
    got.calls = 0;
    ask(NULL, "/empty", 0);
    cr_assert_eq(got.status, 204);
    cr_assert_eq(got.count, 0);
}

Test(http3, refuses_an_answer_that_is_longer_than_was_asked_for)
{
    ask(NULL, "/large", 1000);
    cr_assert_str_eq(got.failed, "the answer is longer than 1000 bytes");
}

Test(http3, takes_only_the_server_whose_key_was_named)
{
    uint8_t wrong[32] = {1};
    ask(identity_id(b.self), "/status?x=1", 1000);
    cr_assert_eq(got.status, 200);
    got.calls = 0;
    ask(wrong, "/status?x=1", 1000);
    cr_assert(strstr(got.failed, "as dialled"), "%s", got.failed);
    cr_assert_eq(got.status, 0);
}

Test(http3, gives_up_when_nobody_answers)
{
    struct address nobody = b.address;
    struct why w;
    node_stop(&b);
    cr_assert_eq(http3_get(a.endpoint, NULL, &nobody, "/", 10, span_ms(500), done, NULL, &w),
                 ERR_OK);
    turn_until(got.calls, 5);
    cr_assert_eq(got.calls, 1);
    cr_assert_str_eq(got.failed, "no answer came in time");
    node_start(&b, NULL, 2);
}

Test(http3, serves_many_clients_beside_links_and_bounds_them)
{
    node_dial(&a, &b);
    turn_until(a.ups, 5);
    struct why w;
    int asked = 0;
    for (int i = 0; i < 60; i++)
        asked +=
            !http3_get(a.endpoint, NULL, &b.address, "/status?x=1", 100, span_s(5), done, NULL, &w);
    turn_until(got.calls == asked, 10);
    cr_assert_eq(got.calls, asked);
    cr_assert_eq(asked, 60);
    /* All come within a round trip or two; a quarter of b's 128 connections, and one, may be of
     * their kind. */
    cr_assert_leq(got.evicted, 60 - (1 + 128 / 4), "%d of 60 made room", got.evicted);
    cr_assert_eq(a.downs, 0);
}

Test(http3, gives_the_place_of_those_who_only_hold_it_to_who_asks)
{
    struct endpoint_config h3 = endpoint_defaults("127.0.0.1:0");
    struct node c;
    struct why w = {0};
    h3.alpn = TLS_ALPN_H3;
    node_start(&c, &h3, 4);
    for (int i = 0; i < 50; i++) {
        uint64_t before = endpoint_counters(b.endpoint).http3;
        cr_assert_not_null(connection_dial(c.endpoint, NULL, &b.address, &hostile_protocol, span_ns(0), &w));
        turn_until(endpoint_counters(b.endpoint).http3 > before, before < 33 ? 5 : 0.1);
    }
    cr_assert_leq(endpoint_counters(b.endpoint).http3, 33);
    ask(NULL, "/status?x=1", 1000);
    cr_assert_str_eq(got.failed, "");
    cr_assert_eq(got.status, 200);
    node_stop(&c);
}

Test(http3, refuses_a_path_that_is_none)
{
    struct why w = {0};
    char path[2000];
    memset(path, '/', sizeof path - 1);
    path[sizeof path - 1] = 0;
    cr_assert_eq(http3_get(a.endpoint, NULL, &b.address, path, 1, span_s(1), done, NULL, &w),
                 ERR_USAGE);
    cr_assert_eq(http3_get(a.endpoint, NULL, &b.address, "status", 1, span_s(1), done, NULL, &w),
                 ERR_USAGE);
}

static void dial_by_hand(struct node *c)
{
    struct endpoint_config h3 = endpoint_defaults("127.0.0.1:0");
    struct why w = {0};
    memset(&hostile, 0, sizeof hostile);
    h3.alpn = TLS_ALPN_H3;
    node_start(c, &h3, 4);
    cr_assert_not_null(connection_dial(c->endpoint, NULL, &b.address, &hostile_protocol, span_ns(0), &w), "%s",
                       w.text);
    turn_until(hostile.c && hostile.c->up, 5);
    cr_assert_not_null(hostile.c);
    cr_assert(
        hostile_stream(false, "\0\x04\0", 3, 0, false)); /* control stream with empty SETTINGS */
}

/* Sends this field section (RFC 9204, static table) as a request by hand; returns how many bytes
 * were answered. */
static size_t ask_by_hand(const void *fields, size_t count, size_t body, bool whole)
{
    static uint8_t wire[20000];
    struct node c;
    size_t at = 0;
    dial_by_hand(&c);
    wire[at++] = 0x01; /* HEADERS; its length as a 4-byte varint */
    wire[at++] = 0x80;
    wire[at++] = 0;
    wire[at++] = (uint8_t)(count >> 8);
    wire[at++] = (uint8_t)count;
    memcpy(wire + at, fields, count);
    at += count;
    if (body) {
        wire[at++] = 0x00; /* DATA */
        wire[at++] = 0x80;
        wire[at++] = (uint8_t)(body >> 16);
        wire[at++] = (uint8_t)(body >> 8);
        wire[at++] = (uint8_t)body;
    }
    cr_assert(hostile_stream(true, wire, at, body, whole));
    turn_until(hostile.heard, 2);
    turn_until(false, 0.05);
    size_t heard = hostile.heard;
    node_stop(&c);
    return heard;
}

#define HTTPS_ROOT_X "\xd7\xc1\x50\x01x" /* :scheme https, :path /, :authority x */

Test(http3, asks_its_handler_for_get_and_head_alone)
{
    size_t heard = ask_by_hand("\0\0\xd1" HTTPS_ROOT_X, 8, 0, true); /* GET */
    cr_assert_eq(served, 1);
    cr_assert_str_eq(served_path, "/");
    cr_assert_gt(heard, 5000);
    heard = ask_by_hand("\0\0\xd2" HTTPS_ROOT_X, 8, 0, true); /* HEAD */
    cr_assert_eq(served, 2);
    cr_assert(heard > 0 && heard < 200, "an answer without its body: %zu bytes", heard);
    heard = ask_by_hand("\0\0\xd4" HTTPS_ROOT_X, 8, 300000, true); /* POST */
    cr_assert_eq(served, 2);
    cr_assert(heard > 0 && heard < 200, "405");
}

Test(http3, ends_a_request_that_is_none_and_answers_the_next_one)
{
    struct node c;
    dial_by_hand(&c);
    cr_assert(hostile_stream(true, "\x01\x07\0\0\xd1\xd7\x50\x01x", 9, 0, true)); /* no :path */
    turn_until(false, 0.1);
    cr_assert_eq(hostile.heard, 0);
    cr_assert_not_null(hostile.c, "%s", hostile.reason);
    cr_assert(hostile_stream(true, "\x01\x08\0\0\xd1" HTTPS_ROOT_X, 10, 0, true));
    turn_until(hostile.heard > 5000, 2);
    cr_assert_gt(hostile.heard, 5000);
    node_stop(&c);
}

/* PRIORITY_UPDATE (RFC 9218, 7.2) of the next stream that it may open. */
Test(http3, knows_how_many_streams_a_client_may_open)
{
    static const uint8_t control[] = "\0\x04\0\x80\x0f\x07\x00\x05\x40\x40u=1"; /* of stream 64 */
    struct node c;
    dial_by_hand(&c);
    cr_assert(hostile_stream(true, "\x01\x08\0\0\xd1" HTTPS_ROOT_X, 10, 0, true));
    turn_until(hostile.heard > 5000, 2);
    turn_until(false, 0.1);
    hostile.streams[0].head = control + 3;
    hostile.streams[0].head_left = sizeof control - 1 - 3;
    connection_touch(hostile.c);
    turn_until(!hostile.c, 0.3);
    cr_assert_not_null(hostile.c, "%s", hostile.reason);
    node_stop(&c);
}

Test(http3, refuses_headers_without_end_and_requests_that_are_none)
{
    static uint8_t fields[12000] = "\0\0\xd1" HTTPS_ROOT_X;
    size_t at = 8;
    while (at < 10500) { /* 100 times cookie (5 in the static table) with 100 bytes */
        fields[at++] = 0x55;
        fields[at++] = 100;
        memset(fields + at, 'c', 100);
        at += 100;
    }
    size_t heard = ask_by_hand(fields, at, 0, true);
    cr_assert_eq(served, 0);
    cr_assert(heard > 0 && heard < 200, "431");
    ask_by_hand("\0\0\xd1\xd7\x50\x01x", 7, 0, true); /* no :path (RFC 9114, 4.3.1) */
    cr_assert_eq(served, 0);
    ask_by_hand("\0\0\xff\xff\xff", 5, 0, true); /* not QPACK */
    cr_assert_eq(served, 0);
    ask(NULL, "/status?x=1", 1000); /* and others are still served */
    cr_assert_eq(got.status, 200);
}
