/* threads_test.c -- two endpoints, each on a loop and a thread of its own, as workers in one
 * process would be. */
#include <pthread.h>
#include <unistd.h>

#include "net/identity.h"
#include "pair.h"

struct side {
    struct loop *loop;
    struct endpoint *endpoint;
    struct identity *self;
    struct address address;
    struct loop_call call;
    pthread_t thread;
    link_id link;
    atomic_int parcels, done, links;
};
static struct side left, right;
static uint8_t blob[100000];

static void on_up(void *ctx, link_id l, const uint8_t id[CRYPTO_KEY_BYTES],
                  const struct address *remote, bool dialled)
{
    struct side *s = ctx;
    s->link = l;
    link_welcome(s->endpoint, l);
    atomic_fetch_add(&s->links, 1);
}
static void on_parcel(void *ctx, link_id l, struct bytes b)
{
    if (b.count == sizeof blob && !memcmp(b.data, blob, sizeof blob))
        atomic_fetch_add(&((struct side *)ctx)->parcels, 1);
}
static void on_done(void *ctx, link_id l, uint64_t ticket, bool ok)
{
    atomic_fetch_add(&((struct side *)ctx)->done, ok);
}

static void send_one(void *ctx) /* on the side's own thread */
{
    struct side *s = ctx;
    link_parcel(s->endpoint, s->link, bytes_of(blob, sizeof blob), bytes_of(NULL, 0), 1);
}

static void *run(void *ctx)
{
    loop_run(((struct side *)ctx)->loop);
    return NULL;
}

static void open_side(struct side *s, uint8_t seed)
{
    uint8_t bytes[IDENTITY_SEED_BYTES] = {seed};
    struct endpoint_config c = endpoint_defaults("127.0.0.1:0");
    struct endpoint_handlers h = {
        .ctx = s, .link_up = on_up, .parcel = on_parcel, .parcel_done = on_done};
    cr_assert_eq(identity_from_seed(bytes, &s->self, NULL), ERR_OK);
    cr_assert_eq(loop_open(&s->loop, NULL), ERR_OK);
    cr_assert_eq(endpoint_open(s->loop, &c, s->self, &h, &s->endpoint, NULL), ERR_OK);
    s->address = endpoint_address(s->endpoint);
    s->call = (struct loop_call){.run = send_one, .ctx = s};
}

static bool wait_for(atomic_int *what, int count)
{
    for (int i = 0; i < 6000 && atomic_load(what) < count; i++) usleep(10000);
    return atomic_load(what) >= count;
}

Test(threads, exchange_parcels_while_a_third_hashes, .timeout = 120)
{
    uint8_t first[32], hash[32];
    for (size_t i = 0; i < sizeof blob; i++) blob[i] = (uint8_t)(i >> 4);
    open_side(&left, 1);
    open_side(&right, 2);
    cr_assert_neq(endpoint_dial(left.endpoint, identity_id(right.self), &right.address, NULL),
                  LINK_NONE);
    pthread_create(&left.thread, NULL, run, &left);
    pthread_create(&right.thread, NULL, run, &right);
    cr_assert(wait_for(&left.links, 1) && wait_for(&right.links, 1));
    struct crypto c = identity_crypto(NULL);
    crypto_hash(&c, bytes_of(blob, sizeof blob), first);
    for (int i = 0; i < 20; i++) {
        loop_post(left.loop, &left.call);
        loop_post(right.loop, &right.call);
        crypto_hash(&c, bytes_of(blob, sizeof blob), hash);
        cr_assert(!memcmp(first, hash, 32));
        cr_assert(wait_for(&left.done, i + 1) && wait_for(&right.done, i + 1));
    }
    cr_assert(wait_for(&left.parcels, 20) && wait_for(&right.parcels, 20));
    loop_stop(left.loop);
    loop_stop(right.loop);
    pthread_join(left.thread, NULL);
    pthread_join(right.thread, NULL);
    struct side *sides[] = {&left, &right};
    for (size_t i = 0; i < 2; i++) {
        endpoint_close(sides[i]->endpoint);
        identity_close(sides[i]->self);
        loop_close(sides[i]->loop);
    }
}
