#include "node/unreached.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct unreached_table table;
static struct unreached rows[UNREACHED_MAX + 1];

static void add(unsigned peer, enum reach_reason reason, const char *why, uint64_t at)
{
    uint8_t id[CRYPTO_KEY_BYTES];
    memset(id, 0, sizeof id);
    memcpy(id, &peer, sizeof peer);
    struct address a = {.family = 4, .port = (uint16_t)at};
    unreached_add(&table, id, &a, reason, why, at);
}

static size_t list(void) { return unreached_list(&table, rows, UNREACHED_MAX + 1); }

static void start(void) { unreached_init(&table); }
static void stop(void) { unreached_fini(&table); }

TestSuite(unreached, .init = start, .fini = stop);

Test(unreached, keeps_the_latest_reason_of_each_and_how_often)
{
    add(1, REACH_SILENT, "nobody answered in time", 100);
    add(2, REACH_RUN, "another experiment", 150);
    add(1, REACH_SILENT, "nobody answered in time", 200);
    cr_assert_eq(list(), 2);
    cr_assert_eq(rows[0].id[0], 1, "the latest first");
    cr_assert(rows[0].count == 2 && rows[0].first_ms == 100 && rows[0].last_ms == 200);
    cr_assert_eq(rows[0].address.port, 200, "the latest address");
    add(1, REACH_KEY, "the key is another", 300);
    cr_assert_eq(list(), 2);
    cr_assert(rows[0].reason == REACH_KEY && rows[0].count == 1 && rows[0].first_ms == 300);
    cr_assert_str_eq(rows[0].why, "the key is another");
}

Test(unreached, forgets_whom_it_reaches)
{
    for (unsigned i = 1; i <= 3; i++) add(i, REACH_FULL, "", i);
    unreached_drop(&table, rows[list() ? 1 : 0].id);
    cr_assert_eq(list(), 2);
    cr_assert(rows[0].id[0] == 3 && rows[1].id[0] == 1);
    unreached_drop(&table, (const uint8_t[CRYPTO_KEY_BYTES]){9});
    unreached_mend(&table, (const uint8_t[CRYPTO_KEY_BYTES]){3}, REACH_NAME);
    cr_assert_eq(list(), 2, "another reason than that stays");
    unreached_mend(&table, (const uint8_t[CRYPTO_KEY_BYTES]){3}, REACH_FULL);
    cr_assert_eq(list(), 1);
    cr_assert_eq(rows[0].id[0], 1);
}

Test(unreached, knows_nobody_at_the_start) { cr_assert_eq(list(), 0); }

Test(unreached, is_bounded)
{
    for (unsigned i = 1; i <= UNREACHED_MAX + 10; i++) add(i, REACH_SILENT, "", i);
    cr_assert_eq(list(), UNREACHED_MAX);
    cr_assert_eq(rows[0].last_ms, UNREACHED_MAX + 10);
    cr_assert_eq(rows[UNREACHED_MAX - 1].last_ms, 11, "those tried longest ago are gone");
}
