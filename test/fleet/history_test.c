#include "fleet/history.h"

#include <criterion/criterion.h>
#include <string.h>

#include "test/folder.h"

TestSuite(history, .init = folder_make, .fini = folder_drop);

static void write_deaths(const char *path, unsigned count)
{
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    for (unsigned i = 0; i < count; i++)
        fprintf(f, "{\"t\":%u,\"event\":\"dead\",\"peer\":\"%08x\"}\n", 1000 + i, i);
    fprintf(f, "{\"t\":%u,\"event\":\"end\",\"epoch\":1,\"step\":1,\"why\":\"done\"}\n",
            1000 + count);
    cr_assert_eq(fclose(f), 0);
}

/* What one looks for in a report is what happened last. */
Test(history, of_very_many_marks_the_latest_are_kept)
{
    char path[96];
    struct history h;
    struct why w = {0};
    const unsigned count = 3 * HISTORY_MARKS_MAX;
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    write_deaths(path, count);
    cr_assert_eq(history_open(&h, path, &w), ERR_OK, "%s", w.text);
    cr_assert(history_read(&h));
    cr_assert_leq(h.marks_count, HISTORY_MARKS_MAX);
    cr_assert_geq(h.marks_count, HISTORY_MARKS_MAX / 2);
    cr_assert_eq(h.marks_count + h.marks_left_out, count + 1);
    cr_assert_eq(h.marks[h.marks_count - 1].kind, MARK_END);
    for (size_t i = 1; i < h.marks_count; i++)
        cr_assert_eq(h.marks[i].t, h.marks[i - 1].t + 1, "none is missing between");
    history_close(&h);
}
