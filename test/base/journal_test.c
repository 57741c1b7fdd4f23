#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/journal.h"

Test(journal, writes_one_json_object_a_line_and_appends)
{
    char path[] = "/tmp/shoal-journal-XXXXXX";
    close(mkstemp(path));
    for (int i = 0; i < 2; i++) {
        struct journal *j;
        cr_assert_eq(journal_open(&j, path, NULL), ERR_OK);
        journal_begin(j, "step");
        journal_u64(j, "n", 18446744073709551615u);
        journal_f64(j, "loss", NAN);
        journal_text(j, "say", "a \"b\"\n");
        journal_hex(j, "id", "\x01\xff", 2);
        journal_end(j);
        journal_close(j);
    }
    uint8_t *text;
    size_t count;
    cr_assert_eq(file_read(path, 4096, &text, &count, NULL), ERR_OK);
    char *line = strchr((char *)text, ',');
    const char *want = ",\"event\":\"step\",\"n\":18446744073709551615,\"loss\":null,"
                       "\"say\":\"a \\\"b\\\"\\u000a\",\"id\":\"01ff\"}\n{\"t\":";
    cr_assert_eq(strncmp(line, want, strlen(want)), 0, "%s", line);
    free(text);
    unlink(path);
}

Test(journal, none_takes_everything)
{
    journal_begin(NULL, "x");
    journal_u64(NULL, "n", 1);
    journal_end(NULL);
    journal_close(NULL);
}
