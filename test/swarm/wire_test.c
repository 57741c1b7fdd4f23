#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "test/swarm/stage.h"

static struct stage stage;
static struct stranger x;

static void set_up(void)
{
    stage_init(&stage);
    stranger_init(&x, &stage, 1);
}

TestSuite(wire, .init = set_up);

static struct record example(enum record_kind kind)
{
    struct record r = {.kind = kind};
    switch (kind) {
    case RECORD_PEER:
        memcpy(r.peer.id, x.id, sizeof r.peer.id);
        r.peer.version = (struct version){70, 2};
        r.peer.addresses_count = 1;
        r.peer.addresses[0] = (struct address){4, {192, 0, 2, 1}, 4433};
        break;
    case RECORD_PROGRESS:
        r.progress = x.progress;
        r.progress.sid = wire_sid(x.id);
        r.progress.version = (struct version){70, 3};
        r.progress.epoch = 9;
        r.progress.tokens = (uint64_t)1 << 40;
        r.progress.loss = 3.25f;
        break;
    case RECORD_SUSPECT:
        r.suspect = (struct record_suspect){wire_sid(x.id), 77, 5};
        break;
    case RECORD_LEAVE:
        r.leave = (struct record_leave){wire_sid(x.id), {70, 4}};
        break;
    case RECORD_REACH:
        r.reach = (struct record_reach){wire_sid(x.id), {70, 5}, 1, {{77, REACH_KEY}}};
        break;
    case RECORD_REVOKED:
        r.revoked = (struct record_revoked){3, 5, 1, {7}};
        break;
    }
    return r;
}

static const enum record_kind kinds[] = {RECORD_PEER,  RECORD_PROGRESS, RECORD_SUSPECT,
                                         RECORD_LEAVE, RECORD_REACH,    RECORD_REVOKED};

#define KINDS (sizeof kinds / sizeof *kinds)

/* The size that SPEC.md's table gives for a kind; -1 when it has no such line. */
static int size_in_spec(enum record_kind kind)
{
    char line[1024], head[16];
    int bytes = -1;
    FILE *f = fopen("SPEC.md", "r");
    cr_assert_not_null(f, "run from the top of the repository");
    snprintf(head, sizeof head, "| 0x%02x |", kind);
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, head, strlen(head)))
            sscanf(line + strlen(head), " %*[A-Z] | %d", &bytes);
    fclose(f);
    return bytes;
}

Test(wire, records_have_the_sizes_that_the_specification_says)
{
    for (size_t i = 0; i < KINDS; i++) {
        uint8_t bytes[RECORD_BYTES_MAX];
        struct record r = example(kinds[i]);
        size_t count = stranger_sign(&x, &stage, r, bytes);
        cr_assert(eq(int, (int)count, size_in_spec(kinds[i])), "kind %x", kinds[i]);
    }
    cr_assert(eq(
        sz, (size_t)(LINK_DATAGRAM_BYTES_MAX - 1) / (RECORD_ENVELOPE_BYTES + RECORD_PROGRESS_BYTES),
        (size_t)7));
}

Test(wire, a_record_reads_back_as_it_was_written)
{
    for (size_t i = 0; i < KINDS; i++) {
        uint8_t bytes[RECORD_BYTES_MAX], again[RECORD_BYTES_MAX];
        struct record r;
        size_t count = stranger_sign(&x, &stage, example(kinds[i]), bytes);
        cr_assert(record_read(bytes_of(bytes, count), &r));
        cr_assert(eq(u64, record_writer(&r), kinds[i] == RECORD_REVOKED ? 0 : wire_sid(x.id)));
        cr_assert(eq(sz, stranger_sign(&x, &stage, r, again), count));
        cr_assert(eq(int, memcmp(bytes, again, count), 0));
    }
}

Test(wire, no_part_of_a_record_is_a_record)
{
    for (size_t i = 0; i < KINDS; i++) {
        uint8_t bytes[RECORD_BYTES_MAX + 1] = {0};
        struct record r;
        size_t count = stranger_sign(&x, &stage, example(kinds[i]), bytes);
        for (size_t n = 0; n < count; n++) cr_assert_not(record_read(bytes_of(bytes, n), &r));
        cr_assert_not(record_read(bytes_of(bytes, count + 1), &r));
    }
}

Test(wire, every_changed_byte_breaks_the_signature)
{
    for (size_t i = 0; i < KINDS; i++) {
        uint8_t bytes[RECORD_BYTES_MAX];
        size_t count = stranger_sign(&x, &stage, example(kinds[i]), bytes);
        cr_assert(record_verify(&stage.crypto, stage.config.run_id, bytes_of(bytes, count), x.id));
        for (size_t n = 0; n < count; n++) {
            bytes[n] ^= 1;
            cr_assert_not(
                record_verify(&stage.crypto, stage.config.run_id, bytes_of(bytes, count), x.id));
            bytes[n] ^= 1;
        }
    }
}

Test(wire, a_record_of_another_run_or_another_key_does_not_verify)
{
    uint8_t bytes[RECORD_BYTES_MAX], run[CRYPTO_DIGEST_BYTES] = {1};
    size_t count = stranger_sign(&x, &stage, example(RECORD_PROGRESS), bytes);
    cr_assert_not(record_verify(&stage.crypto, run, bytes_of(bytes, count), x.id));
    cr_assert_not(
        record_verify(&stage.crypto, stage.config.run_id, bytes_of(bytes, count), stage.config.id));
}

static bool reach_reads(uint8_t count, sid first, sid second)
{
    struct record again, r = {.kind = RECORD_REACH, .reach = {.sid = 50, .count = count}};
    uint8_t bytes[RECORD_BYTES_MAX];
    for (uint8_t i = 0; i < count; i++)
        r.reach.list[i] = (struct peer_unreached){i ? second + i : first, (enum reach_reason)200};
    size_t n = stranger_sign(&x, &stage, r, bytes);
    return record_read(bytes_of(bytes, n), &again);
}

Test(wire, whom_a_member_cannot_reach_is_named_once_in_order_and_not_itself)
{
    cr_assert(reach_reads(0, 0, 0));
    cr_assert(reach_reads(2, 40, 60), "reasons of later versions are taken");
    cr_assert(reach_reads(RECORD_REACH_MAX, 1, 100));
    cr_assert_not(reach_reads(2, 60, 59), "twice");
    cr_assert_not(reach_reads(2, 60, 40));
    cr_assert_not(reach_reads(1, 0, 0), "nobody");
    cr_assert_not(reach_reads(1, 50, 0), "itself");
    uint8_t bytes[RECORD_BYTES_MAX + 16] = {RECORD_REACH, [1] = 50, [21] = RECORD_REACH_MAX + 1};
    for (uint8_t i = 0; i <= RECORD_REACH_MAX; i++) bytes[22 + 9 * i] = (uint8_t)(100 + i);
    struct record r;
    cr_assert_not(record_read(bytes_of(bytes, RECORD_REACH_BYTES(RECORD_REACH_MAX + 1)), &r),
                  "more than there can be");
}

static bool revoked_reads(struct record_revoked v)
{
    struct record again, r = {.kind = RECORD_REVOKED, .revoked = v};
    uint8_t bytes[RECORD_BYTES_MAX];
    return record_read(bytes_of(bytes, stranger_sign(&x, &stage, r, bytes)), &again);
}

Test(wire, revoked_serials_are_named_once_in_order_and_none_below_the_bound)
{
    struct record_revoked whole = {1, 0, RECORD_REVOKED_MAX, {0}};
    for (uint32_t i = 0; i < RECORD_REVOKED_MAX; i++) whole.serials[i] = 10 * i + 1;
    cr_assert(revoked_reads(whole));
    cr_assert(revoked_reads((struct record_revoked){1, 9, 0, {0}}));
    cr_assert(revoked_reads((struct record_revoked){1, 5, 2, {5, 6}}));
    cr_assert_not(revoked_reads((struct record_revoked){0, 0, 1, {1}}), "without a number");
    cr_assert_not(revoked_reads((struct record_revoked){1, 0, 2, {4, 4}}), "twice");
    cr_assert_not(revoked_reads((struct record_revoked){1, 0, 2, {4, 3}}));
    cr_assert_not(revoked_reads((struct record_revoked){1, 5, 1, {4}}), "below the bound");
    uint8_t bytes[RECORD_REVOKED_BYTES(RECORD_REVOKED_MAX + 1)] = {RECORD_REVOKED,
                                                                   1, [9] = RECORD_REVOKED_MAX + 1};
    for (size_t i = 0; i <= RECORD_REVOKED_MAX; i++) bytes[10 + 4 * i] = (uint8_t)(i + 1);
    struct record r;
    cr_assert_not(record_read(bytes_of(bytes, sizeof bytes), &r), "more than there can be");
}

Test(wire, addresses_that_cannot_be_are_refused)
{
    const struct address bad[] = {
        {5, {1}, 1}, {4, {1, 2, 3, 4}, 0}, {4, {1, 2, 3, 4, 5}, 1}, {0, {0}, 5}, {0, {1}, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t bytes[19];
        struct address a;
        struct writer w = writer_init(bytes, sizeof bytes);
        wire_write_address(&w, &bad[i]);
        struct reader r = reader_init(writer_bytes(&w));
        cr_assert_not(wire_read_address(&r, &a), "address %zu", i);
    }
}

Test(wire, an_envelope_longer_than_what_follows_is_bad)
{
    uint8_t bytes[] = {9, 0, 0, 0, 0, 0, 1, 2, 3};
    struct reader r = reader_init(bytes_of(bytes, sizeof bytes));
    struct bytes record;
    uint32_t age;
    cr_assert_not(record_unpack(&r, &age, &record));
    cr_assert(r.bad);
    r = reader_init(bytes_of(bytes, 0));
    cr_assert_not(record_unpack(&r, &age, &record));
    cr_assert_not(r.bad);
}

Test(wire, the_later_incarnation_is_newer_whatever_the_sequence)
{
    cr_assert(version_newer((struct version){2, 0}, (struct version){1, 9}));
    cr_assert(version_newer((struct version){1, 2}, (struct version){1, 1}));
    cr_assert_not(version_newer((struct version){1, 1}, (struct version){1, 1}));
    cr_assert_not(version_newer((struct version){1, 9}, (struct version){2, 0}));
}
