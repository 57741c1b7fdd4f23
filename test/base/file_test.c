#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "test/folder.h"

static char path[128];

static void make_folder(void)
{
    folder_make();
    snprintf(path, sizeof path, "%s/it", folder);
}

TestSuite(file, .init = make_folder, .fini = folder_drop);

static enum err write_text(const char *text, struct why *w)
{
    struct bytes b = bytes_of(text, strlen(text));
    return file_write_atomic(path, &b, 1, 0600, w);
}

Test(file, reads_back_what_was_written)
{
    uint8_t *text;
    size_t count;
    cr_assert_eq(write_text("one", NULL), ERR_OK);
    cr_assert_eq(write_text("three", NULL), ERR_OK);
    cr_assert_eq(file_read(path, 100, &text, &count, NULL), ERR_OK);
    cr_assert_eq(count, 5);
    cr_assert_str_eq((char *)text, "three");
    free(text);
}

Test(file, a_write_that_fails_leaves_the_old_file_and_nothing_else)
{
    struct why w = {0};
    cr_assert_eq(write_text("old", NULL), ERR_OK);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, small = {.rlim_cur = 2, .rlim_max = RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &old);
    setrlimit(RLIMIT_FSIZE, &small);
    enum err e = write_text("new and longer", &w);
    setrlimit(RLIMIT_FSIZE, &old);
    cr_assert_eq(e, ERR_IO);
    cr_assert_not_null(strstr(w.text, "File too large"));
    uint8_t *text;
    size_t count;
    cr_assert_eq(file_read(path, 100, &text, &count, NULL), ERR_OK);
    cr_assert_str_eq((char *)text, "old");
    free(text);
    char command[160];
    snprintf(command, sizeof command, "test \"$(ls '%s')\" = it", folder);
    cr_assert_eq(system(command), 0);
}

Test(file, a_longer_file_than_allowed_is_refused)
{
    uint8_t *text;
    size_t count;
    struct why w = {0};
    cr_assert_eq(write_text("12345", NULL), ERR_OK);
    cr_assert_eq(file_read(path, 4, &text, &count, &w), ERR_FORMAT);
    cr_assert_not_null(strstr(w.text, "5 bytes"));
}

Test(file, a_lock_is_held_by_one_process_and_names_it)
{
    int fd;
    cr_assert_eq(file_lock(path, &fd, NULL), ERR_OK);
    pid_t child = fork();
    if (child == 0) {
        int other;
        struct why w = {0};
        char who[32];
        snprintf(who, sizeof who, "process %ld", (long)getppid());
        _exit(file_lock(path, &other, &w) == ERR_STOPPED && strstr(w.text, who) ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
    file_unlock(fd);
    cr_assert_eq(file_lock(path, &fd, NULL), ERR_OK);
    file_unlock(fd);
}

Test(file, folders_are_made_with_their_parents_and_a_file_in_the_way_is_named)
{
    char deep[160];
    struct why w = {0};
    snprintf(deep, sizeof deep, "%s/a/b/c", folder);
    cr_assert_eq(file_make_dirs(deep, NULL), ERR_OK);
    cr_assert_eq(file_make_dirs(deep, NULL), ERR_OK);
    cr_assert_eq(write_text("x", NULL), ERR_OK);
    snprintf(deep, sizeof deep, "%s/it/b", folder);
    cr_assert_eq(file_make_dirs(deep, &w), ERR_IO);
    cr_assert_not_null(strstr(w.text, "/it"));
}

Test(file, an_empty_file_maps_to_an_empty_view)
{
    struct bytes b;
    cr_assert_eq(write_text("", NULL), ERR_OK);
    cr_assert_eq(file_map(path, &b, NULL), ERR_OK);
    cr_assert_eq(b.count, 0);
    file_unmap(b);
}
