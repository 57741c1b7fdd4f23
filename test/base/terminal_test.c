#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/terminal.h"

Test(terminal, what_a_terminal_would_obey_is_not_shown)
{
    struct terminal t = {.utf8 = true};
    char out[64];
    terminal_clean(&t,
                   "a\033[2Jb\r\x7f\xc2\x9b"
                   "c\xff",
                   60, out, sizeof out);
    cr_assert_str_eq(out, "a?[2Jb???c?");
}

Test(terminal, characters_are_cut_whole_and_counted_as_columns)
{
    struct terminal t = {.utf8 = true};
    char out[64];
    terminal_clean(&t, "häuser", 3, out, sizeof out);
    cr_assert_str_eq(out, "häu");
    terminal_clean(&t, "häuser", 60, out, 3);
    cr_assert_str_eq(out, "h");
    t.utf8 = false;
    terminal_clean(&t, "häuser", 60, out, sizeof out);
    cr_assert_str_eq(out, "h?user");
}

Test(terminal, fields_flow_over_as_many_lines_as_they_need)
{
    static const char *const fields[] = {"epoch 1 of 2", "", "loss 3.5", "12 tokens/s"};
    struct terminal_picture p = {.count = 0};
    terminal_flow(&p, fields, 4, 22);
    cr_assert_eq(p.count, 2);
    cr_assert_str_eq(p.lines[0], "epoch 1 of 2  loss 3.5");
    cr_assert_str_eq(p.lines[1], "12 tokens/s");
    p.count = 0;
    terminal_flow(&p, fields, 4, 5);
    cr_assert_eq(p.count, 3);
    p.count = 0;
    terminal_flow(&p, fields, 4, 200);
    cr_assert_eq(p.count, 1);
}

Test(terminal, more_lines_than_there_is_room_for_are_left_out)
{
    struct terminal_picture p = {.count = 0};
    for (int i = 0; i < TERMINAL_LINES_MAX + 3; i++) terminal_line(&p, "%d", i);
    cr_assert_eq(p.count, TERMINAL_LINES_MAX);
}

Test(terminal, a_pipe_gets_lines_and_no_escape_sequences)
{
    struct terminal t;
    struct terminal_picture p = {.count = 0};
    char out[64] = "";
    int ends[2];
    cr_assert(!pipe(ends));
    terminal_init(&t, ends[1]);
    cr_assert(!t.live);
    terminal_line(&p, "a picture");
    terminal_draw(&t, &p);
    terminal_say(&t, "a line");
    terminal_clear(&t);
    cr_assert_eq(read(ends[0], out, sizeof out - 1), 7);
    cr_assert_str_eq(out, "a line\n");
}
