#include "net/http3.h"
#include "pair.h"

static struct node a, b;
static struct {
    int calls, status;
    char body[4096], failed[256], type[64];
    size_t count;
    bool identified;
    uint8_t id[CRYPTO_KEY_BYTES];
} got;
static uint8_t large[3 << 20];

static void serve(void *ctx, const char *path, struct http3_reply *to)
{
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

TestSuite(http3, .init = start, .fini = stop, .timeout = 30);

Test(http3, answers_a_client_without_a_certificate)
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
