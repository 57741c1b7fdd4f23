#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/hmac.h"
#include "test/swarm/stage.h"

static const uint8_t secret[16] = "sixteen bytes..";
static struct stage stage;
static struct stranger x;

static void set_up(void)
{
    stage_init(&stage);
    stage.config.secret = bytes_of(secret, sizeof secret);
    stage_start(&stage);
    stranger_init(&x, &stage, 1);
}

static void tear_down(void) { stage_fini(&stage); }

TestSuite(access, .init = set_up, .fini = tear_down);

/* x's link with this exporter comes up, and its HELLO with this proof. */
static void hello(const uint8_t exporter[CRYPTO_HASH_BYTES], const uint8_t *proof, size_t count)
{
    uint8_t whole[600];
    struct event e = {
        .kind = EVENT_LINK_UP, .link = x.link, .address = {4, {10, 0, 0, x.id[0]}, 4433}};
    memcpy(e.id, x.id, sizeof e.id);
    memcpy(e.exporter, exporter, sizeof e.exporter);
    stage_give(&stage, e);
    x.shown = bytes_of(proof, count);
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, whole, sizeof whole);
    stranger_frame(&x, &stage, WIRE_HELLO, bytes_of(whole, n));
}

static void prove(const uint8_t exporter[CRYPTO_HASH_BYTES], const uint8_t *id, const void *key,
                  uint8_t out[CRYPTO_HASH_BYTES])
{
    struct bytes parts[] = {bytes_of(stage.config.run_id, CRYPTO_DIGEST_BYTES),
                            bytes_of(exporter, CRYPTO_HASH_BYTES), bytes_of(id, CRYPTO_KEY_BYTES)};
    hmac(&stage.crypto, bytes_of(key, sizeof secret), parts, 3, out);
}

static bool inside(void) { return stage_view(&stage, &x) != NULL; }

static void is_refused(void)
{
    cr_assert_not(inside());
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_REFUSED));
    cr_assert(strstr(a->text, "secret") != NULL);
    cr_assert_not_null(stage_note(&stage, "not_admitted"));
    cr_assert_null(stage_find(&stage, ACTION_WELCOME, -1));
}

static const uint8_t exporter[CRYPTO_HASH_BYTES] = {7}, another[CRYPTO_HASH_BYTES] = {8};
static uint8_t proof[CRYPTO_HASH_BYTES];

Test(access, who_holds_the_secret_is_let_in)
{
    prove(exporter, x.id, secret, proof);
    hello(exporter, proof, sizeof proof);
    cr_assert(inside());
}

Test(access, its_own_hello_proves_it_too)
{
    prove(exporter, stage.config.id, secret, proof);
    hello(exporter, NULL, 0);
    cr_assert_not_null(stage_find(&stage, ACTION_FRAME, WIRE_HELLO));
    struct bytes said = stage_admission(&stage);
    cr_assert(eq(sz, said.count, sizeof proof));
    cr_assert(memcmp(said.data, proof, sizeof proof) == 0);
}

Test(access, who_proves_nothing_is_not)
{
    hello(exporter, NULL, 0);
    is_refused();
}

Test(access, another_secret_is_none)
{
    prove(exporter, x.id, "another secret..", proof);
    hello(exporter, proof, sizeof proof);
    is_refused();
}

Test(access, what_is_proven_on_another_link_is_worth_nothing)
{
    prove(another, x.id, secret, proof);
    hello(exporter, proof, sizeof proof);
    is_refused();
}

Test(access, nor_is_the_proof_of_another_key)
{
    prove(exporter, stage.config.id, secret, proof); /* this node's own, sent back to it */
    hello(exporter, proof, sizeof proof);
    is_refused();
}

Test(access, half_a_proof_is_none)
{
    prove(exporter, x.id, secret, proof);
    hello(exporter, proof, sizeof proof / 2);
    is_refused();
}
