/* folder.h -- a folder of its own for each test: folder_make before it, folder_drop after it. */
#ifndef SHOAL_TEST_FOLDER_H
#define SHOAL_TEST_FOLDER_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[32];

static inline void folder_make(void)
{
    strcpy(folder, "/tmp/shoal-test-XXXXXX"); /* mkdtemp(3) finds other letters for the last six */
    cr_assert_not_null(mkdtemp(folder));
}

static inline void folder_drop(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

#endif
