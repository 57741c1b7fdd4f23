#include "fleet/watch.h"

#include <criterion/criterion.h>
#include <string.h>

#include "test/folder.h"

static char path[64];
static struct watch w;

static void begin(void)
{
    folder_make();
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    watch_init(&w, path);
}

static void end(void)
{
    watch_fini(&w);
    folder_drop();
}

TestSuite(watch, .init = begin, .fini = end);

/* Puts text behind what the log holds. */
static void say(const char *text)
{
    FILE *f = fopen(path, "a");
    cr_assert_not_null(f);
    fputs(text, f);
    cr_assert_eq(fclose(f), 0);
}

Test(watch, a_log_that_is_not_there_yet_says_nothing)
{
    cr_assert_not(watch_update(&w));
    cr_assert_str_eq(w.phase, "start");
    say("{\"event\":\"step\",\"epoch\":2,\"loss\":4.5,\"ms\":10}\n");
    cr_assert(watch_update(&w), "and is read once it is");
    cr_assert_eq(w.epoch, 2);
}

Test(watch, half_a_line_is_read_when_the_rest_has_come)
{
    say("{\"event\":\"step\",\"step\":7,");
    cr_assert_not(watch_update(&w));
    cr_assert_eq(w.steps.count, 0);
    say("\"loss\":3.25,\"ms\":12.5}\n");
    cr_assert(watch_update(&w));
    cr_assert_eq(w.steps.count, 1);
    cr_assert_eq(w.steps.points[0].step, 7);
    cr_assert_float_eq(w.steps.points[0].value, 3.25, 1e-12);
    cr_assert_not(watch_update(&w), "nothing is read twice");
}

Test(watch, what_is_no_event_is_passed_over)
{
    say("half a line of a worker that was killed\n{}\n[1]\n{\"event\":7}\n");
    say("{\"event\":\"end\"}\n");
    cr_assert(watch_update(&w));
    cr_assert(w.ended);
    cr_assert_str_eq(w.phase, "end");
}

Test(watch, a_line_that_is_longer_than_any_of_ours_is_dropped_whole)
{
    FILE *f = fopen(path, "w");
    fputs("{\"event\":\"end\",\"why\":\"", f);
    for (size_t i = 0; i < sizeof w.line; i++) fputc('x', f);
    fputs("\"}\n{\"event\":\"ready\",\"epoch\":4}\n", f);
    fclose(f);
    cr_assert(watch_update(&w));
    cr_assert_not(w.ended);
    cr_assert_str_eq(w.phase, "match");
}

Test(watch, a_round_is_told_by_its_latest_event)
{
    static const char *const phases[][2] = {{"ready", "match"},   {"committed", "reduce"},
                                            {"applied", "train"}, {"behind", "sync"},
                                            {"joined", "train"},  {"solo", "train"}};
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        char line[80];
        snprintf(line, sizeof line, "{\"event\":\"%s\",\"epoch\":%zu}\n", phases[i][0], i);
        say(line);
        cr_assert(watch_update(&w));
        cr_assert_str_eq(w.phase, phases[i][1], "%s", phases[i][0]);
    }
    cr_assert_str_eq(w.round_event, "solo");
    cr_assert_eq(w.round_epoch, 5);
}

/* In a group that meets while it trains, steps do not hide that it meets. */
Test(watch, steps_while_it_looks_for_a_group_leave_the_phase)
{
    say("{\"event\":\"ready\",\"epoch\":1}\n{\"event\":\"step\",\"epoch\":1}\n");
    cr_assert(watch_update(&w));
    cr_assert_str_eq(w.phase, "match");
    say("{\"event\":\"outer\",\"epoch\":2,\"digest\":\"ab\"}\n");
    cr_assert(watch_update(&w));
    cr_assert_str_eq(w.phase, "train");
    cr_assert_str_eq(w.digest, "ab");
}

Test(watch, steps_count_as_dropped_only_since_the_last_outer_step)
{
    say("{\"event\":\"step\",\"ms\":100}\n{\"event\":\"step\",\"ms\":100}\n"
        "{\"event\":\"outer\",\"epoch\":1,\"paused_ms\":3}\n"
        "{\"event\":\"step\",\"ms\":10}\n{\"event\":\"dropped\",\"steps\":1}\n"
        "{\"event\":\"step\",\"ms\":1}\n");
    cr_assert(watch_update(&w));
    cr_assert_eq(w.dropped_steps, 1);
    cr_assert_float_eq(w.dropped_ms, 10, 1e-9);
    cr_assert_eq(w.pending_steps, 1);
    cr_assert_float_eq(w.pending_ms, 1, 1e-9);
    cr_assert_float_eq(w.outers.points[0].value, 3, 1e-9);
}

Test(watch, evaluations_before_the_first_step_cost_no_training)
{
    say("{\"event\":\"evaluate\",\"loss\":5,\"ms\":70}\n{\"event\":\"step\",\"ms\":1}\n"
        "{\"event\":\"evaluate\",\"loss\":4,\"ms\":30}\n{\"event\":\"checkpoint\",\"ms\":4}\n");
    cr_assert(watch_update(&w));
    cr_assert_eq(w.evaluations.count, 2);
    cr_assert_float_eq(w.excluded_ms, 34, 1e-9);
}

Test(watch, bytes_of_earlier_processes_are_kept)
{
    say("{\"event\":\"start\",\"id\":\"aa\",\"parameters\":9,\"batch_tokens\":64}\n"
        "{\"event\":\"net\",\"sent\":100,\"peers\":2}\n{\"event\":\"end\"}\n"
        "{\"event\":\"start\",\"id\":\"aa\",\"parameters\":9,\"batch_tokens\":64}\n"
        "{\"event\":\"net\",\"sent\":5,\"received\":7,\"peers\":3,\"lag_p99_ms\":1.5}\n");
    cr_assert(watch_update(&w));
    cr_assert_eq(w.sent_before, 100);
    cr_assert_eq(w.sent, 5);
    cr_assert_eq(w.received, 7);
    cr_assert_eq(w.peers, 3);
    cr_assert_not(w.ended, "it runs again");
}
