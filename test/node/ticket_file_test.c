/* Tickets and lists of revoked ones as files: what is written reads back, and nothing else does. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/identity.h"
#include "node/ticket_file.h"

static struct identity *owner;
static struct crypto crypto;
static struct ticket_file made, back;
static struct why w;
static char text[TICKET_FILE_BYTES_MAX];

static void set_up(void)
{
    static const uint8_t seed[IDENTITY_SEED_BYTES] = {7};
    cr_assert(!identity_from_seed(seed, &owner, &w), "%s", w.text);
    crypto = identity_crypto(owner);
    made = (struct ticket_file){.kind = TICKET_FILE_TICKET, .count = TICKET_BYTES};
    memset(made.run_id, 5, sizeof made.run_id);
    memcpy(made.key, identity_id(owner), sizeof made.key);
    made.ticket = (struct ticket){.id = {9}, .from_s = 1, .until_s = 2, .rights = 1, .serial = 3};
    ticket_write(&crypto, made.run_id, &made.ticket, made.bytes);
}

static void tear_down(void) { identity_close(owner); }

TestSuite(ticket_file, .init = set_up, .fini = tear_down);

static enum err parse(const char *what)
{
    return ticket_file_parse("f", bytes_of(what, strlen(what)), &back, &w);
}

static void refused(const char *what, const char *words)
{
    cr_assert_eq(parse(what), ERR_FORMAT, "%s", what);
    cr_assert_not_null(strstr(w.text, words), "%s", w.text);
}

Test(ticket_file, a_ticket_reads_back_and_its_signature_is_good)
{
    size_t n = ticket_file_print(&made, text);
    cr_assert_eq(n, strlen(text));
    cr_assert_eq(parse(text), ERR_OK, "%s", w.text);
    cr_assert_eq(back.kind, TICKET_FILE_TICKET);
    cr_assert_arr_eq(back.bytes, made.bytes, TICKET_BYTES);
    cr_assert_eq(back.ticket.serial, 3);
    cr_assert(ticket_file_signed(&crypto, &back));
    back.run_id[0] ^= 1;
    cr_assert_not(ticket_file_signed(&crypto, &back));
}

Test(ticket_file, so_does_the_longest_list)
{
    struct record r = {.kind = RECORD_REVOKED,
                       .revoked = {.number = 2, .count = RECORD_REVOKED_MAX}};
    for (uint32_t i = 0; i < RECORD_REVOKED_MAX; i++) r.revoked.serials[i] = i + 1;
    made.kind = TICKET_FILE_REVOKED;
    made.count = record_write(&crypto, made.run_id, &r, made.bytes);
    ticket_file_print(&made, text);
    cr_assert_eq(parse(text), ERR_OK, "%s", w.text);
    cr_assert_eq(back.kind, TICKET_FILE_REVOKED);
    cr_assert_eq(back.revoked.serials[RECORD_REVOKED_MAX - 1], RECORD_REVOKED_MAX);
    cr_assert(ticket_file_signed(&crypto, &back));
}

Test(ticket_file, line_ends_of_windows_and_none_at_the_end_are_fine)
{
    char other[TICKET_FILE_BYTES_MAX];
    ticket_file_print(&made, text);
    size_t n = 0;
    for (const char *c = text; *c; c++) {
        if (*c == '\n') other[n++] = '\r';
        other[n++] = *c;
    }
    other[n] = 0;
    cr_assert_eq(parse(other), ERR_OK, "%s", w.text);
    strcat(other, "\r\n\n");
    cr_assert_eq(parse(other), ERR_OK, "empty lines at the end: %s", w.text);
    text[strlen(text) - 1] = 0;
    cr_assert_eq(parse(text), ERR_OK, "%s", w.text);
}

Test(ticket_file, what_is_cut_changed_or_longer_is_none)
{
    ticket_file_print(&made, text);
    size_t n = strlen(text) - 1;
    for (size_t i = 0; i < n; i++)
        cr_assert(ticket_file_parse("f", bytes_of(text, i), &back, &w), "%zu bytes", i);
    refused("", "neither a ticket nor a list");
    refused("shoal ticket 2\n", "neither a ticket nor a list");
    refused("shoal ticket 1\nrun 00\n", "second line");
    strcat(text, "one\nand\nmore\n");
    refused(text, "fourth and last line");
}
