#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../folder.h"
#include "journal.h"

static struct traffic t;
static struct journal j;
static char path[64];
static struct why w;

static void begin(void)
{
    folder_make();
    snprintf(path, sizeof path, "%s/journal", folder);
    traffic_init(&t, 3, 7);
    cr_assert(eq(int, journal_open(&j, path, &t, (instant){5000000000}, &w), ERR_OK));
}

static void end(void)
{
    if (j.file) journal_close(&j);
    traffic_fini(&t);
    folder_drop();
}

TestSuite(journal, .init = begin, .fini = end);

static const char *read_back(void)
{
    static char text[2000];
    FILE *f = fopen(path, "r");
    cr_assert(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

static void carry(uint32_t from, uint32_t to, size_t bytes)
{
    static uint8_t data[1500];
    traffic_offer(&t, (instant){0}, from, to, data, bytes);
    free(traffic_take(&t, INSTANT_NEVER));
}

#define HEAD                                                                                       \
    "from to packets bytes delivered delivered_bytes lost full cut too_long duplicated filtered\n"

Test(journal, each_second_has_the_pairs_that_carried_something)
{
    carry(0, 1, 100);
    carry(0, 1, 50);
    traffic_link(&t, 2, 0)->is.cut = true;
    carry(2, 0, 70);
    cr_assert(eq(u64, j.due.ns, 6000000000));
    journal_write(&j, &t, j.due, 1001, &w);
    journal_write(&j, &t, j.due, 2002, &w);
    carry(0, 1, 30);
    journal_write(&j, &t, j.due, 3003, &w);
    cr_assert(eq(u64, j.due.ns, 9000000000));
    cr_assert(eq(str, (char *)read_back(),
                 "unix_ms " HEAD "1001 0 1 2 150 2 150 0 0 0 0 0 0\n"
                 "1001 2 0 1 70 0 0 0 0 1 0 0 0\n"
                 "3003 0 1 1 30 1 30 0 0 0 0 0 0\n"));
}

Test(journal, a_late_second_is_not_made_up_for)
{
    journal_write(&j, &t, (instant){9500000000}, 1, &w);
    cr_assert(eq(u64, j.due.ns, 10500000000));
}

Test(journal, a_report_has_the_whole_of_all_reasons)
{
    carry(0, 1, 100);
    struct traffic_link *l = traffic_link(&t, 0, 1);
    journal_write(&j, &t, j.due, 1, &w);
    l->count.lost = 2, l->count.full = 3, l->count.cut = 4;
    l->count.too_long = 5, l->count.duplicated = 6, l->count.filtered = 7;
    cr_assert(eq(int, journal_report(path, &t, &w), ERR_OK));
    cr_assert(eq(str, (char *)read_back(), HEAD "0 1 1 100 1 100 2 3 4 5 6 7\n"));
}

Test(journal, a_file_that_cannot_be_written_is_named)
{
    struct journal other;
    char wrong[80];
    snprintf(wrong, sizeof wrong, "%s/none/journal", folder);
    cr_assert(eq(int, journal_open(&other, wrong, &t, (instant){0}, &w), ERR_IO));
    cr_assert(strstr(w.text, wrong) != NULL);
    cr_assert(eq(int, journal_report(wrong, &t, &w), ERR_IO));
    cr_assert(eq(int, journal_open(&other, "/dev/full", &t, (instant){0}, &w), ERR_OK));
    cr_assert(eq(int, journal_write(&other, &t, (instant){0}, 1, &w), ERR_IO));
    journal_close(&other);
}
