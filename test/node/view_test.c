/* view_test.c -- what a node says of itself and of others at /status and /peers. */
#include "node/view.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Ourselves, who know no address of our own, and a member that trains. */
static struct node_peer peers[3];
static struct view_facts facts;

static void begin(void)
{
    memset(peers, 0, sizeof peers);
    peers[0] = (struct node_peer){.id = {0xa0}, .self = true, .phase = PHASE_MATCH};
    peers[1] = (struct node_peer){.id = {0xb0, [31] = 0x0b},
                                  .address = {4, {10, 0, 0, 11}, 4433},
                                  .phase = PHASE_TRAIN,
                                  .epoch = 3,
                                  .steps = 5,
                                  .loss = 2.5f,
                                  .age = span_ms(1500),
                                  .linked = true};
    facts = (struct view_facts){.peers = peers,
                                .peers_count = 2,
                                .experiment = "tiny",
                                .run_id = {0x12},
                                .epochs = 12,
                                .net = {.sent_bytes = 7, .evicted = 3},
                                .listen = {4, {127, 0, 0, 1}, 4433},
                                .now_ms = 90000};
}

TestSuite(view, .init = begin);

static json_t *status(void)
{
    char *text = view_status(&facts);
    cr_assert_not_null(text);
    json_t *o = json_loads(text, 0, NULL);
    cr_assert_not_null(o, "it is JSON: %s", text);
    free(text);
    return o;
}

static const json_t *row(const json_t *o, const char *list, size_t i)
{
    return json_array_get(json_object_get(o, list), i);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "(none)";
}

static double number_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

Test(view, it_shows_the_run_and_the_node_itself)
{
    json_t *o = status();
    cr_assert_str_eq(text_of(o, "experiment"), "tiny");
    cr_assert_eq(strlen(text_of(o, "run")), 2 * CRYPTO_DIGEST_BYTES);
    cr_assert_eq(strncmp(text_of(o, "run"), "1200", 4), 0);
    cr_assert_eq(number_of(o, "epochs"), 12);
    cr_assert_eq(number_of(o, "sent"), 7);
    cr_assert_eq(number_of(json_object_get(o, "strangers"), "evicted"), 3);
    cr_assert(json_is_true(json_object_get(row(o, "peers", 0), "self")));
    cr_assert_str_eq(text_of(row(o, "peers", 0), "address"), "127.0.0.1:4433",
                     "what it listens on, until a peer has told it better");
    cr_assert_str_eq(text_of(row(o, "peers", 0), "phase"), "match");
    json_decref(o);
}

Test(view, a_member_is_shown_with_what_it_says_of_itself)
{
    json_t *o = status();
    const json_t *peer = row(o, "peers", 1);
    cr_assert_eq(json_array_size(json_object_get(o, "peers")), 2);
    cr_assert_str_eq(text_of(peer, "address"), "10.0.0.11:4433");
    cr_assert_str_eq(text_of(peer, "phase"), "train");
    cr_assert_str_eq(text_of(peer, "health"), "alive");
    cr_assert(number_of(peer, "epoch") == 3 && number_of(peer, "steps") == 5);
    cr_assert_float_eq(number_of(peer, "age"), 1.5, 1e-9);
    cr_assert_float_eq(number_of(peer, "loss"), 2.5, 1e-9);
    cr_assert(json_is_false(json_object_get(peer, "self")));
    cr_assert(json_is_true(json_object_get(peer, "linked")));
    json_decref(o);
}

Test(view, a_member_without_a_step_has_no_loss_yet)
{
    peers[1].loss = 0;
    json_t *o = status();
    cr_assert(json_is_null(json_object_get(row(o, "peers", 1), "loss")));
    json_decref(o);
}

/* JSON has no such number, and a peer's sentence may be any bytes. */
Test(view, what_json_cannot_say_is_replaced)
{
    const struct unreached u = {.id = {1}, .why = "\xff\xfe", .count = 4, .last_ms = 60000};
    peers[1].loss = NAN;
    facts.unreached = &u;
    facts.unreached_count = 1;
    json_t *o = status();
    cr_assert(json_is_null(json_object_get(row(o, "peers", 1), "loss")));
    const json_t *unreached = row(o, "unreachable", 0);
    cr_assert_str_eq(text_of(unreached, "why"), "?");
    cr_assert_str_eq(text_of(unreached, "address"), "", "it has none");
    cr_assert_eq(number_of(unreached, "tries"), 4);
    cr_assert_eq(number_of(unreached, "seconds"), 30);
    json_decref(o);
}

Test(view, whom_a_member_cannot_reach_is_named_by_its_whole_id_where_that_is_known)
{
    struct reader known = reader_init(bytes_of(peers[0].id, 8));
    peers[1].unreached_count = 2;
    peers[1].unreached[0].sid = reader_u64(&known);
    peers[1].unreached[1].sid = 0x1122334455667788;
    json_t *o = status();
    const json_t *list = json_object_get(row(o, "peers", 1), "unreachable");
    cr_assert_eq(json_array_size(list), 2);
    cr_assert_eq(strlen(text_of(json_array_get(list, 0), "id")), 2 * CRYPTO_KEY_BYTES);
    cr_assert_eq(strncmp(text_of(json_array_get(list, 0), "id"), "a000", 4), 0);
    cr_assert_eq(strlen(text_of(json_array_get(list, 1), "id")), 16, "else by its first digits");
    json_decref(o);
}

Test(view, the_peer_list_names_those_who_are_alive_and_have_an_address)
{
    static const char *const wanted = "b00000000000000000000000000000000000000000000000"
                                      "000000000000000b@10.0.0.11:4433\n";
    peers[2] = peers[1];
    peers[2].health = HEALTH_SUSPECT;
    facts.peers_count = 3;
    char *text = view_peers(&facts);
    cr_assert_eq(strncmp(text, "a000", 4), 0, "itself first: %s", text);
    cr_assert_str_eq(strchr(text, '\n') + 1, wanted);
    free(text);
    facts.listen = (struct address){4, {0}, 4433}; /* "any" is nowhere to go */
    text = view_peers(&facts);
    cr_assert_str_eq(text, wanted);
    free(text);
}

Test(view, each_phase_and_health_has_a_word_of_its_own)
{
    for (int p = 0; p <= PHASE_OBSERVER; p++) {
        cr_assert_str_neq(view_phase(p), "unknown");
        for (int q = 0; q < p; q++) cr_assert_str_neq(view_phase(p), view_phase(q));
    }
    for (int h = 0; h <= HEALTH_LEFT; h++) cr_assert_str_neq(view_health(h), "unknown");
    cr_assert_str_eq(view_phase(200), "unknown");
    cr_assert_str_eq(view_health(200), "unknown");
}
