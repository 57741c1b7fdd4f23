#include <criterion/criterion.h>

#include "base/clock.h"
#include "node/strangers.h"
#include "test/folder.h"

TestSuite(strangers, .init = folder_make, .fini = folder_drop);

Test(strangers, are_told_of_when_there_are_more_and_once_a_minute)
{
    char path[64], line[1000];
    struct event_log *log;
    struct why why = {0};
    struct strangers s = {0};
    struct endpoint_counters n = {.links_up = 3, .received_bytes = 1000};
    instant now = {span_s(5).ns};
    snprintf(path, sizeof path, "%s/log", folder);
    cr_assert_eq(event_log_open(&log, path, -1, &why), ERR_OK, "%s", why.text);
    strangers_tell(&s, &n, now, log); /* nothing yet */
    for (int i = 0; i < 600; i++, now.ns += span_s(1).ns) {
        n.strangers += i < 300; /* one each second, for five minutes */
        strangers_tell(&s, &n, now, log);
    }
    event_log_close(log);
    size_t told = 0;
    unsigned long long links = 0;
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    while (fgets(line, sizeof line, f)) {
        const char *at = strstr(line, "\"links\":");
        told += strstr(line, "\"strangers\"") != NULL;
        if (at) cr_assert_eq(sscanf(at, "\"links\":%llu", &links), 1);
    }
    fclose(f);
    cr_assert_eq(told, 6, "%zu lines", told);
    cr_assert_eq(links, 300);
}
