#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "swarm/access.h"
#include "test/swarm/stage.h"

#define NOW_S 1764000000u /* when the stage starts, in unix seconds */
#define HOUR  3600u

static struct stage stage;
static struct stranger x, y;
static struct standin owner_standin = {.world = 5, .key = {0xee, 1, 2, 3}};
static struct crypto owner;
static uint8_t mine[TICKET_BYTES];

/* The time at which the stage is, for the events of a link. */
static void give(struct event e)
{
    e.wall_ms = NOW_S * 1000ull + span_in_ms(instant_since(stage.now, (instant){span_s(100).ns}));
    stage_give(&stage, e);
}

static struct ticket good(const uint8_t *id, uint32_t serial)
{
    struct ticket t = {
        .from_s = NOW_S - HOUR, .until_s = NOW_S + HOUR, .rights = TICKET_TRAIN, .serial = serial};
    memcpy(t.id, id, sizeof t.id);
    return t;
}

static void set_up(void)
{
    stage_init(&stage);
    owner = standin_crypto(&owner_standin);
    struct ticket t = good(stage.config.id, 1);
    ticket_write(&owner, stage.config.run_id, &t, mine);
    stage.config.ticket_key = owner_standin.key;
    stage.config.ticket = bytes_of(mine, sizeof mine);
    stage_start(&stage);
    stranger_init(&x, &stage, 1);
    stranger_init(&y, &stage, 2);
    give((struct event){.kind = EVENT_TICK});
}

static void tear_down(void) { stage_fini(&stage); }

TestSuite(ticket, .init = set_up, .fini = tear_down);

/* The stranger's link comes up, and its HELLO shows these bytes. */
static void hello(struct stranger *s, struct bytes shown)
{
    uint8_t whole[700];
    struct event e = {
        .kind = EVENT_LINK_UP, .link = s->link, .address = {4, {10, 0, 0, s->id[0]}, 4433}};
    memcpy(e.id, s->id, sizeof e.id);
    give(e);
    s->shown = shown;
    size_t n = stranger_hello(s, &stage, WIRE_MAJOR, stage.config.run_id, whole, sizeof whole);
    stranger_frame(s, &stage, WIRE_HELLO, bytes_of(whole, n));
}

static void joins(struct stranger *s, struct ticket t, const struct crypto *by)
{
    uint8_t bytes[TICKET_BYTES];
    ticket_write(by, stage.config.run_id, &t, bytes);
    hello(s, bytes_of(bytes, sizeof bytes));
}

static void is_in(struct stranger *s)
{
    cr_assert_not_null(stage_view(&stage, s));
    cr_assert_not_null(stage_find(&stage, ACTION_WELCOME, -1));
    cr_assert(stage_view(&stage, s)->linked);
}

/* Hung up with these words, and, where it never was in, nothing known of it. */
static void is_told(const char *words)
{
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert_not_null(a);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_REFUSED));
    cr_assert_not_null(strstr(a->text, words), "%s", a->text);
}

static void is_refused(struct stranger *s, const char *words)
{
    is_told(words);
    cr_assert_null(stage_view(&stage, s));
    cr_assert_null(stage_find(&stage, ACTION_WELCOME, -1));
    cr_assert_not_null(stage_note(&stage, "not_admitted"));
    cr_assert_not_null(strstr(stage_note(&stage, "not_admitted")->word.value, words));
}

static size_t revoke(const struct crypto *by, struct record_revoked v,
                     uint8_t out[RECORD_BYTES_MAX])
{
    struct record r = {.kind = RECORD_REVOKED, .revoked = v};
    return record_write(by, stage.config.run_id, &r, out);
}

/* Is there a list in what was sent on this link as a datagram or frame of records? */
static bool passed_on(link_id link)
{
    for (size_t i = 0; i < stage.actions_count; i++) {
        const struct action *a = &stage.actions[i];
        if (!stage_carries(a) || a->link != link) continue;
        size_t skip = a->kind == ACTION_FRAME ? 0 : a->bytes.data[0] == WIRE_GOSSIP ? 1 : 13;
        size_t n = a->bytes.count;
        struct bytes body = bytes_of(a->bytes.data + skip, n > skip ? n - skip : 0);
        struct reader r = reader_init(body);
        struct bytes record;
        uint32_t age;
        while (record_unpack(&r, &age, &record))
            if (record.count && record.data[0] == RECORD_REVOKED) return true;
    }
    return false;
}

/* ---- who is let in ---- */

Test(ticket, who_shows_its_own_is_let_in)
{
    joins(&x, good(x.id, 7), &owner);
    is_in(&x);
}

Test(ticket, its_own_hello_shows_it)
{
    joins(&x, good(x.id, 7), &owner);
    cr_assert_not_null(stage_find(&stage, ACTION_FRAME, WIRE_HELLO));
    struct bytes said = stage_admission(&stage);
    cr_assert(eq(sz, said.count, sizeof mine));
    cr_assert(memcmp(said.data, mine, sizeof mine) == 0);
}

Test(ticket, who_shows_none_is_told)
{
    hello(&x, bytes_of(NULL, 0));
    is_refused(&x, "takes who has a ticket");
}

Test(ticket, what_is_no_ticket_is_none)
{
    uint8_t bytes[TICKET_BYTES] = {1};
    hello(&x, bytes_of(bytes, sizeof bytes));
    is_refused(&x, "no ticket");
    stage_forget(&stage);
    hello(&x, bytes_of(mine, sizeof mine - 1));
    is_told("no ticket");
}

Test(ticket, the_ticket_of_another_id_is_none)
{
    joins(&x, good(y.id, 7), &owner);
    is_refused(&x, "another ID");
}

Test(ticket, nor_is_one_that_another_key_signed)
{
    joins(&x, good(x.id, 7), &x.crypto);
    is_refused(&x, "not signed by the key");
}

Test(ticket, nor_is_one_of_another_run)
{
    uint8_t bytes[TICKET_BYTES], run[CRYPTO_DIGEST_BYTES] = {9};
    struct ticket t = good(x.id, 7);
    ticket_write(&owner, run, &t, bytes);
    hello(&x, bytes_of(bytes, sizeof bytes));
    is_refused(&x, "another run");
}

Test(ticket, each_changed_byte_is_refused)
{
    uint8_t bytes[TICKET_BYTES];
    struct ticket t = good(x.id, 7);
    ticket_write(&owner, stage.config.run_id, &t, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 4;
        struct access_answer a;
        struct members m = {.config = {.crypto = &stage.crypto, .ticket_key = owner_standin.key},
                            .wall_ms = NOW_S * 1000ull};
        memcpy(m.config.run_id, stage.config.run_id, sizeof m.config.run_id);
        access_ask(&m, x.id, x.id, bytes_of(bytes, sizeof bytes), &a);
        cr_assert_not(a.admitted, "byte %zu", i);
        bytes[i] ^= 4;
        access_ask(&m, x.id, x.id, bytes_of(bytes, sizeof bytes), &a);
        cr_assert(a.admitted);
    }
}

Test(ticket, without_the_right_to_train_is_told_so)
{
    struct ticket t = good(x.id, 7);
    t.rights = TICKET_OBSERVE;
    joins(&x, t, &owner);
    is_refused(&x, "no right to train");
}

Test(ticket, before_it_begins_is_not_valid_but_for_five_minutes)
{
    struct ticket t = good(x.id, 7);
    t.from_s = NOW_S + 301;
    joins(&x, t, &owner);
    is_refused(&x, "not valid before 2025-11-24T16:05:01Z");
    t.from_s = NOW_S + 300;
    joins(&x, t, &owner);
    is_in(&x);
}

Test(ticket, after_its_end_is_not_valid_but_for_five_minutes)
{
    struct ticket t = good(x.id, 7);
    t.until_s = NOW_S - 300;
    joins(&x, t, &owner);
    is_refused(&x, "ended at 2025-11-24T15:55:00Z");
    t.until_s = NOW_S - 299;
    joins(&x, t, &owner);
    is_in(&x);
}

Test(ticket, cheap_checks_come_before_the_signature)
{
    uint64_t verified = stage.standin.verified_count;
    struct ticket t = good(x.id, 7);
    t.until_s = NOW_S - HOUR / 2;
    joins(&x, t, &owner);
    joins(&x, good(y.id, 7), &owner);
    hello(&x, bytes_of(NULL, 0));
    cr_assert(eq(u64, stage.standin.verified_count, verified));
}

/* ---- what ends later ---- */

Test(ticket, that_ends_takes_its_holder_out)
{
    struct ticket t = good(x.id, 7);
    t.until_s = NOW_S + 10;
    joins(&x, t, &owner);
    joins(&y, good(y.id, 8), &owner);
    is_in(&x);
    stage_forget(&stage);
    for (int i = 0; i < 308; i++) { /* both live */
        stranger_progress(&x, &stage);
        stranger_progress(&y, &stage);
        stage_pass(&stage, span_s(1));
        stage_forget(&stage);
    }
    cr_assert(stage_view(&stage, &x)->linked);
    stage_pass(&stage, span_s(3));
    is_told("ended at");
    cr_assert_not(stage_view(&stage, &x)->linked);
    cr_assert(eq(int, (int)stage_view(&stage, &x)->health, (int)HEALTH_DEAD));
    cr_assert(stage_view(&stage, &y)->linked);
    cr_assert_not_null(stage_note(&stage, "ticket_over"));
}

Test(ticket, that_is_revoked_takes_its_holder_out_for_good)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    joins(&x, good(x.id, 7), &owner);
    joins(&y, good(y.id, 8), &owner);
    stage_forget(&stage);
    size_t n = revoke(&owner, (struct record_revoked){1, 0, 1, {7}}, bytes);
    stranger_says(&y, &stage, 0, bytes_of(bytes, n));
    cr_assert(eq(int, (int)stage_view(&stage, &x)->health, (int)HEALTH_DEAD));
    cr_assert(passed_on(x.link), "it hears of the list");
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1), "for which there is time");
    stranger_progress(&x, &stage);
    give((struct event){
        .kind = EVENT_REQUEST, .link = x.link, .bytes = {(uint8_t[]){WIRE_SYNC, 0, 0}, 3}});
    const struct action *r = stage_find(&stage, ACTION_REPLY, -1);
    cr_assert(r && r->bytes.count == 0, "nothing else is taken from it, nor given to it");
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
    stage_pass(&stage, span_ms(310));
    is_told("serial 7, was revoked");
    cr_assert(eq(u64, stage_find(&stage, ACTION_HANG_UP, -1)->link, x.link));
    cr_assert(stage_view(&stage, &y)->linked);
    const struct action *a = stage_find(&stage, ACTION_REVOKED, -1);
    cr_assert_not_null(a, "it is kept");
    stage_forget(&stage);
    joins(&x, good(x.id, 7), &owner);
    is_told("serial 7, was revoked");
    x.version.incarnation++; /* by gossip it does not come back either */
    n = stranger_peer(&x, &stage, bytes);
    stranger_says(&y, &stage, 0, bytes_of(bytes, n));
    cr_assert(eq(int, (int)stage_view(&stage, &x)->health, (int)HEALTH_DEAD));
    stage_forget(&stage);
    struct event e = {.kind = EVENT_LINK_UP, .link = 77, .address = {4, {10, 0, 0, 1}, 4433}};
    memcpy(e.id, x.id, sizeof e.id); /* no link is judged by an earlier one's ticket */
    give(e);
    stage_pass(&stage, span_s(1));
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
    joins(&x, good(x.id, 9), &owner); /* with another ticket it does */
    is_in(&x);
    cr_assert(eq(int, (int)stage_view(&stage, &x)->health, (int)HEALTH_ALIVE));
}

Test(ticket, all_below_a_serial_can_be_revoked)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    size_t n = revoke(&owner, (struct record_revoked){1, 8, 0, {0}}, bytes);
    give((struct event){.kind = EVENT_REVOKED, .bytes = bytes_of(bytes, n)});
    joins(&x, good(x.id, 7), &owner);
    is_refused(&x, "revoked");
    joins(&y, good(y.id, 8), &owner);
    is_in(&y);
}

Test(ticket, of_two_lists_the_one_with_the_higher_number_counts)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    size_t n = revoke(&owner, (struct record_revoked){2, 0, 0, {0}}, bytes);
    give((struct event){.kind = EVENT_REVOKED, .bytes = bytes_of(bytes, n)});
    joins(&y, good(y.id, 8), &owner);
    n = revoke(&owner, (struct record_revoked){1, 0, 1, {7}}, bytes);
    stranger_says(&y, &stage, 0, bytes_of(bytes, n));
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
    joins(&x, good(x.id, 7), &owner);
    is_in(&x);
}

Test(ticket, a_list_that_somebody_else_signed_ends_the_link_and_revokes_nothing)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    joins(&x, good(x.id, 7), &owner);
    joins(&y, good(y.id, 8), &owner);
    size_t n = revoke(&y.crypto, (struct record_revoked){1, 0, 1, {7}}, bytes);
    stranger_says(&y, &stage, 0, bytes_of(bytes, n));
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    cr_assert(eq(u32, a->code, (uint32_t)CLOSE_PROTOCOL));
    cr_assert(eq(u64, a->link, y.link));
    cr_assert(stage_view(&stage, &x)->linked);
}

Test(ticket, a_list_is_passed_on_and_told_to_who_comes_later)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    joins(&y, good(y.id, 8), &owner);
    stage_forget(&stage);
    size_t n = revoke(&owner, (struct record_revoked){1, 0, 1, {70}}, bytes);
    give((struct event){.kind = EVENT_REVOKED, .bytes = bytes_of(bytes, n)});
    stage_pass(&stage, span_ms(50));
    cr_assert(passed_on(y.link));
    stage_forget(&stage);
    joins(&x, good(x.id, 7), &owner);
    stage_pass(&stage, span_ms(50));
    cr_assert(passed_on(x.link));
}

/* What it answers to a SYNC that holds this list number (0: none). */
static const struct action *synced(uint32_t number)
{
    uint8_t bytes[64];
    struct writer w = writer_init(bytes, sizeof bytes);
    writer_u8(&w, WIRE_SYNC);
    writer_u16(&w, number != 0);
    if (number) {
        writer_u64(&w, 0);
        writer_u8(&w, RECORD_REVOKED);
        writer_u64(&w, number);
        writer_u32(&w, 0);
    }
    stage_forget(&stage);
    give((struct event){
        .kind = EVENT_REQUEST, .link = y.link, .ticket = 1, .bytes = writer_bytes(&w)});
    return stage_find(&stage, ACTION_REPLY, -1);
}

Test(ticket, a_list_is_had_by_sync_and_wanted_if_newer)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    joins(&y, good(y.id, 8), &owner);
    size_t n = revoke(&owner, (struct record_revoked){5, 0, 1, {70}}, bytes);
    give((struct event){.kind = EVENT_REVOKED, .bytes = bytes_of(bytes, n)});
    const struct action *a = synced(0);
    cr_assert_not_null(memmem(a->bytes.data, a->bytes.count, bytes, n));
    a = synced(4);
    cr_assert_not_null(memmem(a->bytes.data, a->bytes.count, bytes, n));
    a = synced(5);
    cr_assert_null(memmem(a->bytes.data, a->bytes.count, bytes, n));
    cr_assert(eq(int, a->bytes.data[0], 0), "nothing is wanted");
    a = synced(6);
    cr_assert(eq(int, a->bytes.data[0], 1));
    cr_assert(eq(int, a->bytes.data[2 + 8], RECORD_REVOKED));
}

Test(ticket, a_swarm_without_tickets_passes_lists_over)
{
    stage_fini(&stage);
    stage_init(&stage);
    stage_start(&stage);
    uint8_t bytes[RECORD_BYTES_MAX];
    stranger_joins(&x, &stage);
    size_t n = revoke(&owner, (struct record_revoked){1, 0, 1, {7}}, bytes);
    stranger_says(&x, &stage, 0, bytes_of(bytes, n));
    cr_assert_null(stage_find(&stage, ACTION_HANG_UP, -1));
    cr_assert_null(stage_find(&stage, ACTION_REVOKED, -1));
}
