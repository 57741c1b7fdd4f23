#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/event_log.h"

static char path[64];

static void make_path(void)
{
    strcpy(path, "/tmp/shoal-log-XXXXXX");
    close(mkstemp(path));
}

static void clean(void) { unlink(path); }

TestSuite(event_log, .init = make_path, .fini = clean);

static struct event_log *open_log(void)
{
    struct event_log *j = NULL;
    struct why w = {0};
    cr_assert_eq(event_log_open(&j, path, -1, &w), ERR_OK, "%s", w.text);
    return j;
}

static void say(struct event_log *j, const char *event, uint64_t n)
{
    event_log_begin(j, event);
    event_log_u64(j, "n", n);
    event_log_end(j);
}

static char *content(void)
{
    uint8_t *text;
    size_t count;
    cr_assert_eq(file_read(path, 1 << 26, &text, &count, NULL), ERR_OK);
    return (char *)text;
}

/* The lines that are JSON; `odd`: those that are not. `lost`: what log_gap events say together. */
static size_t count_lines(size_t *odd, uint64_t *lost)
{
    char *text = content(), *rest = text, *line;
    size_t whole = 0;
    *odd = 0;
    *lost = 0;
    while ((line = strsep(&rest, "\n")) && rest) {
        json_t *o = json_loads(line, 0, NULL);
        *odd += !o;
        whole += o != NULL;
        if (o && !strcmp(json_string_value(json_object_get(o, "event")), "log_gap"))
            *lost += (uint64_t)json_integer_value(json_object_get(o, "lost"));
        json_decref(o);
    }
    cr_assert(line && !*line, "the log ends in half a line: '%s'", line);
    free(text);
    return whole;
}

/* A disk with room for so many bytes of one file. */
static void limit(rlim_t bytes)
{
    struct rlimit l;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &l);
    l.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
}

Test(event_log, writes_one_json_object_a_line_and_appends)
{
    for (int i = 0; i < 2; i++) {
        struct event_log *j = open_log();
        event_log_begin(j, "step");
        event_log_u64(j, "n", 9223372036854775807u);
        event_log_f64(j, "loss", NAN);
        event_log_f64(j, "lr", 0.1);
        event_log_text(j, "say", "a \"b\"\n");
        event_log_text(j, "odd", "\xff");
        event_log_hex(j, "id", "\x01\xff", 2);
        event_log_json(j, "more", "{\"a\": [1]}");
        event_log_end(j);
        event_log_close(j);
    }
    char *text = content(), *line = strchr(text, ',');
    const char *want =
        ",\"event\":\"step\",\"n\":9223372036854775807,\"loss\":null,\"lr\":0.1,"
        "\"say\":\"a \\\"b\\\"\\n\",\"odd\":\"?\",\"id\":\"01ff\",\"more\":{\"a\":[1]}}\n{\"t\":";
    cr_assert_eq(strncmp(line, want, strlen(want)), 0, "%s", line);
    double t = strtod(text + 5, NULL);
    cr_assert(t > 1.7e9 && fabs(t * 1e3 - round(t * 1e3)) < 1e-2, "%s", text);
    free(text);
}

Test(event_log, none_takes_everything)
{
    event_log_begin(NULL, "x");
    event_log_u64(NULL, "n", 1);
    event_log_end(NULL);
    event_log_close(NULL);
    char *text = content();
    cr_assert_str_eq(text, "", "nothing is written");
    free(text);
}

Test(event_log, begins_a_new_line_behind_one_that_was_cut)
{
    FILE *f = fopen(path, "w");
    fputs("{\"t\":1,\"event\":\"st", f);
    fclose(f);
    struct event_log *j = open_log();
    say(j, "start", 1);
    event_log_close(j);
    size_t odd;
    uint64_t lost;
    cr_assert_eq(count_lines(&odd, &lost), 1);
    cr_assert_eq(odd, 1);
}

Test(event_log, completes_a_line_that_a_full_disk_has_cut)
{
    struct stat s = {0};
    struct event_log *j = open_log();
    limit(1000);
    for (uint64_t i = 0; i < 100; i++) say(j, "step", i);
    for (int i = 0; i < 2000 && s.st_size < 1000; i++) usleep(10000), stat(path, &s);
    cr_assert_eq(s.st_size, 1000, "the test's own disk is not full");
    limit(RLIM_INFINITY);
    event_log_close(j);
    size_t odd;
    uint64_t lost;
    cr_assert_eq(count_lines(&odd, &lost), 100);
    cr_assert_eq(odd, 0);
}

Test(event_log, counts_what_a_full_disk_takes_from_it_and_says_so_once)
{
    char said[] = "/tmp/shoal-log-XXXXXX";
    const int to = mkstemp(said), before = dup(STDERR_FILENO);
    dup2(to, STDERR_FILENO);
    struct event_log *j = open_log();
    limit(1000);
    const uint64_t events = 100000;
    for (uint64_t i = 0; i < events; i++) say(j, "step", i);
    limit(RLIM_INFINITY);
    event_log_close(j);
    dup2(before, STDERR_FILENO);
    size_t odd;
    uint64_t lost, lines = 0;
    size_t whole = count_lines(&odd, &lost);
    cr_assert_eq(odd, 0);
    cr_assert_gt(lost, 0);
    cr_assert_eq(whole - 1 + lost, events, "%zu lines, %llu lost", whole, (unsigned long long)lost);
    char text[1024] = {0};
    cr_assert_gt(pread(to, text, sizeof text - 1, 0), 0);
    for (const char *c = text; *c; c++) lines += *c == '\n';
    cr_assert_eq(lines, 2, "%s", text);
    cr_assert(strstr(text, path) && strstr(text, "cannot be written"), "%s", text);
    cr_assert(strstr(text, "events are missing"), "%s", text);
    unlink(said);
}

Test(event_log, leaves_whole_lines_when_it_ends_on_a_full_disk)
{
    struct event_log *j = open_log();
    limit(1000);
    for (uint64_t i = 0; i < 100; i++) say(j, "step", i);
    event_log_close(j);
    size_t odd;
    uint64_t lost;
    cr_assert_gt(count_lines(&odd, &lost), 10);
    cr_assert_eq(odd, 0);
}

Test(event_log, follows_its_name_when_the_file_was_renamed)
{
    char old[80];
    snprintf(old, sizeof old, "%s.1", path);
    struct event_log *j = open_log();
    say(j, "step", 0);
    cr_assert_eq(rename(path, old), 0);
    uint64_t events = 1;
    for (; events < 1000 && !file_exists(path); events++) say(j, "step", events), usleep(20000);
    cr_assert(file_exists(path));
    event_log_close(j);
    size_t odd;
    uint64_t lost;
    size_t fresh = count_lines(&odd, &lost);
    cr_assert_gt(fresh, 0);
    cr_assert_eq(rename(old, path), 0);
    cr_assert_eq(count_lines(&odd, &lost) + fresh, events);
}

/* A disk that stands still: takes 64 KiB; then a write blocks until somebody reads. */
static void stand_still(void)
{
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
}

/* Reads the pipe to its end; then *arg is a file with what it gave. */
static void *drain(void *arg)
{
    char block[4096];
    ssize_t n;
    const int to = open("/tmp", O_TMPFILE | O_RDWR, 0600), from = *(int *)arg;
    while ((n = read(from, block, sizeof block)) > 0)
        if (write(to, block, (size_t)n) != n) break;
    *(int *)arg = to;
    return NULL;
}

/* The sanitizers keep what was freed for a while. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define KEEPS_FREED 1
#endif
#endif

/* Bytes of memory that this process holds. */
static size_t resident(void)
{
    size_t all, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    cr_assert(f && fscanf(f, "%zu %zu", &all, &pages) == 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

Test(event_log, nobody_waits_for_a_disk_that_stands_still_and_what_it_costs_is_bounded)
{
    stand_still();
    struct event_log *j = open_log();
    const uint64_t events = 400000; /* 20 MB of lines */
    const size_t before = resident();
    for (uint64_t i = 0; i < events; i++) say(j, "step", i);
#ifndef KEEPS_FREED
    const size_t after = resident();
    cr_assert_lt(after, before + (4 << 20), "%zu bytes, then %zu", before, after);
#else
    (void)before;
#endif
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    pthread_t thread;
    pthread_create(&thread, NULL, drain, &reader);
    event_log_close(j);
    pthread_join(thread, NULL);
    FILE *f = fdopen(reader, "r");
    char line[256];
    uint64_t next = 0, gaps = 0;
    rewind(f);
    while (fgets(line, sizeof line, f)) {
        json_t *o = json_loads(line, 0, NULL);
        cr_assert(o, "%s", line);
        const char *event = json_string_value(json_object_get(o, "event"));
        const bool gap = !strcmp(event, "log_gap");
        gaps += gap;
        if (gap) next += (uint64_t)json_integer_value(json_object_get(o, "lost"));
        else cr_assert_eq(json_integer_value(json_object_get(o, "n")), (json_int_t)next++);
        json_decref(o);
    }
    cr_assert_gt(gaps, 0);
    cr_assert_eq(next, events, "in order, and each is there or counted: %llu",
                 (unsigned long long)next);
    fclose(f);
}

Test(event_log, what_waits_is_written_before_the_process_ends)
{
    struct event_log *j = open_log();
    for (uint64_t i = 0; i < 1000; i++) say(j, "step", i);
    cr_assert(event_log_finish(j, span_s(60)));
    size_t odd;
    uint64_t lost;
    cr_assert_eq(count_lines(&odd, &lost), 1000);
    say(j, "late", 0);
    event_log_close(j);
    cr_assert_eq(count_lines(&odd, &lost), 1000);
}

Test(event_log, a_process_can_end_while_its_disk_stands_still)
{
    stand_still();
    struct event_log *j = open_log();
    for (uint64_t i = 0; i < 10000; i++) say(j, "step", i);
    cr_assert_not(event_log_finish(j, span_ms(100)));
    char said[] = "/tmp/shoal-log-XXXXXX", text[256] = {0};
    const int to = mkstemp(said), stderr_before = dup(STDERR_FILENO);
    dup2(to, STDERR_FILENO);
    event_log_close(j);
    dup2(stderr_before, STDERR_FILENO);
    unlink(said);
    cr_assert_gt(pread(to, text, sizeof text - 1, 0), 0);
    cr_assert(strstr(text, path) && strstr(text, "stands still"), "%s", text);
}

Test(event_log, gives_each_line_to_who_reads_along_and_outlives_him)
{
    int ends[2];
    struct event_log *j = NULL;
    cr_assert_eq(event_log_open(&j, "", -1, NULL), ERR_OK);
    cr_assert_null(j);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(event_log_open(&j, path, ends[1], NULL), ERR_OK);
    say(j, "step", 1);
    char line[128] = {0};
    cr_assert_gt(read(ends[0], line, sizeof line - 1), 0);
    char *logged = content();
    cr_assert_str_eq(line, logged);
    free(logged);
    close(ends[0]);
    say(j, "step", 2);
    say(j, "step", 3);
    event_log_close(j);
    size_t odd;
    uint64_t lost;
    cr_assert_eq(count_lines(&odd, &lost), 3);
}
