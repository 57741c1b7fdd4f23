#include "node/peers.h"

#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "test/folder.h"

#define A "aa00000000000000000000000000000000000000000000000000000000000000"
#define B "bb00000000000000000000000000000000000000000000000000000000000000"

static struct peers peers;
static char identity[64], warned[400];
static sem_t woken;
static struct peer_address told[16];
static size_t told_count;
static struct unreached rows[8];
static const char *own; /* swarm.advertise */

static void on_address(void *ctx, const uint8_t id[CRYPTO_KEY_BYTES], const struct address *a,
                       uint32_t list)
{
    cr_assert_eq(list, 0);
    cr_assert_eq(ctx, &told);
    memcpy(told[told_count].id, id, CRYPTO_KEY_BYTES);
    told[told_count++ % 16].address = *a;
}

static void on_warn(void *ctx, const char *text) { snprintf(warned, sizeof warned, "%s", text); }

static void on_wake(void *ctx) { sem_post(&woken); }

static void open_with(const char *const *sources, size_t count)
{
    struct why w = {0};
    struct peers_config c = {.sources = sources,
                             .sources_count = count,
                             .identity = identity,
                             .advertise = own,
                             .self = {0xee},
                             .run_id = {5},
                             .ctx = &told,
                             .address = on_address,
                             .warn = on_warn,
                             .wake = on_wake};
    warned[0] = 0;
    cr_assert_eq(peers_open(&peers, &c, &w), ERR_OK, "%s", w.text);
}

static void start(void)
{
    folder_make();
    snprintf(identity, sizeof identity, "%s/node.key", folder);
    sem_init(&woken, 0, 0);
}

static void stop(void)
{
    peers_close(&peers);
    folder_drop();
}

/* Answers of the resolver, until so many addresses were told. */
static void wait_until_told(size_t count)
{
    while (told_count < count) {
        sem_wait(&woken);
        peers_answers(&peers);
    }
}

TestSuite(peers, .init = start, .fini = stop, .timeout = 60);

Test(peers, tells_every_address_of_a_list_and_of_its_names)
{
    const char *const sources[] = {A "@192.0.2.1:1", A "@192.0.2.1:2", B "@localhost:3"};
    open_with(sources, 3);
    cr_assert_eq(peers.list.count, 2, "the node starts with each ID once");
    cr_assert_eq(peers_start(&peers, NULL), ERR_OK);
    peers_tell(&peers);
    cr_assert(told_count == 1 && told[0].id[0] == 0xaa && told[0].address.port == 2);
    wait_until_told(2);
    cr_assert(told[1].id[0] == 0xbb && told[1].address.family == 4 && told[1].address.port == 3);
}

/* A name would hold up the start for half a minute where the network is down. */
Test(peers, looks_the_name_up_by_which_it_is_advertised_itself)
{
    own = "localhost:4433";
    open_with(NULL, 0);
    cr_assert_eq(peers.advertise.family, 0, "it is not known at the start");
    cr_assert_eq(peers_start(&peers, NULL), ERR_OK);
    wait_until_told(1);
    cr_assert(told[0].id[0] == 0xee && told[0].address.family == 4 && told[0].address.port == 4433);
}

Test(peers, an_own_name_that_is_not_found_is_no_peer_that_is_out_of_reach)
{
    own = "nobody.invalid:4433";
    open_with(NULL, 0);
    cr_assert_eq(peers_start(&peers, NULL), ERR_OK);
    sem_wait(&woken);
    peers_answers(&peers);
    cr_assert_eq(peers_unreached(&peers, rows, 8), 0);
}

Test(peers, an_own_address_is_known_at_once)
{
    own = "192.0.2.7:4433";
    open_with(NULL, 0);
    cr_assert(peers.advertise.family == 4 && peers.advertise.port == 4433);
    cr_assert_eq(peers.list.names_count, 0);
}

Test(peers, starts_with_those_it_has_met)
{
    const char *const sources[] = {A "@192.0.2.1:1"};
    struct node_peer met = {.id = {7},
                            .address = {.family = 4, .ip = {192, 0, 2, 7}, .port = 7},
                            .health = HEALTH_ALIVE,
                            .linked = true};
    open_with(sources, 1);
    cr_assert_eq(peers_see(&peers, &met, 1, (instant){1}), 1);
    peers_close(&peers);
    open_with(sources, 1);
    cr_assert_str_eq(warned, "");
    cr_assert_eq(peers.list.count, 2);
    cr_assert_eq(peers.list.entries[0].id[0], 7);
}

Test(peers, knows_why_a_peer_cannot_be_reached_until_it_is)
{
    struct link_end end = {.code = CLOSE_TIMEOUT,
                           .reason = "nobody answered in time",
                           .dialled = true,
                           .id = {1},
                           .address = {.family = 4, .ip = {192, 0, 2, 1}, .port = 1}};
    open_with(NULL, 0);
    peers_ended(&peers, &end);
    end.id[0] = 2;
    end.code = CLOSE_RUN;
    end.up = true;
    end.reason = "this node takes part in another experiment";
    peers_ended(&peers, &end);
    end.id[0] = 3;
    end.code = CLOSE_IDLE; /* lost, and dialled again soon */
    peers_ended(&peers, &end);
    end.id[0] = 0; /* a stranger that never showed a key */
    end.up = false;
    end.code = CLOSE_TLS;
    peers_ended(&peers, &end);
    cr_assert_eq(peers_unreached(&peers, rows, 8), 2);
    cr_assert(rows[0].id[0] == 2 && rows[0].reason == REACH_RUN);
    cr_assert(rows[1].id[0] == 1 && rows[1].reason == REACH_SILENT && rows[1].count == 1);
    cr_assert_str_eq(rows[1].why, "nobody answered in time");
    struct node_peer now = {.id = {1}, .health = HEALTH_ALIVE, .linked = true};
    cr_assert_eq(peers_see(&peers, &now, 1, (instant){1}), 1);
    cr_assert_eq(peers_unreached(&peers, rows, 8), 1);
    cr_assert_eq(rows[0].id[0], 2);
}
